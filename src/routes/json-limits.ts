/**
 * What JSON may contain that comes from outside, beyond being well-formed: no keys that reach into prototypes, no
 * text that Postgres cannot store, and no nesting that a recursive reader would choke on. Pure.
 */
import type { Issue } from '../errors.ts';

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
  const pointer = jsonPointer(path);
  return [{ pointer, detail: pointer === '' ? detail : `${pointer}: ${detail}` }];
}

/** Leaves `path` at the culprit when it returns a reason. */
function inspect(value: unknown, path: PropertyKey[]): string | null {
  if (typeof value === 'string') return reasonAgainst(value);
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
