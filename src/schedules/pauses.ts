/**
 * The pauses of a schedule: one of its own and one for each group that was paused while it belonged to it. It is paused
 * while any holds. Lifting one leaves the others: to resume a group does not wake what was paused before. Pure.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Pause } from './schedule.ts';

/** Labels that a schedule must have all of, sorted, each as `key:value`. */
export type Selector = readonly string[];

/** Equal selectors are equal texts: sorted, without repeats. */
export function toSelector(labels: readonly string[]): Selector {
  return [...new Set(labels)].sort();
}

/** A value may have a colon in it, a key has none. */
function pairOf(label: string): [key: string, value: string] {
  const colon = label.indexOf(':');
  return [label.slice(0, colon), label.slice(colon + 1)];
}

/** Of a key with two values the last: `hasLabels` looks at both. */
export function labelsOf(selector: Selector): Record<string, string> {
  return Object.fromEntries(selector.map(pairOf));
}

export function hasLabels(labels: Readonly<Record<string, string>>, selector: Selector): boolean {
  return selector.map(pairOf).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}

const isOf = (pause: Pause, labels: Selector | null) => isDeepStrictEqual(pause.labels, labels);

export function isHeldBy(pauses: readonly Pause[], labels: Selector | null): boolean {
  return pauses.some((pause) => isOf(pause, labels));
}

/** With this pause; where there is one of its kind already, that one stays and takes a new note. Null: nothing new. */
export function withPause(pauses: readonly Pause[], pause: Pause): readonly Pause[] | null {
  const held = pauses.find((each) => isOf(each, pause.labels));
  if (held === undefined) return [...pauses, pause];
  if (pause.note === null || pause.note === held.note) return null;
  return pauses.map((each) => (each === held ? { ...held, note: pause.note } : each));
}

/** `lifted`: that of a group, or `all`. Null: there is none such. */
export function withoutPause(pauses: readonly Pause[], lifted: Selector | 'all'): readonly Pause[] | null {
  const left = lifted === 'all' ? [] : pauses.filter((pause) => !isOf(pause, lifted));
  return left.length === pauses.length ? null : left;
}

/** What a paused schedule's note says: why it was paused last. */
export function noteOf(pauses: readonly Pause[]): string | null {
  return pauses.at(-1)?.note ?? null;
}
