// biome-ignore-all lint/suspicious/noTemplateCurlyInString: They are references to secrets.
/** kill -9 in the middle of a sync: nothing is lost, and no more than a page is read again. */
import { expect, it, vi } from 'vitest';
import { setupScene } from '../support/fault-scene.ts';
import { openPlace, rowsOf } from '../support/sync-rig.ts';
import { waitFor } from '../support/wait-for.ts';

vi.setConfig({ testTimeout: 90_000 });

const pageSize = 100;
const rows = 3_000;

it('the next attempt goes on where the last noted page ended', async () => {
  const { node, create, trigger, reaches, silence, sql } = await setupScene();
  const table = 'create table items (id int primary key, v int not null, note text)';
  const [from, to] = await Promise.all([
    openPlace(`${table}; create index on items (v, id)`),
    openPlace(table),
  ]);
  await from.sql.rows(`insert into items select g, g / 150, 'note ' || g from generate_series(1, ${rows}) g`);
  // Each row that is written, again too, is counted; and the pages take long enough to be killed between.
  await to.sql.rows(`create table written (id int, at bigint generated always as identity);
    create function note_it() returns trigger language plpgsql as $$ begin
      insert into written values (new.id); return new; end $$;
    create trigger noted before insert on items for each row execute function note_it();
    create function linger() returns trigger language plpgsql as $$ begin perform pg_sleep(0.05); return null; end $$;
    create trigger lingers after insert on items for each statement execute function linger()`);
  const entry = { env: { CARILLON_SECRET_KEY: 'A'.repeat(43) }, workers: 'default:2' };
  const [doomed, other] = await Promise.all([
    node({ roles: 'worker', ...entry }),
    node({ roles: 'api,dispatcher', ...entry }),
  ]);
  const { password } = new URL(from.url);
  const put = await fetch(`${other.address}/secrets/db`, {
    method: 'PUT',
    body: JSON.stringify({ value: decodeURIComponent(password) }),
  });
  expect(put.status).toBe(201);
  const hidden = (url: string) => url.replace(`:${password}@`, ':${secret:db}@');
  const { name } = await create(other, {
    job: {
      type: 'sync',
      taskQueue: 'default',
      input: {
        source: { url: hidden(from.url), table: 'items', watermark: 'v', key: 'id', pageSize },
        target: { url: hidden(to.url), table: 'items' },
      },
    },
  });
  const run = await trigger(other, name);
  const isUnderWay = async () =>
    (await sql.rows<{ w: string }>('select watermark as w from sync_watermarks where watermark::int > 4'))
      .length > 0;
  await waitFor(isUnderWay, { timeoutMs: 30_000, what: 'some pages to be stored' });
  doomed.kill('SIGKILL');
  await doomed.exited;
  // Its process ends with it; what it had under way is at the target or is not.
  const connected = () => sql.rows(`select 1 from pg_stat_activity where application_name = 'carillon-sync'`);
  await waitFor(async () => (await connected()).length === 0, { what: 'its sessions to end' });
  const before = Number((await to.sql.row<{ n: string }>('select count(*) as n from items')).n);
  expect(before).toBeGreaterThan(0);
  expect(before).toBeLessThan(rows);
  const reads = Number((await to.sql.row<{ n: string }>('select count(*) as n from written')).n);
  await silence(doomed.pid);
  await node({ roles: 'worker', ...entry });
  const ended = await reaches(other, run, 'succeeded', 40_000);
  expect(ended).toMatchObject({ attempt: 2, output: { syncedRecords: rows, watermark: String(rows / 150) } });
  const query = 'select * from items order by id';
  expect(await rowsOf(to, query)).toEqual(await rowsOf(from, query));
  const all = Number((await to.sql.row<{ n: string }>('select count(*) as n from written')).n);
  expect(all - reads).toBeLessThanOrEqual(rows - before + pageSize);
});
