/**
 * How far a sync is, kept with each page that is stored: the schedule's watermark, and where the run goes on.
 *
 * What happens on kill -9
 * - before a page is at the target: the next attempt reads and writes it;
 * - after that, before this says so: the next attempt writes it once more, which changes nothing, since it is an upsert;
 * - after that: the next attempt goes on behind it.
 * So no page is left out. At most two are written twice: the one that is written, and the one before, which is noted
 * meanwhile. The record is written only while the run is at this attempt.
 */
import type { Db } from '../../db/client.ts';
import { findWatermark, moveWatermark } from '../../db/watermark-store.ts';
import { type JobContext, JobError } from '../job.ts';
import type { PageWritten } from './page-writer.ts';
import { errorsListedMax } from './sync-input.ts';
import type { BadRecord, Mark, SyncPage, SyncStart } from './sync-page.ts';

/** What a run has done so far, over all its attempts. */
export type SyncCounts = {
  synced: number;
  changed: number | null;
  deleted: number;
  bad: number;
  pages: number;
  errors: BadRecord[];
};
type RunState = {
  /** What the run began with; the schedule's own may have moved since. */
  begin: Mark | null;
  position: unknown;
  mark: Mark | null;
  counts: SyncCounts;
};

export type SyncProgress = {
  /** Where this run begins, or goes on. */
  readonly start: SyncStart;
  readonly counts: SyncCounts;
  /** Of the schedule. */
  readonly watermark: string | null;
  /** A page is stored. `sorted`: no later page is below its mark. */
  stored(page: SyncPage, written: PageWritten, sorted: boolean): Promise<void>;
  /** All pages are stored. Done once more it does the same. */
  finish(): Promise<void>;
};

/** A hundred of them must fit into an output. */
const errorLengthMax = 500;

/** @param about what tells this source and target from others: the watermark of others is not taken over */
export async function loadProgress(db: Db, context: JobContext, about: string): Promise<SyncProgress> {
  const row = await findWatermark(db, context.scheduleId);
  const isOurs = row !== null && (row.about === null || row.about === about);
  if (row !== null && !isOurs && row.watermark !== null)
    context.log(
      'source or target are others than those of the last watermark: this run begins from the start',
      'warn',
    );
  let mark: Mark | null =
    isOurs && row.watermark !== null ? { watermark: row.watermark, keys: row.keys } : null;
  const state = isOurs && row.runId === context.runId ? (row.runState as RunState | null) : null;
  let last: RunState = state ?? {
    begin: mark,
    position: null,
    mark: null,
    counts: { synced: 0, changed: 0, deleted: 0, bad: 0, pages: 0, errors: [] },
  };
  const start: SyncStart = {
    mark: last.begin,
    goOn: state === null ? null : { position: state.position, mark: state.mark },
  };

  async function move(): Promise<void> {
    const moved = await moveWatermark(
      db,
      { id: context.runId, attempt: context.attempt, scheduleId: context.scheduleId },
      {
        watermark: mark?.watermark ?? null,
        keys: mark?.keys ?? null,
        about,
        runState: last,
        updatedAtMs: Math.floor(context.now()),
      },
    );
    if (!moved)
      throw new JobError('RunWentOn', 'The run went on without this attempt, or its schedule was deleted.', {
        retryable: false,
      });
  }

  return {
    start,
    get counts() {
      return last.counts;
    },
    get watermark() {
      return mark?.watermark ?? null;
    },
    async stored(page, written, sorted) {
      last = { ...last, position: page.position, mark: page.mark, counts: added(last.counts, page, written) };
      if (sorted) mark = page.mark;
      await move();
    },
    async finish() {
      mark = last.mark ?? mark;
      await move();
    },
  };
}

function added(counts: SyncCounts, page: SyncPage, written: PageWritten): SyncCounts {
  const fresh = [...page.bad, ...written.bad];
  const errors = [...counts.errors];
  for (const { record, message } of fresh.slice(0, errorsListedMax - errors.length))
    errors.push({ record: record.slice(0, errorLengthMax), message: message.slice(0, errorLengthMax) });
  return {
    synced: counts.synced + written.synced,
    changed: counts.changed === null || written.changed === null ? null : counts.changed + written.changed,
    deleted: counts.deleted + written.deleted,
    bad: counts.bad + fresh.length,
    pages: counts.pages + (page.rows.length + page.bad.length > 0 ? 1 : 0),
    errors,
  };
}
