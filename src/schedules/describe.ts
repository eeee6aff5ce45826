/** A trigger in words. Pure. */
import { toIso } from '../clock.ts';
import { formatDuration } from '../duration.ts';
import type { Timing } from './schedule.ts';

/** One English sentence on when a trigger fires. */
export function describe({ trigger, startAtMs, endAtMs }: Timing): string {
  const from = startAtMs === null ? '' : `, from ${toIso(startAtMs)}`;
  const until = endAtMs === null ? '' : `, until ${toIso(endAtMs)}`;
  return `${words(trigger)}${from}${until}.`;
}

function words(trigger: Timing['trigger']): string {
  switch (trigger.kind) {
    case 'cron':
      return `At the times of ${trigger.expressions.map((text) => `"${text}"`).join(' and ')}, in ${trigger.timezone}`;
    case 'every': {
      const { everyMs, offsetMs } = trigger;
      const shift = offsetMs === 0 ? '' : ` plus ${formatDuration(offsetMs)}`;
      return `Every ${formatDuration(everyMs)}, counted from the Unix epoch${shift}`;
    }
    case 'at': {
      const [first = 0] = trigger.atMs;
      if (trigger.atMs.length === 1) return `Once, at ${toIso(first)}`;
      return `At ${trigger.atMs.length} instants, the first at ${toIso(first)}`;
    }
  }
}
