import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  hasLabels,
  labelsOf,
  noteOf,
  toSelector,
  withoutPause,
  withPause,
} from '../../src/schedules/pauses.ts';
import type { Pause } from '../../src/schedules/schedule.ts';

const pause = (labels: string[] | null, note: string | null = null): Pause => ({
  labels,
  sinceMs: 0,
  actor: 'ann',
  note,
});

describe('pauses', () => {
  it('of several kinds stand side by side, the newest last', () => {
    const own = withPause([], pause(null, 'own'))!;
    const both = withPause(own, pause(['a:b'], 'group'))!;
    expect([both.map(({ labels }) => labels), noteOf(both)]).toEqual([[null, ['a:b']], 'group']);
    expect(noteOf(withoutPause(both, ['a:b'])!)).toBe('own');
    expect(withoutPause(both, 'all')).toEqual([]);
  });

  it('of a kind that is there already bring only another note', () => {
    const held = [pause(null, 'why')];
    expect(withPause(held, { ...pause(null), sinceMs: 5, actor: 'bob' })).toBeNull();
    expect(withPause(held, pause(null, 'why'))).toBeNull();
    expect(withPause(held, { ...pause(null, 'other'), sinceMs: 5, actor: 'bob' })).toEqual([
      pause(null, 'other'),
    ]);
  });

  it('that do not hold cannot be lifted', () => {
    expect(withoutPause([], 'all')).toBeNull();
    expect(withoutPause([pause(null), pause(['a:b', 'c:d'])], ['a:b'])).toBeNull();
  });

  it('are all gone when each that came was lifted, whatever the order', () => {
    const selectors = fc.uniqueArray(
      fc.option(fc.constantFrom('a:1', 'b:2', 'c:3').map((label) => [label])),
      {
        selector: String,
      },
    );
    fc.assert(
      fc.property(selectors, fc.infiniteStream(fc.nat()), (kinds, order) => {
        let held: readonly Pause[] = [];
        for (const kind of kinds) held = withPause(held, pause(kind)) ?? held;
        expect(held).toHaveLength(kinds.length);
        const left = [...kinds];
        while (left.length > 0) {
          const [kind = null] = left.splice(order.next().value % left.length, 1);
          held =
            (kind === null ? held.filter(({ labels }) => labels !== null) : withoutPause(held, kind)) ?? [];
        }
        expect(held).toEqual([]);
      }),
    );
  });
});

describe('selectors', () => {
  it('are equal when they name the same labels', () => {
    expect(toSelector(['b:2', 'a:1', 'b:2'])).toEqual(['a:1', 'b:2']);
  });

  it('match what has all of the labels; a value may have a colon in it', () => {
    const labels = { team: 'data', at: '10:30' };
    expect(labelsOf(['at:10:30'])).toEqual({ at: '10:30' });
    expect(hasLabels(labels, ['at:10:30', 'team:data'])).toBe(true);
    expect(hasLabels(labels, ['team:data', 'env:prod'])).toBe(false);
    expect(hasLabels(labels, ['toString:x'])).toBe(false);
  });

  it('that name one key with two values match nothing', () => {
    const both = toSelector(['team:data', 'team:web']);
    for (const team of ['data', 'web']) expect(hasLabels({ team }, both)).toBe(false);
  });
});
