/** How far the runs of a sync schedule have come. Pure types. */

export type SyncWatermark = {
  /** All that the source had up to here is at the target. Null: from the start. As the source writes it. */
  watermark: string | null;
  /** Of the records that have just this watermark those that are stored; null: not known. */
  keys: string[][] | null;
  /** What source and target it belongs to; null: whatever they are. Another pair begins from the start. */
  about: string | null;
  /** The run that moved it last; null: it was set by hand. */
  runId: string | null;
  /** Where that run is, for its next attempt. Plain JSON of the job's. */
  runState: unknown;
  updatedAtMs: number;
};
