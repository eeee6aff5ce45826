/** The order of the loop, seen at its ends; what it does with real ones is in the other tests of this folder. */
import { expect, it } from 'vitest';
import type { JobContext } from '../../../src/jobs/job.ts';
import type { SyncInput } from '../../../src/jobs/sync/sync-input.ts';
import type { SyncPage, SyncTarget } from '../../../src/jobs/sync/sync-page.ts';
import { type SyncPagesParts, syncPages } from '../../../src/jobs/sync/sync-pages.ts';
import type { SyncProgress } from '../../../src/jobs/sync/sync-progress.ts';

const counts = { synced: 0, changed: 0, deleted: 0, bad: 0, pages: 0, errors: [] };

/** Pages 1 to `pages`, of one row each. What is to be noted is noted when `note` says so. */
function scene(pages: number) {
  const events: string[] = [];
  const notes: PromiseWithResolvers<void>[] = [];
  async function* read() {
    for (let page = 1; page <= pages; page += 1) {
      events.push(`read ${page}`);
      const rows = [{ key: [String(page)], deleted: false, data: {} }];
      yield { rows, bad: [], position: page, mark: null } satisfies SyncPage;
    }
  }
  const target = {
    write: async ([row]: readonly { key: readonly string[] }[]) => {
      events.push(`write ${row!.key[0]}`);
      return { changed: 1, deleted: 0 };
    },
  };
  const progress = {
    counts,
    async stored(page: SyncPage) {
      events.push(`note ${page.position}`);
      const noted = Promise.withResolvers<void>();
      notes.push(noted);
      await noted.promise;
      events.push(`noted ${page.position}`);
    },
  };
  const context = { progress: () => undefined, log: () => undefined, stopRequested: false };
  const parts: SyncPagesParts = {
    context: context as unknown as JobContext,
    input: { maxErrors: 0, source: { key: ['id'] } } as SyncInput,
    pages: read(),
    sorted: true,
    target: target as unknown as SyncTarget,
    progress: progress as unknown as SyncProgress,
    signal: new AbortController().signal,
  };
  return { events, notes, context, parts };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

it('a page is written while the one before is noted, and noted only after it', async () => {
  const { events, notes, parts } = scene(3);
  const done = syncPages(parts);
  await settled();
  expect(events).toEqual(['read 1', 'read 2', 'write 1', 'note 1', 'read 3', 'write 2']);
  notes[0]!.resolve();
  await settled();
  expect(events.slice(6)).toEqual(['noted 1', 'note 2', 'write 3']);
  notes[1]!.resolve();
  await settled();
  notes[2]!.resolve();
  await done;
  expect(events.slice(9)).toEqual(['noted 2', 'note 3', 'noted 3']);
});

it('it ends only when the last page is noted, also when it was told to stop', async () => {
  const { events, notes, context, parts } = scene(3);
  context.stopRequested = true;
  let isDone = false;
  const done = syncPages(parts).then(() => {
    isDone = true;
  });
  await settled();
  expect(events).toEqual(['read 1', 'read 2', 'write 1', 'note 1']);
  expect(isDone).toBe(false);
  notes[0]!.resolve();
  await done;
});

it('a page that cannot be noted ends it with that fault, before the next but one is written', async () => {
  const { events, notes, parts } = scene(5);
  const done = syncPages(parts);
  done.catch(() => undefined);
  await settled();
  notes[0]!.reject(new Error('the run went on'));
  await expect(done).rejects.toThrow('the run went on');
  expect(events).not.toContain('write 3');
});
