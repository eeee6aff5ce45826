/** What a calendar may be, and the one way of saying that it is not. Pure. */

/** Bytes of an iCalendar text in UTF-8. */
export const calendarBytesMax = 1_048_576;
/** Dates and ranges, or events. */
export const calendarEntriesMax = 10_000;
/** Stretches of time after recurrences are expanded and before neighbours are merged. */
export const calendarIntervalsMax = 50_000;
/** Endless recurrences are expanded so many years ahead. */
export const calendarYearsAhead = 40;
/** Days that may be looked at while the rules of one calendar are expanded: some 200 ms of work. */
export const calendarDaysLookedAtMax = 1_000_000;

/**
 * A calendar that cannot be taken. The message names the entry, or the line and the event, and says what to
 * do.
 */
export class InvalidCalendar extends Error {
  override readonly name = 'InvalidCalendar';
  /** The index in `entries` that is wrong; null when it is the iCalendar text, or the calendar as a whole. */
  readonly entry: number | null;

  constructor(message: string, entry: number | null = null) {
    super(message);
    this.entry = entry;
  }
}
