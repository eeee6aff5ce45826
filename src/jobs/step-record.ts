/** What is kept of steps, and where. Pure. */
import type { RunError } from '../runs/run.ts';
import type { StepStatus } from '../runs/run-state.ts';
import type { Progress } from './step-progress.ts';

/** A step as it is on record. Times in epoch milliseconds. */
export type StepRecord = {
  name: string;
  status: StepStatus;
  /** Tries so far, those that were lost with their worker included. */
  attempts: number;
  /** Tries that failed; what the step's own policy counts. */
  failures: number;
  startedAtMs: number;
  finishedAtMs: number | null;
  output: unknown;
  error: RunError | null;
  /** When a step that waits goes on. */
  resumeAtMs: number | null;
};

/** Where steps are kept. Each write answers false, and writes nothing, when the run is not at this attempt any more. */
export interface StepJournal {
  load(): Promise<StepRecord[]>;
  save(record: StepRecord): Promise<boolean>;
  saveProgress(progress: Progress): Promise<boolean>;
}

/** Of a step that has not been tried. */
export function newStep(name: string, startedAtMs: number): StepRecord {
  return {
    name,
    status: 'running',
    attempts: 0,
    failures: 0,
    startedAtMs,
    finishedAtMs: null,
    output: null,
    error: null,
    resumeAtMs: null,
  };
}
