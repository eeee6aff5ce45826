/** Instants on the wire: RFC 3339, any offset in, UTC out. Pure. */
import { toIso } from '../clock.ts';

const pattern =
  /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

const textLengthMax = 64;
const firstMs = 0;
const lastMs = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

const form =
  'must be a time such as "2026-12-24T18:00:00+01:00" or "2026-12-24T17:00:00Z" (RFC 3339, with its offset)';

/**
 * Epoch milliseconds, or why the text is no instant. Stricter than Date.parse, which takes 30 February for 2 March and
 * guesses a missing offset. Digits beyond milliseconds are cut off.
 */
export function parseInstant(text: string): number | { reason: string } {
  const match = text.length <= textLengthMax ? pattern.exec(text) : null;
  if (match === null) return { reason: form };
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number);
  if (second === 60)
    return { reason: 'names a leap second, which computers cannot count; use the second before or after' };
  if (hour > 23 || minute > 59 || second > 59) return { reason: 'names a time of day that does not exist' };
  const local = Date.UTC(year, month - 1, day, hour, minute, second);
  // Date.UTC rolls over what the calendar lacks, and moves the years 0 to 99 into the 20th century.
  const date = new Date(local);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || date.getUTCFullYear() !== year) {
    return { reason: 'names a day that is not in the calendar' };
  }
  const [offsetHours, offsetMinutes] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (offsetHours > 23 || offsetMinutes > 59) return { reason: 'has an offset that does not exist' };
  const offsetMs = (offsetHours * 60 + offsetMinutes) * 60_000 * (match[8] === '-' ? -1 : 1);
  const ms = local - offsetMs + Number((match[7] ?? '').padEnd(3, '0').slice(0, 3));
  return ms >= firstMs && ms <= lastMs ? ms : { reason: 'must lie between the years 1970 and 9999 (in UTC)' };
}

export function presentInstant(ms: number | null): string | null {
  return ms === null ? null : toIso(ms);
}
