/** Random schedules, and random things that happen to them, for tests that hold the core against `fires-model.ts`. */
import fc from 'fast-check';
import { catchUpPolicies, overlapPolicies } from '../../src/schedules/schedule.ts';
import { SECOND } from '../support/timings.ts';
import { type ScheduleChoice, type Step, type TimingChoice, windowsMs } from './fires-model.ts';

const timing = fc.constantFrom<TimingChoice>('every second', 'every 7 s', 'cron', 'union', 'three instants');
export const choice: fc.Arbitrary<ScheduleChoice> = fc.record({
  timing,
  jitterMs: fc.constantFrom(null, null, 700, 5 * SECOND),
  overlap: fc.constantFrom(...overlapPolicies),
  catchUp: fc.constantFrom(...catchUpPolicies),
  catchUpWindowMs: fc.constantFrom(...windowsMs),
  maxRuns: fc.constantFrom(null, null, 3, 8),
  pauseAfterFailures: fc.constantFrom(null, 2),
});

const which = fc.nat(30);
const who = fc.nat(1);
const kind = <K extends string>(...kinds: K[]) => fc.constantFrom(...kinds);
export const step: fc.Arbitrary<Step> = fc.oneof(
  // Fractions, since the clock has them.
  {
    weight: 8,
    arbitrary: fc.record({ kind: kind('live'), ms: fc.constantFrom(1, 999.5, 1000, 3000, 12_345.6) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: kind('down'), ms: fc.constantFrom(500, 2000.5, 9000, 15_000, 150_000) }),
  },
  { weight: 6, arbitrary: fc.record({ kind: kind('dispatch', 'dispatch all') }) },
  { weight: 5, arbitrary: fc.record({ kind: kind('take'), who, limit: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: kind('succeed', 'fail', 'fail for good', 'time out', 'heed'), who, which }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('lose worker'), who }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('late outcome'), which }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('create'), choice }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('pause', 'pause', 'stop', 'remove', 'describe'), which }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: kind('resume'), which, catchUp: fc.constantFrom(...catchUpPolicies) }),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      { kind: kind('trigger'), which, overlap: fc.constantFrom(...overlapPolicies) },
      { requiredKeys: ['kind', 'which'] },
    ),
  },
  { weight: 2, arbitrary: fc.record({ kind: kind('reschedule'), which, timing }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('limit'), which, maxRuns: fc.constantFrom(null, 1, 4) }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('cancel', 'retry'), which }) },
);
