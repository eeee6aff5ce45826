/** Reading and setting how far a sync schedule has come. */
import type { Clock } from '../clock.ts';
import type { Db, Tx } from '../db/client.ts';
import { findSchedule, lockSchedule, type StoredSchedule } from '../db/schedule-store.ts';
import { findWatermark, setWatermark } from '../db/watermark-store.ts';
import { conflict } from '../errors.ts';
import type { SyncWatermark } from '../runs/sync-watermark.ts';
import { unknownSchedule } from './schedule-refusals.ts';

export type WatermarkView = Pick<SyncWatermark, 'watermark' | 'runId'> & {
  scheduleId: string;
  /** Null: it was never moved nor set. */
  updatedAtMs: number | null;
};

/** `ref`: id or name. Unknown: DomainError `not_found`; not of the job type `sync`: `conflict`. */
export interface WatermarkService {
  get(ref: string): Promise<WatermarkView>;
  /** Null: from the start. `conflict` while a run of the schedule is active, since that would move it on. */
  set(ref: string, watermark: string | null): Promise<WatermarkView>;
}

export function createWatermarkService({ db, clock }: { db: Db; clock: Clock }): WatermarkService {
  async function view(on: Db | Tx, { id }: StoredSchedule): Promise<WatermarkView> {
    const found = await findWatermark(on, id);
    return {
      scheduleId: id,
      watermark: found?.watermark ?? null,
      runId: found?.runId ?? null,
      updatedAtMs: found?.updatedAtMs ?? null,
    };
  }

  return {
    get: async (ref) => await view(db, syncSchedule(ref, await findSchedule(db, ref))),

    set: (ref, watermark) =>
      db.transaction(async (tx) => {
        const schedule = syncSchedule(ref, await lockSchedule(tx, ref));
        if (schedule.activeRuns > 0) {
          throw conflict(
            `Schedule "${schedule.spec.name}" has a run that is active and would move its watermark on. Wait for its end or cancel it, and set the watermark then.`,
          );
        }
        await setWatermark(tx, schedule.id, watermark, clock.now());
        return await view(tx, schedule);
      }),
  };
}

function syncSchedule(ref: string, schedule: StoredSchedule | null): StoredSchedule {
  if (schedule === null) throw unknownSchedule(ref);
  const { type } = schedule.spec.job;
  if (type === 'sync') return schedule;
  throw conflict(
    `Schedule "${schedule.spec.name}" has jobs of the type "${type}"; only those of the type "sync" have a watermark.`,
  );
}
