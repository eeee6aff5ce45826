/**
 * Durations on the wire. They are told again as the caller wrote them: who says "90s" does not find "1m30s". A schedule
 * keeps the texts that differ from the canonical form, by the JSON Pointer of their field. Pure.
 */
import { formatDuration, parseDuration, type WrittenDuration } from '../duration.ts';
import type { ScheduleSpec } from '../schedules/schedule.ts';

/** JSON Pointer of a field → the text of its duration, where that is not the canonical one. */
export type WrittenTexts = Record<string, string>;

/** The milliseconds; the text goes into `written` when it needs to be remembered. */
export function takeDuration(given: WrittenDuration, pointer: string, written: WrittenTexts): number {
  if (given.text !== formatDuration(given.ms)) written[pointer] = given.text;
  return given.ms;
}

/** As it was written, if what is remembered still means this length; else canonical. */
export function presentDuration(ms: number, pointer: string, written: ScheduleSpec['written'] = {}): string {
  const text = Object.hasOwn(written, pointer) ? written[pointer] : undefined;
  return text !== undefined && parseDuration(text) === ms ? text : formatDuration(ms);
}
