/**
 * The job type `sync`, after the reference workflow HourlySync: get-last-sync-time → fetch-delta → sync-data →
 * update-sync-timestamp, each a durable step. Within sync-data each stored page is kept (sync-progress.ts), so that an
 * attempt goes on where the one before was. Runs in a process of its own.
 */
import { createHash } from 'node:crypto';
import { openDatabase } from '../../db/client.ts';
import { formatDuration } from '../../duration.ts';
import { houseBackoff } from '../../runs/retry-policy.ts';
import { defineJob, type JobContext } from '../job.ts';
import { type ColumnPlan, planColumns } from './column-plan.ts';
import { type EndSettings, openEnds } from './sync-ends.ts';
import { type SyncInput, syncInput, syncOutput } from './sync-input.ts';
import type { SyncPage } from './sync-page.ts';
import { syncPages } from './sync-pages.ts';
import { loadProgress, type SyncProgress } from './sync-progress.ts';

/** Plain JSON: it goes to the process of an isolated run over its channel. `databaseUrl`: Carillon's own. */
export type SyncSettings = EndSettings & { databaseUrl: string };

export function createSyncJob(settings: SyncSettings) {
  return defineJob({
    type: 'sync',
    description:
      'Copies what is new or changed from a database, an HTTP API or a file to another one, page by page, and remembers how far it has come.',
    input: syncInput,
    output: syncOutput,
    taskQueue: 'sync',
    isolated: true,
    timeoutMs: 3_600_000,
    retry: { maxAttempts: 3, ...houseBackoff(10_000) },
    example: {
      source: {
        url: 'https://shop.example/api/orders',
        watermark: 'updatedAt',
        key: 'id',
        since: 'updatedSince',
        records: '/orders',
        paging: { kind: 'cursor', param: 'cursor', next: '/nextCursor' },
      },
      target: { url: 'file:///var/lib/orders/orders.ndjson' },
    },
    async run(context, input) {
      const { db, close } = openDatabase({
        url: settings.databaseUrl,
        connectionsMax: 1,
        name: 'carillon sync',
        // What a crash of Postgres takes back of the progress is done again, and changes nothing.
        durable: false,
        // One statement for each page.
        plansOnce: true,
        onFault: () => {},
      });
      const ends = openEnds(input, settings, context);
      try {
        return await sync(context, input, ends, () => loadProgress(db, context, aboutOf(input)));
      } finally {
        ends.source.close();
        ends.target.close();
        await close();
      }
    },
  });
}

async function sync(
  context: JobContext,
  input: SyncInput,
  { source, target }: ReturnType<typeof openEnds>,
  load: () => Promise<SyncProgress>,
) {
  await context.step('get-last-sync-time', async () => ({ watermark: (await load()).watermark }));
  const progress = await load();
  let reading: AsyncGenerator<SyncPage, void, undefined> | undefined;

  /** Once per attempt, in the step that needs it first. */
  async function begin(signal: AbortSignal): Promise<AsyncGenerator<SyncPage, void, undefined>> {
    if (reading !== undefined) return reading;
    const plan = await planned(signal);
    await target.prepare(plan, signal);
    reading = source.pages(plan, progress.start, context.signal);
    return reading;
  }

  async function planned(signal: AbortSignal): Promise<ColumnPlan> {
    const targetColumns = await target.describe(signal);
    const sourceColumns = await source.describe(signal);
    return planColumns({ source: input.source, target: input.target, sourceColumns, targetColumns });
  }

  let first: SyncPage | undefined;
  const { found } = await context.step('fetch-delta', async ({ signal }) => {
    first = await firstWithRecords(await begin(signal));
    return { found: first !== undefined };
  });
  if (found) {
    await context.step(
      'sync-data',
      { startToCloseTimeout: formatDuration(input.timeout) },
      async ({ signal, log }) => {
        const rest = await begin(signal);
        const pages = withFirst(first, rest);
        first = undefined;
        await syncPages({ context, input, pages, sorted: source.sorted, target, progress, signal });
        const { synced, deleted, bad } = progress.counts;
        log(`${synced} records synced, ${deleted} deleted, ${bad} left out`);
        return { syncedRecords: synced, deletedRecords: deleted, badRecords: bad };
      },
    );
    await context.step('update-sync-timestamp', async () => {
      await progress.finish();
      return { watermark: progress.watermark };
    });
  }
  const { counts } = progress;
  return {
    success: true as const,
    syncedRecords: counts.synced,
    changedRecords: counts.changed,
    deletedRecords: counts.deleted,
    badRecords: counts.bad,
    errors: counts.errors,
    pages: counts.pages,
    watermark: progress.watermark,
  };
}

async function firstWithRecords(
  pages: AsyncGenerator<SyncPage, void, undefined>,
): Promise<SyncPage | undefined> {
  for (;;) {
    const { value: page, done } = await pages.next();
    if (done === true || page === undefined) return undefined;
    if (page.rows.length + page.bad.length > 0) return page;
  }
}

async function* withFirst(
  first: SyncPage | undefined,
  rest: AsyncGenerator<SyncPage, void, undefined>,
): AsyncGenerator<SyncPage, void, undefined> {
  if (first !== undefined) yield first;
  yield* rest;
}

/** What tells a pair of ends from another, without what is secret, so that a new password is no new source. */
function aboutOf({ source, target }: SyncInput): string {
  const place = (url: string) => {
    const parsed = URL.parse(url);
    return parsed === null ? url.split('?')[0]! : `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
  };
  const parts = [
    place(source.url),
    source.table ?? source.query ?? source.records,
    source.watermark,
    source.key,
    place(target.url),
    target.table ?? '',
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}
