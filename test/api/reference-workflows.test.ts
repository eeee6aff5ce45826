/**
 * The four workflows that docs/jobs.md begins with, as printed there, run end to end by the whole service: with a real
 * directory, databases, HTTP server and an S3 store of the tests. Only the addresses are those of the test.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import pino from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { startService } from '../../src/compose.ts';
import { loadConfig } from '../../src/config.ts';
import { createTestDatabase } from '../support/database.ts';
import { startS3Server } from '../support/s3-server.ts';
import { waitFor } from '../support/wait-for.ts';

const text = await readFile(new URL('../../docs/jobs.md', import.meta.url), 'utf8');
const bodies = [...text.matchAll(/^```json\n(.*?)^```$/gms)].map(([, body = '']) => body);

type Answer = { status: number; body: Record<string, unknown> & { id: string; status: string } };

async function setup() {
  const directory = await mkdtemp(join(tmpdir(), 'carillon-workflows-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const { url, drop } = await createTestDatabase();
  onTestFinished(drop);
  const s3 = await startS3Server('backups');
  onTestFinished(() => s3.close());
  const config = loadConfig({
    PORT: '0',
    DATABASE_URL: url,
    DATA_DIR: directory,
    CARILLON_S3_ENDPOINT: s3.endpoint,
    CARILLON_S3_PATH_STYLE: 'true',
  });
  process.env.AWS_ACCESS_KEY_ID = 'key';
  process.env.AWS_SECRET_ACCESS_KEY = 'secret';
  const logger = pino({ level: 'silent' });
  const service = await startService({ config, databaseUrl: url, logger, version: '0' });
  onTestFinished(() => service.stop());

  async function ask(method: string, path: string, body?: string | object): Promise<Answer> {
    const sent = body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body);
    const response = await fetch(service.address + path, { method, body: sent });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  }

  return {
    directory,
    url,
    s3,
    ask,
    /** Creates the printed schedule; `replaced`: what stands for the printed addresses. */
    async create(name: string, replaced: Record<string, string> = {}) {
      let body = bodies.find((each) => each.includes(`"name": "${name}"`))!;
      for (const [printed, real] of Object.entries(replaced)) body = body.replaceAll(printed, real);
      const created = await ask('POST', '/schedules', body);
      expect(created.status, JSON.stringify(created.body)).toBe(201);
    },
    /** Runs it now, and answers the run when it has ended. */
    async run(name: string) {
      const { body } = await ask('POST', `/schedules/${name}/trigger`, { overlap: 'allow' });
      return await waitFor(
        async () => {
          const run = (await ask('GET', `/runs/${body.id}`)).body;
          return !['queued', 'running', 'retrying'].includes(run.status) && run;
        },
        { what: `${name} to end` },
      );
    },
  };
}

test('the document has the four', () => {
  const names = bodies.map((body) => JSON.parse(body).name);
  expect(names).toEqual(['DailyBackup', 'HourlySync', 'DynamicScheduler', 'TaskQueueManager']);
});

test('DailyBackup stores a backup that was read back whole', async () => {
  const { directory, s3, ask, create, run } = await setup();
  const papers = join(directory, 'papers');
  await writeFile(join(directory, 'note.txt'), 'outside');
  await (await import('node:fs/promises')).mkdir(papers);
  await writeFile(join(papers, 'letter.txt'), 'hello');
  await create('DailyBackup', { 'file:///srv/papers': `file://${papers}` });
  const ended = await run('DailyBackup');
  expect(ended).toMatchObject({ status: 'succeeded', taskQueue: 'backup-queue' });
  expect(ended.output).toMatchObject({
    backupId: expect.stringMatching(/^backup-\d{14}$/),
    backupSize: expect.any(Number),
    durationSeconds: expect.any(Number),
  });
  expect(s3.buckets.get('backups')!.size).toBeGreaterThan(0);
  expect((ended.steps as { name: string }[]).map((step) => step.name)).toEqual([
    'perform-backup',
    'validate-backup',
    'cleanup-old-backups',
    'send-notification',
  ]);
  const { body } = await ask('GET', '/backups?schedule=DailyBackup');
  expect(body.items).toMatchObject([{ status: 'valid' }]);
});

test('HourlySync copies what is new, and says so when nothing is', async () => {
  const { url, ask, create, run } = await setup();
  const warehouse = await createTestDatabase();
  onTestFinished(warehouse.drop);
  const [source, target] = [url, warehouse.url].map((each) => new pg.Client({ connectionString: each }));
  for (const client of [source!, target!]) {
    await client.connect();
    await client.query(
      'create table orders (id bigint primary key, updated_at timestamptz not null, total numeric)',
    );
  }
  onTestFinished(async () => void (await Promise.all([source!.end(), target!.end()])));
  await source!.query(
    `insert into orders select n, '2026-03-01'::timestamptz + n * interval '1 s', n / 7.0 from generate_series(1, 2500) n`,
  );
  await ask('PUT', '/secrets/shop-url', { value: url });
  await ask('PUT', '/secrets/warehouse-url', { value: warehouse.url });
  await create('HourlySync');
  const first = await run('HourlySync');
  expect(first, JSON.stringify(first.error)).toMatchObject({ status: 'succeeded' });
  expect(first.output).toMatchObject({ syncedRecords: 2500, success: true });
  const contents = 'select count(*)::int as n, sum(total)::text as total from orders';
  expect((await target!.query(contents)).rows).toEqual((await source!.query(contents)).rows);
  await source!.query('update orders set total = 0, updated_at = $1 where id = 7', ['2026-04-01']);
  expect((await run('HourlySync')).output).toMatchObject({
    changedRecords: expect.any(Number),
    success: true,
  });
  expect((await target!.query('select total::int from orders where id = 7')).rows).toEqual([{ total: 0 }]);
});

test('DynamicScheduler heeds the signals to move and to stop', async () => {
  const { ask, create, run } = await setup();
  const called: string[] = [];
  const server = createServer((request, response) => {
    called.push(String(request.headers['x-carillon-schedule']));
    response.end('ok');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  await create('DynamicScheduler', { 'http://127.0.0.1:3000/healthz': `http://127.0.0.1:${port}/` });
  expect(await run('DynamicScheduler')).toMatchObject({ status: 'succeeded', output: { statusCode: 200 } });
  expect(called).toContain('DynamicScheduler');
  const moved = await ask('POST', '/schedules/DynamicScheduler/reschedule', '{"cron": "*/10 * * * * *"}');
  expect(moved.body).toMatchObject({ cron: '*/10 * * * * *', status: 'active' });
  expect((await ask('POST', '/schedules/DynamicScheduler/stop')).body).toMatchObject({
    status: 'stopped',
    nextRunAt: null,
  });
});

test('TaskQueueManager executes what waits', async () => {
  const { ask, create, run } = await setup();
  const server = createServer((_request, response) => void response.end('done'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const tasks = Array.from({ length: 25 }, (_, n) => ({ url: `http://127.0.0.1:${port}/${n}` }));
  await ask('POST', '/queues/tasks/tasks', { tasks });
  await create('TaskQueueManager');
  const waited = await run('TaskQueueManager');
  // The schedule's own first run, at once, may have taken some of them.
  expect(waited.output).toMatchObject({ queueName: 'tasks' });
  const done = await waitFor(async () => {
    const { items } = (await ask('GET', '/schedules/TaskQueueManager/runs')).body as never as {
      items: { status: string; output: { processedTasks: number } | null }[];
    };
    const sum = items.reduce((all, each) => all + (each.output?.processedTasks ?? 0), 0);
    return items.every((each) => each.status === 'succeeded') && sum;
  });
  expect(done).toBe(25);
});
