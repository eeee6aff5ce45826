/** The steps of a run in the database, for an attempt in this process. */
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import { listSteps, saveProgress, saveStep } from '../db/step-store.ts';
import type { StepJournal } from './step-record.ts';

export function journalOf(
  db: Db,
  run: { id: string; attempt: number },
  clock: Pick<Clock, 'now'>,
): StepJournal {
  return {
    load: () => listSteps(db, run.id),
    save: (record) => saveStep(db, run, record),
    saveProgress: (progress) => saveProgress(db, run, { ...progress, atMs: clock.now() }),
  };
}
