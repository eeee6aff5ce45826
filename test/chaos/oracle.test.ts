/** The oracle against times written by hand, and against the service's evaluator, with which it shares no code. */
import { expect, it } from 'vitest';
import { namedTimes } from '../../chaos/oracle.ts';
import { type PlannedTrigger, planChaos } from '../../chaos/plan.ts';
import type { Timing } from '../../src/schedules/schedule.ts';
import { nextAfter } from '../../src/schedules/trigger.ts';
import { cron, every } from '../support/timings.ts';

const fromMs = Date.UTC(2026, 2, 29, 0, 59, 30);

it.each<[PlannedTrigger, number[]]>([
  [{ every: '15s' }, [0, 15, 30, 45]],
  [{ every: '20s', offset: '7s' }, [17, 37, 57]],
  [{ cron: '*/20 * * * * *' }, [10, 30, 50]],
  [{ cron: '5,50 * * * * *' }, [20, 35]],
  [{ cron: '0 */30 * * * *' }, [30]],
  [{ cron: '0 30 * * * *' }, []],
])('%j names the seconds %j of the minute from half past', (trigger, seconds) => {
  expect(namedTimes(trigger, fromMs, fromMs + 59_999)).toEqual(
    seconds.map((second) => fromMs + second * 1000),
  );
});

it('names what the service names, for each trigger of a plan', () => {
  const { schedules, calls } = planChaos({ seed: 1, minutes: 5, short: false });
  const triggers = [
    ...schedules.map((schedule) => schedule.trigger),
    ...calls.flatMap(({ op }) => ('trigger' in op ? [op.trigger] : [])),
  ];
  for (const trigger of new Map(triggers.map((each) => [JSON.stringify(each), each])).values()) {
    const expected: number[] = [];
    for (
      let next = nextAfter(toTiming(trigger), 'x', fromMs - 1);
      next !== null && next < fromMs + 200_000;
    ) {
      expected.push(next);
      next = nextAfter(toTiming(trigger), 'x', next);
    }
    expect(namedTimes(trigger, fromMs, fromMs + 199_999), JSON.stringify(trigger)).toEqual(expected);
  }
});

function toTiming(trigger: PlannedTrigger): Timing {
  if ('cron' in trigger) return cron(trigger.cron);
  const ms = (text: string | undefined) => Number.parseInt(text ?? '0', 10) * 1000;
  return every(ms(trigger.every), ms(trigger.offset));
}

it('the same seed makes the same plan, another one another', () => {
  const plan = (seed: number, short: boolean) => planChaos({ seed, minutes: 10, short });
  for (const short of [true, false]) {
    expect(plan(3, short)).toEqual(plan(3, short));
    expect(plan(3, short)).not.toEqual(plan(4, short));
  }
});

it('a full plan has each fault at least once, whatever the seed', () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const { faults } = planChaos({ seed, minutes: 12, short: false });
    const all = faults.flatMap((step) => step.faults);
    expect(new Set(all.map((fault) => fault.kind)).size).toBe(17);
    const updates = all.flatMap((fault) => (fault.kind === 'update' ? [fault.node] : []));
    expect(updates.toSorted()).toEqual([0, 1, 2]);
  }
});

it('a plan of one fault has no other, as often as there is time', () => {
  const { faults, loadMs } = planChaos({ seed: 1, minutes: 2, short: false, only: ['disk_full'] });
  expect(faults.length).toBeGreaterThan(4);
  expect(faults.every((step) => step.faults.every((fault) => fault.kind === 'disk_full'))).toBe(true);
  expect(Math.max(...faults.map((step) => step.atMs + step.lastsMs))).toBeLessThan(loadMs);
  expect(planChaos({ seed: 1, minutes: 2, short: false, only: [] }).faults).toEqual([]);
});
