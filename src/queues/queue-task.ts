/**
 * A task of a queue and its states. Pure.
 *
 *   pending ──claim──► running ──► succeeded
 *      ▲  ▲               │ ├────► dead ──retry by hand──► pending
 *      │  └─ lost, handed ┘ │
 *      │       back         ▼
 *      └──── its time ── waiting          (also at first, with `notBefore`)
 *
 * pending, waiting and running ──► cancelled
 */
import type { RunError } from '../runs/run.ts';

export const taskStatuses = ['pending', 'waiting', 'running', 'succeeded', 'dead', 'cancelled'] as const;
export type TaskStatus = (typeof taskStatuses)[number];

export function isLive(status: TaskStatus): boolean {
  return status === 'pending' || status === 'waiting' || status === 'running';
}

export type QueueTask = {
  id: string;
  queue: string;
  status: TaskStatus;
  /** The greater goes first. */
  priority: number;
  /** From when it may be taken, epoch milliseconds. */
  dueAtMs: number;
  /** Tries that were begun; what fences late writes off. */
  attempt: number;
  failures: number;
  maxAttempts: number;
  dedupeKey: string | null;
  /** Of the drain that has it or had it last. */
  runId: string | null;
  createdAtMs: number;
  startedAtMs: number | null;
  finishedAtMs: number | null;
  /** With its references to secrets. */
  input: unknown;
  output: unknown;
  error: RunError | null;
};

/** As a drain gets it. */
export type ClaimedTask = Pick<
  QueueTask,
  'id' | 'attempt' | 'failures' | 'maxAttempts' | 'priority' | 'dueAtMs' | 'input'
>;

export type NewTask = {
  input: unknown;
  dedupeKey: string | null;
  priority: number;
  /** Null: at once. */
  notBeforeMs: number | null;
  maxAttempts: number;
};

/** `created` false: the task that has had this key before. */
export type EnqueuedTask = { id: string; status: TaskStatus; dedupeKey: string | null; created: boolean };

export type Queue = {
  id: string;
  name: string;
  createdAtMs: number;
  /** `succeeded` and `cancelled` since the queue was made; the others are what there is now. */
  counts: Record<TaskStatus, number>;
  /** Since when the pending task that has waited longest could have begun. */
  oldestPendingMs: number | null;
};

export const tasksPerRequestMax = 1_000;
export const priorityMax = 1_000;
export const maxAttemptsDefault = 3;
export const maxAttemptsMax = 100;
export const dedupeKeyLengthMax = 256;
