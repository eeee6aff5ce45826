/**
 * What JSON may contain that comes from outside, beyond being well-formed: no keys that reach into prototypes, no
 * text that Postgres cannot store, no number that would be kept as another one, and no nesting that a recursive reader
 * would choke on. Pure.
 */
import type { Issue } from '../errors.ts';
import { fieldName, sentence } from '../zod-words.ts';

export const jsonDepthMax = 64;

/** RFC 6901. */
export function jsonPointer(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** What is wrong with a parsed JSON value; the first finding only, since one is enough to refuse it. */
export function textIssues(value: unknown): Issue[] {
  const path: PropertyKey[] = [];
  const detail = inspect(value, path);
  if (detail === null) return [];
  // A key may be the culprit itself, and the answer has to be text that everybody can read.
  return [
    {
      pointer: jsonPointer(path).toWellFormed(),
      detail: path.length === 0 ? detail : sentence(`\`${fieldName(path)}\``, detail).toWellFormed(),
    },
  ];
}

/** Digits that may make a whole number which is not kept exactly. */
const manyDigits = /\d{16}/;

/** Whole numbers in JSON text that JSON.parse rounds; the first finding only. The text is valid, and not deep. */
export function roundedNumbers(text: string): Issue[] {
  if (!manyDigits.test(text)) return [];
  const exact = JSON.parse(text, (_key, value, context?: { source?: string }) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '')
      ? BigInt(context?.source ?? 0)
      : value,
  );
  return textIssues(exact);
}

/** Leaves `path` at the culprit when it returns a reason. */
function inspect(value: unknown, path: PropertyKey[]): string | null {
  if (typeof value === 'string') return reasonAgainst(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return 'is too large a number';
  if (typeof value === 'bigint')
    return 'is a whole number beyond ±9007199254740991, whose last digits would be lost; send it as text';
  if (value === null || typeof value !== 'object') return null;
  if (path.length >= jsonDepthMax) return `JSON may be nested at most ${jsonDepthMax} levels deep.`;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      path.push(index);
      const reason = inspect(value[index], path);
      if (reason !== null) return reason;
      path.pop();
    }
    return null;
  }
  for (const [key, child] of Object.entries(value)) {
    path.push(key);
    const reason = reasonAgainstKey(key, child) ?? inspect(child, path);
    if (reason !== null) return reason;
    path.pop();
  }
  return null;
}

/** Harmless here, but a merge or a copy further on would write them into a prototype. */
function reasonAgainstKey(key: string, child: unknown): string | null {
  if (key === '__proto__') return 'The key "__proto__" is not allowed.';
  if (
    key === 'constructor' &&
    child !== null &&
    typeof child === 'object' &&
    Object.hasOwn(child, 'prototype')
  ) {
    return 'The key "constructor" with a "prototype" inside is not allowed.';
  }
  return reasonAgainst(key);
}

function reasonAgainst(text: string): string | null {
  if (text.includes('\0')) return 'Text must not contain a null character (\\u0000).';
  return text.isWellFormed() ? null : 'Text must not contain half of a surrogate pair (\\ud800 to \\udfff).';
}
