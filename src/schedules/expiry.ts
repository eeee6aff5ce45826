/**
 * Deletes schedules whose time after completion is over (`deleteAfterCompletion`). Each is deleted as a command would,
 * in a transaction of its own: killed, the others are found again by the next pass. Their runs stay in the history.
 */
import type { Db } from '../db/client.ts';
import { listExpired, lockSchedule } from '../db/schedule-store.ts';
import { removeSchedule } from './commands.ts';
import { type HoldParts, settled } from './hold.ts';
import { houseActor } from './precondition.ts';
import { isExpired } from './schedule-next.ts';

export const expireEveryMs = 10_000;
const batchMax = 100;

/** Returns how many were deleted. */
export async function expirePass(parts: HoldParts & { db: Db }): Promise<number> {
  const { db, clock } = parts;
  let deleted = 0;
  for (const id of await listExpired(db, clock.now(), batchMax)) {
    deleted += await db.transaction(async (tx) => {
      const found = await lockSchedule(tx, id);
      // Changed, revived or busy since it was looked for.
      if (found === null || !isExpired(found, clock.now())) return 0;
      const { schedule, deed } = await settled(tx, parts, found, houseActor);
      await removeSchedule(tx, schedule, deed, 'its time after completion is over');
      return 1;
    });
  }
  return deleted;
}
