/**
 * The states of a run. Pure.
 *
 *                     ┌───────────────── lost or handed back (attempt + 1) ─────────────┐
 *                     ▼                                                                 │
 *   (fire) ──────► queued ──── claim ────► running ──┬──► succeeded                     │
 *     │               ▲                     │  │ │    ├──► failed      attempts used up  │
 *     │               │ due (attempt + 1)   │  │ └────┼─────────────────────────────────┘
 *     │               └────── retrying ◄────┘  │      ├──► timed_out   attempts used up
 *     │                          │             │      └──► cancelled
 *     │  queued, retrying ───────┴─────────────┴──► cancelled  (by hand, stop, withdrawn)
 *     │
 *     ├──► skipped   its overlap policy said no; never started
 *     └──► missed    nobody dispatched when it was due, and catch-up said no; never started
 *
 * A queued run may be *held*: its overlap policy lets nobody claim it until the active runs of its schedule have ended.
 * The right-hand ends are final: nothing leaves them, and no attempt number but the current one may make a move.
 * `migrations/` repeats these rules as CHECKs and as a trigger.
 */
export const activeStatuses = ['queued', 'running', 'retrying'] as const;
/** Ends of a run that has been started, or might have been. */
export const outcomeStatuses = ['succeeded', 'failed', 'cancelled', 'timed_out'] as const;
/** Ends of a fire that never became a run. */
export const neverStartedStatuses = ['skipped', 'missed'] as const;
export const runStatuses = [...activeStatuses, ...outcomeStatuses, ...neverStartedStatuses] as const;

export type ActiveStatus = (typeof activeStatuses)[number];
export type OutcomeStatus = (typeof outcomeStatuses)[number];
export type RunStatus = (typeof runStatuses)[number];

export const runCauses = ['schedule', 'manual', 'backfill', 'catch_up', 'retry'] as const;
export type RunCause = (typeof runCauses)[number];

/**
 * How an attempt ended that did not end its run: `lost` with its worker, `handed_back` at a shutdown, `waiting` where a
 * step sleeps or is tried again later.
 */
export const attemptStatuses = ['running', ...outcomeStatuses, 'lost', 'handed_back', 'waiting'] as const;
export type AttemptStatus = (typeof attemptStatuses)[number];

/** `retrying` and `sleeping` wait for their time, or without one for the next attempt. */
export const stepStatuses = ['running', 'retrying', 'sleeping', 'succeeded', 'failed'] as const;
export type StepStatus = (typeof stepStatuses)[number];

/** What a run is asked to do while it runs: end now, or end at the next good place. */
export const runSignals = ['cancel', 'stop'] as const;
export type RunSignal = (typeof runSignals)[number];

export function isActive(status: RunStatus): status is ActiveStatus {
  return (activeStatuses as readonly string[]).includes(status);
}
