/** Ids. All are UUIDv7 in layout (RFC 9562 §5.7): they sort by their time, milliseconds since the epoch. Pure. */
import { hash, randomBytes } from 'node:crypto';

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** A fresh id whose time is `atMs`. */
export function newId(atMs: number): string {
  return layOut(atMs, randomBytes(10).toString('hex'));
}

/**
 * The id of the run of one nominal time: the same for everyone who computes it, so a second insert of the same fire
 * conflicts instead of doubling it.
 */
export function scheduledRunId(scheduleId: string, scheduledForMs: number): string {
  return layOut(scheduledForMs, hash('sha256', `${scheduleId}@${scheduledForMs}`, 'hex'));
}

/** The least id of that time; ids of later times are greater, of earlier times less. */
export function leastId(atMs: number): string {
  return layOut(atMs, '00000000000000000000');
}

function layOut(atMs: number, hex: string): string {
  const time = Math.max(0, Math.floor(atMs)).toString(16).padStart(12, '0');
  // The variant digit is 8, 9, a or b.
  const variant = ((Number.parseInt(hex[3]!, 16) & 0x3) | 0x8).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex.slice(0, 3)}-${variant}${hex.slice(4, 7)}-${hex.slice(7, 19)}`;
}
