/** Steps kept in memory, for tests of what is above the database. */
import type { JobContext } from '../../src/jobs/job.ts';
import type { Progress } from '../../src/jobs/step-progress.ts';
import type { StepJournal, StepRecord } from '../../src/jobs/step-record.ts';

export type MemoryJournal = StepJournal & {
  readonly records: Map<string, StepRecord>;
  /** What was written, in order: `name status ×attempts`. */
  readonly written: string[];
  readonly progress: Progress[];
  /** From here on the run counts as gone on elsewhere. */
  lost: boolean;
};

export function createMemoryJournal(): MemoryJournal {
  const records = new Map<string, StepRecord>();
  const journal: MemoryJournal = {
    records,
    written: [],
    progress: [],
    lost: false,
    load: async () => structuredClone([...records.values()]),
    async save(record) {
      if (journal.lost) return false;
      records.set(record.name, structuredClone(record));
      journal.written.push(`${record.name} ${record.status} ×${record.attempts}`);
      return true;
    },
    async saveProgress(progress) {
      if (journal.lost) return false;
      journal.progress.push(progress);
      return true;
    },
  };
  return journal;
}

const none = () => {
  throw new Error('this job has no steps');
};

/** For jobs that have none. */
export const withoutSteps: Pick<JobContext, 'step' | 'all' | 'sleep' | 'rest' | 'progress' | 'redact'> = {
  redact: (text) => text,
  step: none,
  all: none,
  sleep: none,
  rest: none,
  progress: none,
};
