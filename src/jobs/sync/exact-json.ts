/**
 * JSON whose numbers stay as they are written: 12345678901234567890 and 0.10 are no other numbers at the target. Pure.
 */

/** A number that a double would change. JSON.stringify writes it as it was. */
export type ExactNumber = { readonly rawJSON: string };
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | ExactNumber
  | JsonValue[]
  | { [name: string]: JsonValue };

/** JSON.rawJSON and the source in revivers (ECMA-262, 2026) are not in TypeScript's library yet. */
const json = JSON as unknown as {
  rawJSON(text: string): ExactNumber;
  isRawJSON(value: unknown): value is ExactNumber;
  parse(
    text: string,
    reviver: (key: string, value: JsonValue, context: { source?: string }) => JsonValue,
  ): JsonValue;
};

/** May also match inside of texts: then it is only read the slow way for nothing. */
const mayBeInexact = /\d{16}|\d\.\d*0(?!\d)|\d[eE]|-0/;

/** @throws SyntaxError */
export function parseExactly(text: string): JsonValue {
  if (!mayBeInexact.test(text)) return JSON.parse(text) as JsonValue;
  return json.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source
      ? json.rawJSON(source)
      : value,
  );
}

function isExactNumber(value: unknown): value is ExactNumber {
  return json.isRawJSON(value);
}

/** Of a value that stands for itself its text; of an array or an object its JSON; null of null. */
export function textOf(value: JsonValue | undefined): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value;
  if (isExactNumber(value)) return value.rawJSON;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** The value at an RFC 6901 pointer; undefined: there is none. "" is the whole. */
export function atPointer(value: JsonValue | undefined, pointer: string): JsonValue | undefined {
  let at: JsonValue | undefined = value;
  for (const part of pointer === '' ? [] : pointer.slice(1).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (at === null || typeof at !== 'object' || isExactNumber(at) || !Object.hasOwn(at, name))
      return undefined;
    at = (at as { [name: string]: JsonValue })[name];
  }
  return at;
}

/** A field of a record: by its name, or by a JSON pointer where the name is none of the record's. */
export function fieldOf(record: { [name: string]: JsonValue }, name: string): JsonValue | undefined {
  if (Object.hasOwn(record, name)) return record[name];
  return name.startsWith('/') ? atPointer(record, name) : undefined;
}

export function isRecord(value: JsonValue | undefined): value is { [name: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isExactNumber(value);
}
