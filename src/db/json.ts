/** JSON as Postgres' jsonb takes it. */

/**
 * JSON text in which null characters and lone surrogates, which jsonb refuses, are replaced by U+FFFD. Null for null
 * and undefined.
 */
export function toJsonb(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  const text = JSON.stringify(value);
  if (text === undefined) return null;
  // Both are always written as escapes, so the common case is one search.
  return /\\u(0000|d[89a-f])/.test(text) ? JSON.stringify(mended(value)) : text;
}

function mended(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('\u0000', '\ufffd').toWellFormed();
  if (Array.isArray(value)) return value.map(mended);
  if (value === null || typeof value !== 'object') return value;
  if ('toJSON' in value && typeof value.toJSON === 'function') return value.toJSON();
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [mended(key), mended(each)]));
}
