/**
 * Executes the tasks of a queue until it is empty, so many at once:
 *
 *   claim ─► ready ─► so many running ─► settled (in batches) ─► claim …
 *
 * Tasks are claimed ahead of need and settled behind, so that a slot waits for no statement. A slot is free again when
 * its task has ended: one slow task holds up one slot, and not the rest of its batch.
 *
 * On a stop nothing more is begun, and what runs ends. On an abort what runs is aborted too. What was claimed and not
 * executed is handed back in both cases; after a kill -9, when nobody does, another drain reclaims it.
 */
import type { ClaimedTask } from '../../queues/queue-task.ts';
import { nextClaim } from '../../queues/task-end.ts';

/** A task that was claimed and has no result. */
export type HeldTask = { id: string; attempt: number; begun: boolean };

export interface TaskSource<R> {
  /** `woken`: more have become pending since. */
  claim(limit: number): Promise<{ tasks: readonly ClaimedTask[]; woken: number }>;
  /** Resolves when it is written. */
  settle(result: R): Promise<void>;
  handBack(tasks: readonly HeldTask[]): Promise<void>;
}

export type DrainParts<R> = {
  source: TaskSource<R>;
  /** Never rejects; null when the signal ended it. */
  execute(task: ClaimedTask): Promise<R | null>;
  atOnce: number;
  signal: AbortSignal;
  stopRequested(): boolean;
  monotonic(): number;
};

/** Results that may wait to be written before no more tasks are begun. */
const unsettledMax = 2_000;
/** How often a queue that had nothing more is looked at while some tasks of this drain still run. */
const lookAgainMs = 250;

/** Rejects with the signal's reason, or with what a claim or a result met. */
export async function drain<R>(parts: DrainParts<R>): Promise<'empty' | 'stopped'> {
  const { source, atOnce, signal } = parts;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const aborted: HeldTask[] = [];
  let ready: readonly ClaimedTask[] = [];
  let next = 0;
  let running = 0;
  let settling = 0;
  let limit = atOnce;
  let claiming = false;
  let claimedAtMs = Number.NEGATIVE_INFINITY;
  /** The last claim got less than it asked for. */
  let dry = false;
  /** It got nothing, and no task has ended since. */
  let empty = false;
  let fault: { error: unknown } | null = null;
  let timer: NodeJS.Timeout | undefined;

  const isOver = () => fault !== null || signal.aborted || parts.stopRequested();

  function pump(): void {
    if (!isOver()) {
      while (running < atOnce && next < ready.length && settling < unsettledMax) {
        const task = ready[next]!;
        next += 1;
        void run(task);
      }
      if (!claiming && (!empty || running > 0) && ready.length - next <= limit / 2) {
        const soonMs = dry && running > 0 ? claimedAtMs + lookAgainMs - parts.monotonic() : 0;
        if (soonMs <= 0) void claim();
        else timer ??= setTimeout(look, soonMs);
      }
    }
    if (running > 0 || settling > 0 || claiming) return;
    if (isOver() || (empty && next === ready.length)) end();
  }

  function look(): void {
    timer = undefined;
    pump();
  }

  async function claim(): Promise<void> {
    claiming = true;
    const nowMs = parts.monotonic();
    limit = dry ? Math.max(atOnce, Math.floor(limit / 2)) : nextClaim(limit, nowMs - claimedAtMs, atOnce);
    claimedAtMs = nowMs;
    try {
      const { tasks, woken } = await source.claim(limit);
      ready = [...ready.slice(next), ...tasks];
      next = 0;
      dry = tasks.length < limit && woken === 0;
      empty = tasks.length === 0 && woken === 0;
    } catch (error) {
      fault ??= { error };
    }
    claiming = false;
    pump();
  }

  async function run(task: ClaimedTask): Promise<void> {
    running += 1;
    const result = await parts.execute(task);
    running -= 1;
    empty = false;
    if (result === null) {
      aborted.push({ id: task.id, attempt: task.attempt, begun: true });
      pump();
      return;
    }
    settling += 1;
    const settled = source.settle(result);
    pump();
    try {
      await settled;
    } catch (error) {
      fault ??= { error };
    }
    settling -= 1;
    pump();
  }

  pump();
  await ended;
  clearTimeout(timer);
  const left = ready.slice(next).map(({ id, attempt }) => ({ id, attempt, begun: false }));
  const handedBack = source.handBack([...left, ...aborted]);
  // When it cannot be done in time either, they are reclaimed.
  if (signal.aborted || fault !== null) await handedBack.catch(() => undefined);
  signal.throwIfAborted();
  if (fault !== null) throw (fault as { error: unknown }).error;
  await handedBack;
  return parts.stopRequested() ? 'stopped' : 'empty';
}
