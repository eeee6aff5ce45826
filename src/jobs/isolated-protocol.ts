/** What a worker and the process of an isolated run say to each other. Plain JSON over Node's IPC channel. */
import type { ClaimedRun } from '../db/run-store.ts';
import type { LogLevel } from './job.ts';
import type { AbortReason } from './live-attempt.ts';
import type { AttemptEnd } from './run-job.ts';
import type { Progress } from './step-progress.ts';
import type { StepRecord } from './step-record.ts';

/** Where the process finds its job types: a module with `jobs(settings)`, and the settings, which are plain JSON. */
export type JobModule = { url: string; settings: unknown };

export type ToChild =
  | {
      kind: 'start';
      /** With its secrets in its input, which this channel alone carries. */
      run: ClaimedRun;
      /** The secrets by name, to be redacted. */
      secrets: [name: string, value: string][];
      module: JobModule;
      /** What the worker's clock says more than the machine's, which all processes of a machine share (`machineMs`). */
      clockAheadMs: number;
      stopRequested: boolean;
    }
  | { kind: 'abort'; why: AbortReason; message: string }
  | { kind: 'stop' }
  | { kind: 'reply'; id: number; value?: unknown; error?: string };

export type JournalCall =
  | { method: 'load' }
  | { method: 'save'; record: StepRecord }
  | { method: 'saveProgress'; progress: Progress };

export type FromChild =
  | { kind: 'log'; level: LogLevel; message: string }
  | { kind: 'call'; id: number; call: JournalCall }
  | { kind: 'end'; end: AttemptEnd };
