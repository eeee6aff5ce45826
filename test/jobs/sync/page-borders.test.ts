/** Whatever the watermarks, the page size and what changes between pages: the target equals the source. */
import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { PgSource } from '../../../src/jobs/sync/pg-source.ts';
import { newAttempt, openPlace, rowsOf, setupSync } from '../../support/sync-rig.ts';

const effort = Number(process.env.CARILLON_SYNC_EFFORT ?? 1);
vi.setConfig({ testTimeout: 180_000 * effort });

const schema = `create table items (id int, part text, v int not null, note int not null, gone boolean not null default false,
  primary key (id, part)); create index on items (v, id, part)`;
const row = fc.record({ id: fc.nat(30), part: fc.constantFrom('a', 'B', 'ä', ''), v: fc.nat(4) });

it('rows of equal watermarks over page borders, and changes between pages, are not lost', async () => {
  const { rig, sync, schedule } = await setupSync();
  const [from, to] = await Promise.all([openPlace(schema), openPlace(schema)]);
  let next: () => Promise<void> = async () => undefined;
  // Between two pages, just before the next one is asked for.
  const { pages } = PgSource.prototype;
  vi.spyOn(PgSource.prototype, 'pages').mockImplementation(async function* (this: PgSource, ...given) {
    for await (const page of pages.apply(this, given)) {
      yield page;
      await next();
    }
  });
  let stamp = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(row, { selector: ({ id, part }) => `${id} ${part}`, maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      fc.boolean(),
      fc.boolean(),
      fc.array(
        fc.array(fc.record({ id: fc.nat(30), part: row.map((r) => r.part), gone: fc.boolean() }), {
          maxLength: 3,
        }),
        { maxLength: 6 },
      ),
      async (rows, pageSize, deletes, ties, changes) => {
        for (const place of [from, to]) await place.sql.rows('delete from items');
        await from.sql.rows(
          `insert into items select id, part, v * 10, 0 from json_to_recordset($1) as each (id int, part text, v int)`,
          [JSON.stringify(rows)],
        );
        // Either each change has a watermark of its own above all others, or several have the same: then one may appear
        // behind the place that was read already, which is what lookback is for. Together they go up by less than 20.
        let top = 40;
        const left = [...changes];
        next = async () => {
          for (const { id, part, gone } of left.shift() ?? []) {
            stamp += 1;
            top += ties ? stamp % 2 : 1;
            await from.sql.rows(
              `insert into items values ($1, $2, $3, $4, $5) on conflict (id, part) do update
               set v = excluded.v, note = excluded.note, gone = excluded.gone`,
              [id, part, top, stamp, deletes && gone],
            );
          }
        };
        const id = await schedule({
          source: {
            url: from.url,
            table: 'items',
            watermark: 'v',
            key: ['id', 'part'],
            ...(deletes && { tombstone: 'gone' }),
            pageSize,
            ...(ties && { lookback: 20 }),
          },
          target: { url: to.url, table: 'items' },
        });
        await sync(id);
        while (left.length > 0) await next();
        await sync(id);
        const query = 'select id, part, v, note from items where not gone order by 1, 2';
        expect(await rowsOf(to, query)).toEqual(await rowsOf(from, query));
      },
    ),
    { numRuns: 20 * effort, endOnFailure: true },
  );
  vi.restoreAllMocks();
  expect(await rig.sql.rows('select 1 from sync_watermarks')).not.toEqual([]);
});

it('an attempt that fails between any two pages goes on behind the last one that is noted', async () => {
  const { sync, attempt, schedule, watermark, rig } = await setupSync();
  const [from, to] = await Promise.all([openPlace(schema), openPlace(schema)]);
  await from.sql.rows(`insert into items select g, 'a', g / 7, 0 from generate_series(1, 95) g`);
  // A trigger that fails once, in the fourth page.
  await to.sql.rows(`create sequence calls;
    create function stumble() returns trigger language plpgsql as $$ begin
      if new.id >= 35 and nextval('calls') = 1 then raise exception using errcode = '57P01', message = 'going away'; end if;
      return new; end $$;
    create trigger stumble before insert on items for each row execute function stumble()`);
  const id = await schedule(
    {
      source: { url: from.url, table: 'items', watermark: 'v', key: ['id', 'part'], pageSize: 10 },
      target: { url: to.url, table: 'items' },
    },
    {
      maxAttempts: 3,
      initialIntervalMs: 1,
      maxIntervalMs: 1,
      backoffCoefficient: 1,
      nonRetryableErrorTypes: [],
    },
  );
  const { end, runId } = await attempt(id);
  expect(end).toMatchObject({ kind: 'retry', error: { type: 'TargetUnreachable' } });
  expect(await watermark(id)).toBe('4');
  const queries = vi.spyOn(PgSource.prototype, 'pages');
  expect(await sync(id, { runId })).toMatchObject({ syncedRecords: 95, pages: 10, watermark: '13' });
  expect(queries.mock.calls[0]![1]).toMatchObject({
    goOn: { position: { watermark: '4', key: ['30', 'a'] } },
  });
  vi.restoreAllMocks();
  const query = 'select id, part, v, note from items order by 1, 2';
  expect(await rowsOf(to, query)).toEqual(await rowsOf(from, query));
  const { steps } = await rig.detail(runId);
  expect(steps.map(({ name, attempts }) => [name, attempts])).toEqual([
    ['get-last-sync-time', 1],
    ['fetch-delta', 1],
    ['sync-data', 2],
    ['update-sync-timestamp', 1],
  ]);
});

it('a cancel between pages, and one inside of a page, end it; a stop ends it behind a page', async () => {
  const { sync, attempt, schedule, watermark } = await setupSync();
  const [from, to] = await Promise.all([openPlace(schema), openPlace(schema)]);
  await from.sql.rows(`insert into items select g, 'a', g, 0 from generate_series(1, 30) g`);
  const id = await schedule({
    source: { url: from.url, table: 'items', watermark: 'v', key: ['id', 'part'], pageSize: 10 },
    target: { url: to.url, table: 'items' },
  });
  const { pages } = PgSource.prototype;
  const afterPage = (act: () => void) =>
    vi.spyOn(PgSource.prototype, 'pages').mockImplementation(async function* (this: PgSource, ...given) {
      let count = 0;
      for await (const page of pages.apply(this, given)) {
        count += 1;
        if (count === 3) act();
        yield page;
      }
    });
  const cancelled = newAttempt();
  afterPage(() => cancelled.abort('cancel', 'cancelled'));
  await attempt(id, { live: cancelled });
  expect(Number(await watermark(id))).toBeLessThanOrEqual(20);
  vi.restoreAllMocks();

  await from.sql.rows(`insert into items select g, 'a', g, 0 from generate_series(31, 80) g`);
  const stopped = newAttempt();
  afterPage(() => {
    stopped.stopRequested = true;
  });
  expect((await attempt(id, { live: stopped })).end).toMatchObject({
    status: 'cancelled',
    reason: 'stopped',
  });
  vi.restoreAllMocks();

  // The target waits for a lock that the test holds.
  await to.sql.rows('begin');
  await to.sql.rows('lock table items in share row exclusive mode');
  await from.sql.rows(`insert into items values (99, 'a', 99, 0)`);
  const inside = newAttempt();
  setTimeout(() => inside.abort('cancel', 'cancelled'), 300);
  const begun = performance.now();
  await attempt(id, { live: inside });
  expect(performance.now() - begun).toBeLessThan(5_000);
  await to.sql.rows('rollback');
  await sync(id);
  const query = 'select id from items order by 1';
  expect(await rowsOf(to, query)).toEqual(await rowsOf(from, query));
});
