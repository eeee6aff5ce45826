/** What can be said of an instant of a schedule, and how times and pauses are told in it. Pure. */
import { toIso } from '../clock.ts';
import { presentLocal } from './local-time.ts';
import type { Pause } from './schedule.ts';

export const verdicts = [
  ...(['ran', 'running', 'waiting', 'skipped', 'missed', 'excluded', 'paused'] as const),
  ...(['stopped', 'completed', 'deleted', 'withdrawn', 'cancelled'] as const),
  ...(['not_a_nominal_time', 'outside_window', 'before_creation', 'will_run', 'unknown'] as const),
] as const;
export type Verdict = (typeof verdicts)[number];

/** `pauses`: those that it is about. */
export type Said = { verdict: Verdict; detail: string; pauses?: readonly Pause[] };

/** Times in words: in UTC, and on the clock of the schedule. */
export type Tell = (ms: number) => string;

export function teller(timezone: string): Tell {
  return (ms) => {
    const utc = toIso(ms).replace('.000Z', 'Z');
    return timezone === 'UTC' ? utc : `${utc} (${presentLocal(timezone, ms)} in ${timezone})`;
  };
}

export function pausedWords(pauses: readonly Pause[], tell: Tell): string {
  const each = pauses.map(({ labels, sinceMs, actor, note }) => {
    const who = labels === null ? 'the schedule' : `its group ${labels.join(', ')}`;
    return `${who} was paused at ${tell(sinceMs)} by ${actor}${noted(note)}`;
  });
  const text = each.length === 0 ? 'the schedule was paused' : each.join('; ');
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

export function noted(note: string | null): string {
  return note === null ? '' : ` (${JSON.stringify(note)})`;
}
