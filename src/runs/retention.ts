/** How long ended runs are kept. Pure. */

/**
 * An ended run may go when it is too old, or one too many of its schedule; null: never for that reason. Of a schedule
 * that is there the newest `keptRunsMin`, the last failure and the last run that started stay in any case; of one that
 * was deleted, runs go by age alone.
 */
export type Retention = {
  /** Since its end, and since its nominal time. */
  ageMsMax: number | null;
  /** Runs of one schedule, the active ones included, newest nominal time first. What a backfill made goes by age alone. */
  runsMax: number | null;
};

/** Ended runs of each schedule that are kept whatever their age. */
export const keptRunsMin = 20;
