/** zod's issues in words that a caller can act on. Pure; for HTTP and for the inputs of jobs. */
import type { z } from 'zod';

/** A predicate goes on from its subject; words that begin with a capital letter or a quotation are a sentence of their own. */
export function sentence(subject: string, words: string): string {
  return /^[\p{Lu}"]/u.test(words)
    ? `${subject}: ${words}`
    : `${subject} ${words}${words.endsWith('.') ? '' : '.'}`;
}

/** A path as a reader of code writes it: `job.input.urls[0]`. */
export function fieldName(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index > 0 ? '.' : ''}${String(key)}`))
    .join('');
}

/** What an issue says, without the field's name in front: a predicate, or a sentence with a capital letter. */
export function wordsFor(issue: z.core.$ZodIssue, value: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      if (value === undefined) return 'is required';
      // zod expects a number of an integer that is beyond all numbers, or is none.
      if (issue.expected === 'number' && typeof value === 'number') return 'is too large a number';
      return `must be ${kindNames[issue.expected] ?? issue.expected}, not ${kindOf(value)}`;
    case 'invalid_value':
      if (value === undefined) return 'is required';
      return `must be ${listOf(issue.values.map((item) => JSON.stringify(item)))}`;
    case 'too_small':
      return `must ${measure(issue.origin)}at least ${issue.minimum}${unitOf(issue.origin, issue.minimum)}`;
    case 'too_big':
      return `must ${measure(issue.origin)}at most ${issue.maximum}${unitOf(issue.origin, issue.maximum)}`;
    case 'invalid_union':
      return wordsForUnion(issue, value);
    case 'invalid_format':
      return issue.message.startsWith('Invalid') ? 'has the wrong form' : issue.message;
    default:
      return issue.message;
  }
}

/** Of a union's branches the one is told that takes this kind of value; when none does, all kinds are. */
function wordsForUnion(issue: z.core.$ZodIssueInvalidUnion, value: unknown): string {
  if (value === undefined) return 'is required';
  const kinds: string[] = [];
  for (const branch of issue.errors) {
    const first = branch[0];
    if (first === undefined) continue;
    if (first.code !== 'invalid_type' || first.path.length > 0)
      return wordsFor(first, valueAt(value, first.path));
    kinds.push(kindNames[first.expected] ?? first.expected);
  }
  return `must be ${listOf(kinds)}, not ${kindOf(value)}`;
}

const kindNames: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'an array',
  null: 'null',
};

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'a number' : 'a fraction';
  if (typeof value === 'boolean') return 'a boolean';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function measure(origin: string): string {
  return origin === 'string' || origin === 'array' ? 'have ' : 'be ';
}

function unitOf(origin: string, count: number | bigint): string {
  if (origin === 'string') return count === 1 ? ' character' : ' characters';
  if (origin === 'array') return count === 1 ? ' item' : ' items';
  return '';
}

function listOf(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** The value at a path, undefined when there is none. */
export function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  let value = data;
  for (const key of path) {
    if (value === null || typeof value !== 'object') return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}
