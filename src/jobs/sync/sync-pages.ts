/**
 * The loop of a sync: read a page, write it, move the watermark. While a page is written, the next one is read and the
 * one before is noted; so two pages are in memory at most. Each page is read, then written, then noted, and each of the
 * three in the order of the pages.
 */
import { heardLater } from '../../errors.ts';
import { type JobContext, JobError } from '../job.ts';
import { writePage } from './page-writer.ts';
import { errorsListedMax, type SyncInput } from './sync-input.ts';
import type { BadRecord, SyncPage, SyncTarget } from './sync-page.ts';
import type { SyncProgress } from './sync-progress.ts';

/** Of a failed run's bad records so many are told in its error. */
const errorsToldMax = 3;
const pageDigits = 6;

export type SyncPagesParts = {
  context: JobContext;
  input: SyncInput;
  /** From where the run goes on. */
  pages: AsyncIterator<SyncPage, void>;
  sorted: boolean;
  target: SyncTarget;
  progress: SyncProgress;
  signal: AbortSignal;
};

/** Ends early, at a page's end, when the schedule was stopped. @throws JobError `TooManyBadRecords`, not retryable */
export async function syncPages(parts: SyncPagesParts): Promise<void> {
  const { context, input, pages, sorted, target, progress, signal } = parts;
  let next = readAhead(pages);
  let noted = Promise.resolve();
  try {
    for (;;) {
      const { value: page, done } = await next;
      if (done === true || page === undefined) return;
      signal.throwIfAborted();
      next = readAhead(pages);
      const badLeft = input.maxErrors - progress.counts.bad - page.bad.length;
      const name = String(progress.counts.pages + 1).padStart(pageDigits, '0');
      const written = await writePage(
        target,
        { rows: page.rows, name, key: input.source.key, badMax: Math.max(0, badLeft) },
        signal,
      );
      const bad = [...page.bad, ...written.bad];
      tell(context, progress.counts.errors.length, bad);
      if (written.bad.length > badLeft)
        throw tooMany(input, progress.counts.bad + bad.length, [...progress.counts.errors, ...bad]);
      await noted;
      noted = heardLater(progress.stored(page, written, sorted));
      context.progress(progress.counts.synced + progress.counts.deleted, null, 'records');
      if (context.stopRequested) return;
    }
  } finally {
    await noted;
  }
}

function readAhead(pages: AsyncIterator<SyncPage, void>): Promise<IteratorResult<SyncPage, void>> {
  return heardLater(pages.next());
}

function tell(context: JobContext, listed: number, bad: readonly BadRecord[]): void {
  for (const { record, message } of bad.slice(0, Math.max(0, errorsListedMax - listed)))
    context.log(`left out: ${record}: ${message}`, 'warn');
}

function tooMany({ maxErrors }: SyncInput, bad: number, errors: readonly BadRecord[]): JobError {
  const told = errors.slice(0, errorsToldMax).map(({ record, message }) => `${record}: ${message}`);
  return new JobError(
    'TooManyBadRecords',
    `${bad} bad records are more than maxErrors, which is ${maxErrors}. ${told.join(' · ')}${errors.length > errorsToldMax ? ' · …' : ''}`,
    { retryable: false },
  );
}
