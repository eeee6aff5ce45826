/** How far a job says that it is: kept at most once a second, and at the end. */
import type { Clock } from '../clock.ts';

export type Progress = { done: number; total: number | null; unit: string };

export type ProgressWriter = {
  tell(progress: Progress): void;
  /** Waits for what is being written; `last`: and writes what was told since. */
  close(last: boolean): Promise<void>;
};

const progressEveryMs = 1_000;
const unitLengthMax = 64;

export function createProgressWriter(parts: {
  journal: { saveProgress(progress: Progress): Promise<boolean> };
  clock: Pick<Clock, 'now'>;
  /** Called when the run went on without this attempt. */
  onLost(): void;
}): ProgressWriter {
  let told: Progress | null = null;
  let timer: NodeJS.Timeout | undefined;
  let writtenAtMs = Number.NEGATIVE_INFINITY;
  let writing: Promise<void> = Promise.resolve();

  async function write(): Promise<void> {
    timer = undefined;
    const present = told;
    told = null;
    if (present === null) return;
    writtenAtMs = parts.clock.now();
    if (!(await parts.journal.saveProgress(present))) parts.onLost();
  }

  return {
    tell(progress) {
      told = { ...progress, unit: progress.unit.slice(0, unitLengthMax) };
      if (timer !== undefined) return;
      const waitMs = Math.max(0, writtenAtMs + progressEveryMs - parts.clock.now());
      timer = setTimeout(() => {
        // For readers: losing one to a fault is no fault of the run.
        writing = write().catch(() => {});
      }, waitMs);
    },
    async close(last) {
      clearTimeout(timer);
      await writing;
      if (last) await write().catch(() => {});
    },
  };
}
