/**
 * What must hold for every expression, zone and instant, tried at random against the oracle. The seed is fixed,
 * so that a failure comes back; CARILLON_CRON_EFFORT=20 tries forty times as much,
 * CARILLON_CRON_SEED=7 something else.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCronCache } from '../../src/schedules/cron-cache.ts';
import { type CronExpression, InvalidCron, parseCron } from '../../src/schedules/cron-expression.ts';
import { type DstPolicy, nextCron, previousCron } from '../../src/schedules/cron-times.ts';
import { anyFiveFields, anyPolicy, anySixFields, anySparse, dstPolicies } from './cron-arbitrary.ts';
import { intlLocal, oracleFires, oracleMatches, oracleNextInUtc } from './cron-oracle.ts';

const effort = Number(process.env.CARILLON_CRON_EFFORT ?? 0.5);
const seed = Number(process.env.CARILLON_CRON_SEED ?? 20_260_101);
const timeoutMs = 120_000 * Math.max(1, effort);
const runs = (usual: number) => ({ numRuns: Math.ceil(usual * effort), seed });

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const zones = [...Intl.supportedValuesOf('timeZone'), 'UTC'];

type Change = { zone: string; at: number; before: number; after: number };

/** Every change of offset of every zone, as Temporal (not zone.ts) has it. */
function changesBetween(from: string, to: string): Change[] {
  return zones.flatMap((zone) => {
    const found: Change[] = [];
    let at = Temporal.Instant.from(from).toZonedDateTimeISO(zone);
    for (;;) {
      const next = at.getTimeZoneTransition('next');
      if (next === null || next.epochMilliseconds >= Date.parse(to)) return found;
      const before = next.subtract({ seconds: 1 }).offsetNanoseconds / 1e6;
      found.push({ zone, at: next.epochMilliseconds, before, after: next.offsetNanoseconds / 1e6 });
      at = next;
    }
  });
}

/** The expression, or nothing when it never fires. */
function parsed(text: string): CronExpression | undefined {
  try {
    return parseCron(text, 'seed');
  } catch (error) {
    if (error instanceof InvalidCron && error.message.includes('never fires')) return undefined;
    throw error;
  }
}

function fireable(texts: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return texts.filter((text) => parsed(text) !== undefined);
}

/** All fires f with from ≤ f < to, by next and by previous. */
function ourFires(text: string, zone: string, dst: DstPolicy, from: number, to: number) {
  const cron = parseCron(text, 'seed');
  const forward: number[] = [];
  for (let t = nextCron(cron, zone, dst, from - 1); t !== null && t < to; t = nextCron(cron, zone, dst, t)) {
    forward.push(t);
  }
  const backward: number[] = [];
  for (
    let t = previousCron(cron, zone, dst, to);
    t !== null && t >= from;
    t = previousCron(cron, zone, dst, t)
  ) {
    backward.push(t);
  }
  return { forward, backward: backward.reverse() };
}

function differs(a: readonly number[], b: readonly number[]): boolean {
  return a.length !== b.length || a.some((value, index) => value !== b[index]);
}

/** Fails when the fires between two instants are not the oracle's, forwards and backwards. */
function compare(
  text: string,
  zone: string,
  dst: DstPolicy,
  window: { from: number; to: number; stepMs?: number; marginMs?: number },
) {
  const { from, to } = window;
  const want = oracleFires(text, zone, dst, from, to, window.stepMs, window.marginMs);
  const { forward, backward } = ourFires(text, zone, dst, from, to);
  if (!differs(forward, want) && !differs(backward, want)) return;
  const readable = (fires: number[]) => fires.map((fire) => new Date(fire).toISOString());
  const title = `${text} in ${zone}, ${JSON.stringify(dst)}`;
  expect(readable(forward), `${title}, forwards`).toEqual(readable(want));
  expect(readable(backward), `${title}, backwards`).toEqual(readable(want));
}

describe('around clock changes', { timeout: timeoutMs }, () => {
  const changes = changesBetween('2020-01-01T00:00Z', '2036-01-01T00:00Z');

  it('fires as the oracle does in the two and a half days around every change of every zone, 2020-2035', () => {
    expect(changes.length).toBeGreaterThan(4_000);
    const each = Math.ceil(2 * effort);
    const texts = fc.sample(fireable(anyFiveFields), { seed, numRuns: each * changes.length });
    const policies = fc.sample(anyPolicy, { seed, numRuns: each * changes.length });
    for (const { zone, at } of changes) {
      for (let n = 0; n < each; n++) {
        compare(texts.pop()!, zone, policies.pop()!, { from: at - 30 * HOUR, to: at + 30 * HOUR });
      }
    }
  });

  it('fires as the oracle does by the second in the hours around changes', () => {
    const anyChange = fc.constantFrom(...changes);
    fc.assert(
      fc.property(fireable(anySixFields), anyChange, anyPolicy, (text, { zone, at }, dst) => {
        compare(text, zone, dst, { from: at - 3 * HOUR, to: at + 3 * HOUR, stepMs: 1_000 });
      }),
      runs(100),
    );
  });

  it('fires as the oracle does around changes of former times, with offsets of seconds and whole days', () => {
    const former = changesBetween('1880-01-01T00:00Z', '2020-01-01T00:00Z');
    const odd = former.filter(({ before, after }) => before % MINUTE !== 0 || after % MINUTE !== 0);
    const large = former.filter(({ before, after }) => Math.abs(after - before) > 3 * HOUR);
    const usual = former.filter(({ before, after }) => before % MINUTE === 0 && after % MINUTE === 0);
    const anyChange = fc.oneof(fc.constantFrom(...odd), fc.constantFrom(...large), fc.constantFrom(...usual));
    fc.assert(
      fc.property(fireable(anyFiveFields), anyChange, anyPolicy, (text, { zone, at, before, after }, dst) => {
        const marginMs = Math.abs(after - before) + HOUR;
        const isOdd = before % MINUTE !== 0 || after % MINUTE !== 0;
        if (isOdd)
          compare(text, zone, dst, { from: at - 2 * HOUR, to: at + 2 * HOUR, stepMs: 1_000, marginMs });
        else compare(text, zone, dst, { from: at - 40 * HOUR, to: at + 40 * HOUR, marginMs });
      }),
      runs(250),
    );
  });

  it('fires as the oracle does from any start within a gap, a repeat, or near them', () => {
    fc.assert(
      fc.property(
        fireable(anyFiveFields),
        fc.constantFrom(...changes),
        anyPolicy,
        fc.integer({ min: -3 * 3_600_000, max: 3 * 3_600_000 }),
        (text, { zone, at }, dst, shift) => {
          const cron = parseCron(text, 'seed');
          const fires = oracleFires(text, zone, dst, at - 30 * HOUR, at + 30 * HOUR);
          const start = at + shift;
          const next = fires.find((fire) => fire > start);
          if (next !== undefined) expect(nextCron(cron, zone, dst, start)).toBe(next);
          const previous = fires.findLast((fire) => fire < start);
          if (previous !== undefined) expect(previousCron(cron, zone, dst, start)).toBe(previous);
        },
      ),
      runs(1_000),
    );
  });
});

describe('anywhere', { timeout: timeoutMs }, () => {
  const anyZone = fc.constantFrom(...zones);
  const anyInstant = fc.integer({
    min: Date.parse('1900-01-01T00:00Z'),
    max: Date.parse('2100-01-01T00:00Z'),
  });
  const anyText = fireable(fc.oneof(anyFiveFields, anySixFields, anySparse));

  it('answers a whole second, strictly after and strictly before, that matches or ends a gap', () => {
    fc.assert(
      fc.property(anyText, anyZone, anyPolicy, anyInstant, (text, zone, dst, instant) => {
        const cron = parseCron(text, 'seed');
        const next = nextCron(cron, zone, dst, instant);
        const previous = previousCron(cron, zone, dst, instant);
        if (next !== null) expect(next).toBeGreaterThan(instant);
        if (previous !== null) expect(previous).toBeLessThan(instant);
        for (const fire of [next, previous]) {
          if (fire === null) continue;
          expect(Math.abs(fire % 1_000)).toBe(0);
          const local = intlLocal(zone, fire);
          const endsGap = local - intlLocal(zone, fire - 1_000) > 1_000;
          if (!oracleMatches(text, local))
            expect({ endsGap, gap: dst.gap, wildcard: cron.wildcard }).toEqual(LOST);
        }
      }),
      runs(3_000),
    );
  });

  it('agrees with itself forwards and backwards', () => {
    fc.assert(
      fc.property(anyText, anyZone, anyPolicy, anyInstant, (text, zone, dst, instant) => {
        const cron = parseCron(text, 'seed');
        const next = nextCron(cron, zone, dst, instant);
        if (next === null) return;
        // Nothing lies between instant and next, so going back from next passes instant (or lands on it).
        const back = previousCron(cron, zone, dst, next);
        if (back !== null) {
          expect(back).toBeLessThanOrEqual(instant);
          expect(nextCron(cron, zone, dst, back)).toBe(next);
        }
        expect(previousCron(cron, zone, dst, next + 1)).toBe(next);
        expect(nextCron(cron, zone, dst, next - 1)).toBe(next);
      }),
      runs(10_000),
    );
  });

  it('finds sparse days where a search day by day finds them', () => {
    const daysMax = 9 * 366;
    const policy: DstPolicy = { gap: 'run', repeat: 'auto' };
    fc.assert(
      fc.property(fireable(anySparse), anyInstant, (text, instant) => {
        const want = oracleNextInUtc(text, instant, daysMax);
        const got = nextCron(parseCron(text, 'seed'), 'UTC', policy, instant);
        if (want !== null) expect(got).toBe(want);
        else expect(got).toBeGreaterThan(instant + daysMax * DAY);
      }),
      runs(1_000),
    );
  });

  it('finds some time within 40 years for whatever it accepts', () => {
    fc.assert(
      fc.property(fireable(anySparse), anyInstant, (text, instant) => {
        const cron = parseCron(text, 'seed');
        const next = nextCron(cron, 'UTC', { gap: 'run', repeat: 'auto' }, instant);
        const previous = previousCron(cron, 'UTC', { gap: 'run', repeat: 'auto' }, instant);
        expect(next).toBeLessThan(instant + 40.01 * 365.25 * DAY);
        expect(previous).toBeGreaterThan(instant - 40.01 * 365.25 * DAY);
      }),
      runs(3_000),
    );
  });

  it('gives the same answers with a cache as without', () => {
    // First the four repeats of each gap, then both gaps of each repeat.
    const neighbours: DstPolicy[] = [
      ...dstPolicies,
      ...dstPolicies.flatMap(({ repeat }) => [
        { gap: 'run' as const, repeat },
        { gap: 'skip' as const, repeat },
      ]),
    ];
    const question = fc.record({
      text: fc.constantFrom(
        '*/5 * * * *',
        '30 2 * * *',
        '0 2 * * SUN',
        'H H * * *',
        'H/7 * * * *',
        '@hourly',
        '0 0 29 2 *',
      ),
      name: fc.constantFrom('a', 'b', 'c'),
      zone: fc.constantFrom('UTC', 'Europe/Berlin', 'Australia/Lord_Howe', 'America/Santiago'),
      dst: anyPolicy,
      instant: fc
        .tuple(
          fc.constantFrom('2026-03-29T01:00Z', '2026-10-25T01:00Z', '2026-04-04T15:00Z', '2026-09-06T04:00Z'),
          fc.integer({ min: -12 * HOUR, max: 12 * HOUR }),
        )
        .map(([change, shift]) => Date.parse(change) + shift),
    });
    fc.assert(
      fc.property(
        fc.array(question, { maxLength: 30 }),
        fc.integer({ min: 1, max: 6 }),
        (questions, entriesMax) => {
          const cache = createCronCache(entriesMax);
          for (const { text, name, zone, dst, instant } of questions) {
            const cron = parseCron(text, name);
            const next = nextCron(cron, zone, dst, instant);
            const previous = previousCron(cron, zone, dst, instant);
            expect(cache.next(text, name, zone, dst, instant)).toBe(next);
            expect(cache.previous(text, name, zone, dst, instant)).toBe(previous);
            // Asked again, from the far ends of the stretch for which the answers hold.
            if (next !== null) expect(cache.next(text, name, zone, dst, next - 1)).toBe(next);
            if (next !== null)
              expect(cache.next(text, name, zone, dst, next)).toBe(nextCron(cron, zone, dst, next));
            if (previous !== null) expect(cache.previous(text, name, zone, dst, previous + 1)).toBe(previous);
            if (previous !== null) {
              expect(cache.previous(text, name, zone, dst, previous)).toBe(
                previousCron(cron, zone, dst, previous),
              );
            }
            // Neighbours that differ in one thing only, one after the other.
            for (const near of neighbours) {
              expect(cache.next(text, name, zone, near, instant)).toBe(nextCron(cron, zone, near, instant));
              expect(cache.previous(text, name, zone, near, instant)).toBe(
                previousCron(cron, zone, near, instant),
              );
            }
            expect(cache.next(text, name, 'Europe/Dublin', dst, instant)).toBe(
              nextCron(cron, 'Europe/Dublin', dst, instant),
            );
            expect(cache.parse(text, name)).toEqual(cron);
            expect(cache.size()).toBeLessThanOrEqual(entriesMax);
          }
        },
      ),
      runs(120),
    );
  });

  it('either reads a text or refuses it with the name of a field', () => {
    const piece = fc.constantFrom(
      ...'0123456789*/-,?LWH#() @ \tJANMONé\n'.split(''),
      ' * ',
      '* * * * ',
      '5-7',
      'SUN',
    );
    const nonsense = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(fc.oneof(nonsense, fc.string(), anySixFields), (text) => {
        try {
          const cron = parseCron(text, 'seed');
          expect(nextCron(cron, 'UTC', { gap: 'run', repeat: 'auto' }, 0)).toBeTypeOf('number');
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidCron);
          expect((error as Error).message).toMatch(
            /^(expression|second|minute|hour|day-of-month|month|day-of-week): ./,
          );
        }
      }),
      runs(5_000),
    );
  });
});

/** The only way for a fire not to match: it makes up for a time lost in the gap that it ends. */
const LOST = { endsGap: true, gap: 'run', wildcard: false };
