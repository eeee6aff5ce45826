/** Triggers and instants in few words, for tables. */
import { DST_DEFAULT, type DstPolicy } from '../../src/schedules/cron-times.ts';
import type { Exclusions, Timing } from '../../src/schedules/schedule.ts';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Epoch milliseconds of an RFC 3339 text. */
export const ms = (text: string): number => Date.parse(text);

type Window = { startAtMs?: number | null; endAtMs?: number | null };

export function every(everyMs: number, offsetMs = 0, window: Window = {}): Timing {
  return { trigger: { kind: 'every', everyMs, offsetMs }, startAtMs: null, endAtMs: null, ...window };
}

export function at(...atMs: number[]): Timing {
  return { trigger: { kind: 'at', atMs }, startAtMs: null, endAtMs: null };
}

export function cron(
  expressions: string | readonly string[],
  options: Window & { timezone?: string; dst?: DstPolicy } = {},
): Timing {
  const { timezone = 'UTC', dst = DST_DEFAULT, startAtMs = null, endAtMs = null } = options;
  return {
    trigger: { kind: 'cron', expressions: [expressions].flat(), timezone, dst },
    startAtMs,
    endAtMs,
  };
}

export function delay(delayMs: number, window: Window = {}): Timing {
  return { trigger: { kind: 'delay', delayMs }, startAtMs: null, endAtMs: null, ...window };
}

/** The timing less what is excluded, on the clock of UTC unless told otherwise. */
export function less(timing: Timing, exclude: readonly string[], more: Partial<Exclusions> = {}): Timing {
  return { ...timing, exclusions: { exclude, only: [], onExcluded: 'skip', timezone: 'UTC', ...more } };
}
