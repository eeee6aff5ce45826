/** What precedes every change of a schedule: its lock, the caller's condition, and what is due until now (`settle.ts`). */
import type { Clock } from '../clock.ts';
import type { Tx } from '../db/client.ts';
import { lockSchedule, type StoredSchedule } from '../db/schedule-store.ts';
import type { CalendarBook } from './calendar-book.ts';
import type { Deed } from './commands.ts';
import { type Caller, checkPrecondition } from './precondition.ts';
import { unknownSchedule } from './schedule-refusals.ts';
import { settle } from './settle.ts';

export type HoldParts = {
  clock: Clock;
  book: CalendarBook;
  /** Task queues that some worker serves by name. */
  served(): readonly string[];
};

export type Held = { schedule: StoredSchedule; deed: Deed };

/** Locks it and settles it. DomainError `not_found`, `precondition_failed`. */
export async function hold(tx: Tx, parts: HoldParts, ref: string, caller: Caller): Promise<Held> {
  const found = await lockSchedule(tx, ref);
  if (found === null) throw unknownSchedule(ref);
  checkPrecondition(caller, found.spec.name, found.version);
  return await settled(tx, parts, found, caller.actor);
}

/** Of a schedule that the transaction has locked already. */
export async function settled(
  tx: Tx,
  { book, clock, served }: HoldParts,
  found: StoredSchedule,
  actor: string,
): Promise<Held> {
  const calendars = await book.read(tx, [found.spec.timing]);
  const deed = { nowMs: clock.now(), served: served(), calendars, actor };
  return { schedule: await settle(tx, found, deed), deed };
}
