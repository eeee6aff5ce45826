/** Whose records are asked for: they outlive their schedule, under its id. */
import type { Db } from '../db/client.ts';
import { findSchedule } from '../db/schedule-store.ts';
import { notFound } from '../errors.ts';
import { isUuid } from './run-id.ts';

/** An id is taken as it is. `what`: the records, for the DomainError `not_found` of a name that no schedule has. */
export async function scheduleIdOf(db: Db, ref: string, what: string): Promise<string> {
  const id = isUuid(ref) ? ref : (await findSchedule(db, ref))?.id;
  if (id !== undefined) return id;
  throw notFound(
    `There is no schedule "${ref}". GET /schedules lists them; the ${what} of a deleted one are found by its id.`,
  );
}
