/** Gathers the lines of the runs of this process and writes them together. */
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import { insertLogLines, type NewLogLine } from '../db/run-log-store.ts';
import { type Batcher, createBatcher } from '../runs/batcher.ts';
import { type LogLevel, logLevels } from './job.ts';
import { clean } from './job-answer.ts';

/** Lines that are kept of one attempt. */
export const logLinesMax = 10_000;
/** Lines of an attempt that are written before it has ended come in blocks of at most this many. */
const blockLines = 200;
const blockEveryMs = 500;

export type AttemptLog = {
  log(level: LogLevel, message: string): void;
  /** Whether lines are left to write. */
  readonly unwritten: boolean;
  /** Writes what is left. Rejects when the database does. */
  flush(): Promise<void>;
};

export type RunLog = {
  open(run: { id: string; attempt: number }): AttemptLog;
};

export function createRunLog(parts: { db: Db; clock: Clock; onFault(error: unknown): void }): RunLog {
  const { db, clock } = parts;
  const blocks: Batcher<readonly NewLogLine[], void> = createBatcher({
    batchSizeMax: 100,
    inFlightMax: 1,
    async write(items) {
      await insertLogLines(db, items.flat());
      return items.map(() => undefined);
    },
  });

  return {
    open(run) {
      let lines: NewLogLine[] = [];
      let seq = 0;
      let timer: NodeJS.Timeout | undefined;

      async function flush(): Promise<void> {
        clearTimeout(timer);
        timer = undefined;
        if (lines.length === 0) return;
        const block = lines;
        lines = [];
        await blocks.add(block);
      }

      function add(level: LogLevel, message: string): void {
        seq += 1;
        lines.push({ runId: run.id, attempt: run.attempt, seq, atMs: clock.now(), level, message });
        // Lines are for people: losing some to a fault is told, and does not fail the run.
        if (lines.length >= blockLines) flush().catch(parts.onFault);
        else timer ??= setTimeout(() => flush().catch(parts.onFault), blockEveryMs);
      }

      return {
        log(level, message) {
          // A job that logs nonsense is not to fail for it, nor to spoil the block that its line is written in.
          if (seq < logLinesMax) add(logLevels.includes(level) ? level : 'info', clean(String(message)));
          else if (seq === logLinesMax)
            add('warn', `Only ${logLinesMax} lines are kept of an attempt; the rest is dropped.`);
        },
        get unwritten() {
          return lines.length > 0;
        },
        flush,
      };
    },
  };
}
