/**
 * Random cron expressions and policies for the property tests. Hours lean towards the night and days towards
 * every day, since that is when clocks are changed.
 */
import fc from 'fast-check';
import type { DstPolicy } from '../../src/schedules/cron-times.ts';

export const dstPolicies: DstPolicy[] = (['run', 'skip'] as const).flatMap((gap) =>
  (['auto', 'first', 'both', 'last'] as const).map((repeat) => ({ gap, repeat })),
);

export const anyPolicy: fc.Arbitrary<DstPolicy> = fc.constantFrom(...dstPolicies);

const anyMinute = fc.oneof(fc.constantFrom(0, 1, 15, 29, 30, 31, 45, 59), fc.nat(59));
const anyHour = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(0, 1, 2, 3, 22, 23) },
  { weight: 1, arbitrary: fc.nat(23) },
);
const anyDay = fc.integer({ min: 1, max: 31 });
const anyMonth = fc.integer({ min: 1, max: 12 });
const anyWeekday = fc.oneof(
  fc.nat(7).map(String),
  fc.constantFrom('SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'),
);

const range = (value: fc.Arbitrary<number>) =>
  fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
const step = (max: number) => fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max }));
const listOf = (item: fc.Arbitrary<string>) =>
  fc.array(item, { minLength: 1, maxLength: 4 }).map((items) => items.join(','));

function numbers(value: fc.Arbitrary<number>, size: number): fc.Arbitrary<string> {
  const item = fc.oneof(
    { weight: 5, arbitrary: value.map(String) },
    { weight: 2, arbitrary: range(value) },
    { weight: 2, arbitrary: fc.tuple(range(value), step(size)).map(([r, s]) => `${r}/${s}`) },
    { weight: 1, arbitrary: fc.tuple(value, step(size)).map(([v, s]) => `${v}/${s}`) },
    { weight: 1, arbitrary: step(size).map((s) => `*/${s}`) },
  );
  return fc.oneof({ weight: 2, arbitrary: item }, { weight: 1, arbitrary: listOf(item) });
}

const second = fc.oneof(fc.constant('0'), fc.constant('*'), numbers(fc.nat(59), 60));
const minute = fc.oneof(
  { weight: 1, arbitrary: fc.constant('*') },
  { weight: 5, arbitrary: numbers(anyMinute, 60) },
);
const hour = fc.oneof(
  { weight: 1, arbitrary: fc.constant('*') },
  { weight: 4, arbitrary: numbers(anyHour, 24) },
);
const dayOfMonth = listOf(
  fc.oneof(
    { weight: 3, arbitrary: numbers(anyDay, 31) },
    { weight: 1, arbitrary: fc.constantFrom('L', 'LW', 'L-1', 'L-2', 'L-3W', '1W', '15W', '31W') },
    { weight: 1, arbitrary: anyDay.map((day) => `${day}W`) },
  ),
);
const dayOfWeek = listOf(
  fc.oneof(
    { weight: 3, arbitrary: anyWeekday },
    { weight: 2, arbitrary: range(fc.nat(7)) },
    { weight: 1, arbitrary: fc.constantFrom('FRI-SUN', 'MON-FRI', '*/2', '*/7', '5-7/2', '1/3') },
    { weight: 1, arbitrary: anyWeekday.map((day) => `${day}L`) },
    {
      weight: 1,
      arbitrary: fc.tuple(anyWeekday, fc.integer({ min: 1, max: 5 })).map(([day, n]) => `${day}#${n}`),
    },
  ),
);
const month = fc.oneof(numbers(anyMonth, 12), fc.constantFrom('FEB', 'MAR-OCT', 'JAN,DEC', '2,4'));

const mostly = (usual: string[], weight: number, field: fc.Arbitrary<string>) =>
  fc.oneof({ weight, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: field });

/** Five fields; some can never fire. */
export const anyFiveFields: fc.Arbitrary<string> = fc
  .tuple(
    minute,
    hour,
    mostly(['*', '*', '?', '*/2'], 3, dayOfMonth),
    mostly(['*'], 5, month),
    mostly(['*', '*', '?', '*/2'], 3, dayOfWeek),
  )
  .map((fields) => fields.join(' '));

export const anySixFields: fc.Arbitrary<string> = fc
  .tuple(second, anyFiveFields)
  .map((parts) => parts.join(' '));

/** Days, months and weekdays at will, at few times of the day: its fires may be years apart. */
export const anySparse: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom('0 0', '30 12', '59 23', '0,30 0,23'),
    mostly(['*'], 1, dayOfMonth),
    month,
    mostly(['*'], 1, dayOfWeek),
  )
  .map((fields) => fields.join(' '));
