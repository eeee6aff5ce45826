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

export type RunLog = {
  open(run: { id: string; attempt: number }): AttemptLog;
};

export function createRunLog(parts: { db: Db; clock: Clock; onFault(error: unknown): void }): RunLog {
  const { db, clock, onFault } = parts;
  const blocks: Batcher<readonly NewLogLine[], void> = createBatcher({
    batchSizeMax: 100,
    inFlightMax: 1,
    async write(items) {
      await insertLogLines(db, items.flat());
      return items.map(() => undefined);
    },
  });
  const shared = { clock, onFault, write: blocks.add };
  return { open: (run) => new AttemptLog(shared, run) };
}

type SharedLog = {
  clock: Clock;
  onFault(error: unknown): void;
  write(block: readonly NewLogLine[]): Promise<void>;
};

const noLines: NewLogLine[] = [];

/** Light, since every attempt has one and few write to it. */
export class AttemptLog {
  readonly #shared: SharedLog;
  readonly #run: { id: string; attempt: number };
  #lines = noLines;
  #seq = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(shared: SharedLog, run: { id: string; attempt: number }) {
    this.#shared = shared;
    this.#run = run;
  }

  log(level: LogLevel, message: string): void {
    // A job that logs nonsense is not to fail for it, nor to spoil the block that its line is written in.
    if (this.#seq < logLinesMax)
      this.#add(logLevels.includes(level) ? level : 'info', clean(String(message)));
    else if (this.#seq === logLinesMax)
      this.#add('warn', `Only ${logLinesMax} lines are kept of an attempt; the rest is dropped.`);
  }

  /** Whether lines are left to write. */
  get unwritten(): boolean {
    return this.#lines.length > 0;
  }

  /** Writes what is left. Rejects when the database does. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const block = this.#lines;
    if (block.length === 0) return;
    this.#lines = noLines;
    await this.#shared.write(block);
  }

  #add(level: LogLevel, message: string): void {
    const { clock, onFault } = this.#shared;
    this.#seq += 1;
    if (this.#lines === noLines) this.#lines = [];
    const { id: runId, attempt } = this.#run;
    this.#lines.push({ runId, attempt, seq: this.#seq, atMs: clock.now(), level, message });
    // Lines are for people: losing some to a fault is told, and does not fail the run.
    if (this.#lines.length >= blockLines) this.flush().catch(onFault);
    else this.#timer ??= setTimeout(() => this.flush().catch(onFault), blockEveryMs);
  }
}
