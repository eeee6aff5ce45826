/**
 * Values from a JSON Schema of the API's document: valid ones, nearly valid ones, and absurd ones. A schema does not
 * say everything that the service asks for, so "valid" means by the schema alone.
 */
import fc from 'fast-check';

export type Schema = {
  $ref?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  propertyNames?: Schema;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  format?: string;
  pattern?: string;
  examples?: unknown[];
  default?: unknown;
};
export type Schemas = Record<string, Schema>;

/** Below this, whatever may be left out is left out. */
const depthMax = 5;

/** Valid by its schema. Objects have few of their optional fields, so that those do not refuse each other. */
export function validValue(schema: Schema, schemas: Schemas, depth = 0): fc.Arbitrary<unknown> {
  const example = schema.examples?.length ? [fc.constantFrom(...schema.examples)] : [];
  return fc.oneof(...example, madeValue(schema, schemas, depth));
}

function madeValue(schema: Schema, schemas: Schemas, depth: number): fc.Arbitrary<unknown> {
  if (schema.$ref !== undefined) return validValue(resolve(schema, schemas), schemas, depth);
  if ('const' in schema) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) {
    const { anyOf, oneOf, examples, ...rest } = schema;
    // Beside properties they say which of them are needed.
    const whole = (each: Schema) => (schema.properties === undefined ? each : { ...rest, ...each });
    return fc.oneof(...choices.map((each) => validValue(whole(each), schemas, depth + 1)));
  }
  const types = schema.type === undefined ? ['any'] : [schema.type].flat();
  return fc.oneof(...types.map((type) => ofType(type, schema, schemas, depth)));
}

function ofType(type: string, schema: Schema, schemas: Schemas, depth: number): fc.Arbitrary<unknown> {
  const { minimum, maximum } = schema;
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer({ min: minimum ?? 0, max: Math.min(maximum ?? 1e6, 2 ** 31 - 1) });
    case 'number':
      return fc.double({ min: minimum ?? 0, max: maximum ?? 1e6, noNaN: true });
    case 'string':
      return text(schema);
    case 'array':
      return fc.array(validValue(schema.items ?? {}, schemas, depth + 1), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.max(schema.minItems ?? 0, depth > depthMax ? 0 : Math.min(schema.maxItems ?? 3, 3)),
      });
    case 'object':
      return object(schema, schemas, depth);
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

function object(schema: Schema, schemas: Schemas, depth: number): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties, propertyNames } = schema;
  const optional = Object.keys(properties).filter((name) => !required.includes(name));
  const some = depth > depthMax ? [] : optional;
  const known = fc
    .subarray(some, { maxLength: Math.min(3, some.length) })
    .chain((names) =>
      fc.record(
        Object.fromEntries(
          [...required, ...names].map((name) => [
            name,
            validValue(properties[name] ?? {}, schemas, depth + 1),
          ]),
        ),
      ),
    );
  if (typeof additionalProperties !== 'object') return known;
  const keys = text(resolve(propertyNames ?? {}, schemas));
  const values = validValue(additionalProperties, schemas, depth + 1);
  return fc
    .tuple(known, fc.dictionary(keys, values, { maxKeys: 3 }))
    .map(([fixed, more]) => ({ ...more, ...(fixed as object) }));
}

const durations = ['90s', '15m', '1h30m', 'PT15M', '0s', '1ms', '3650d', 'P1D', '1s'];
const instants = [
  '2026-03-01T00:00:00Z',
  '2026-06-01T00:00:00+14:00',
  '9999-12-31T23:59:59Z',
  '1970-01-01T00:00:00Z',
];

function text(schema: Schema): fc.Arbitrary<string> {
  if (schema.format === 'uuid') return fc.uuid();
  if (schema.format === 'date-time')
    return fc.oneof(fc.constantFrom(...instants), fc.date({ noInvalidDate: true }).map(isoOf));
  if (schema.format === 'uri') return fc.constantFrom('http://127.0.0.1:9/', 'https://[::1]/x?y=z');
  if (schema.pattern !== undefined) return matching(schema.pattern);
  return fc.string({
    unit: 'grapheme',
    minLength: schema.minLength ?? 0,
    maxLength: Math.min(schema.maxLength ?? 40, 200),
  });
}

function isoOf(date: Date): string {
  const year = date.getUTCFullYear();
  return year >= 1970 && year <= 9999 ? date.toISOString() : '2026-05-05T05:05:05.5Z';
}

/** fast-check knows no lookahead; the one pattern with it is that of durations. */
function matching(pattern: string): fc.Arbitrary<string> {
  return pattern.includes('(?=')
    ? fc.constantFrom(...durations)
    : fc.stringMatching(new RegExp(pattern, 'u'), { size: '-1' });
}

export function resolve(schema: Schema, schemas: Schemas): Schema {
  const name = schema.$ref?.split('/').at(-1);
  return name === undefined ? schema : resolve(schemas[name] ?? {}, schemas);
}

/** Of the types that JSON has, what programs choke on. */
export const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    ...[null, true, false, 0, -0, -1, 0.5, 5e-324, 2 ** 31, 2 ** 53 - 1, 2 ** 53, -(2 ** 63), 1e21],
    ...['', ' ', 'x', '\u0000', 'a\u0000b', '\ud800', '\udfff\ud800', '\ufeff', '\u202e', 'İ', 'ß', '💥'],
    ...['0s', '-5s', '99999999999999999999s', 'P1D', '* * * * *', '0 0 31 2 *', 'H H * * *', '@yearly', '@x'],
    ...[
      '9999-12-31T23:59:60Z',
      '0000-01-01T00:00:00Z',
      '2026-02-30',
      '+275760-09-13T00:00:00Z',
      'Etc/GMT+12',
    ],
    ...['../..', "'; drop table runs; --", `\${secret:x}`, '{{secret:x}}', '%00', '$1', '__proto__'],
    ...['file:///etc/passwd', 'javascript:alert(1)', 'http://', 'http://[', 'http://a:b@c/', 'toString'],
    ...['x'.repeat(70_000), '𠀀'.repeat(129), '9'.repeat(400)],
    ...[[], {}, [[]], [null], { '': '' }, { length: 3 }, { toString: 'x' }, { toJSON: 1 }],
    JSON.parse('{"__proto__": {"polluted": true}, "then": 1}'),
    JSON.parse('{"constructor": {"prototype": {"polluted": true}}}'),
    Array.from({ length: 1001 }, () => 0),
    nested(30),
    nested(70),
  ),
  fc.string({ unit: 'binary' }),
  fc.double(),
  fc.jsonValue({ maxDepth: 3 }),
);

function nested(levels: number): unknown {
  let value: unknown = 'deep';
  for (let level = 0; level < levels; level += 1) value = level % 2 === 0 ? [value] : { in: value };
  return value;
}

const oddKey = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '', '0', 'id', '\0'),
  fc.string({ unit: 'binary', maxLength: 8 }),
);

type Change = { at: number; how: 'replace' | 'remove' | 'add'; key: string; value: unknown };
const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(10_000),
  how: fc.constantFrom('replace', 'replace', 'remove', 'add'),
  key: oddKey,
  value: oddValue,
});

/** A valid value with one or two things wrong somewhere inside. */
export function nearlyValid(value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc
    .tuple(value, fc.array(change, { minLength: 1, maxLength: 2 }))
    .map(([good, changes]) => changes.reduce<unknown>(changed, good));
}

function changed(value: unknown, { at, how, key, value: other }: Change): unknown {
  const root = { it: structuredClone(value) };
  const places: [object, string][] = [];
  const walk = (holder: object) => {
    for (const [name, child] of Object.entries(holder)) {
      places.push([holder, name]);
      if (child !== null && typeof child === 'object') walk(child);
    }
  };
  walk(root);
  const [holder, name] = places[at % places.length]!;
  const put = (into: object, field: string) =>
    // Not by assignment, which would set the prototype when the field has that name.
    Object.defineProperty(into, field, {
      value: other,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  const inside = (holder as Record<string, unknown>)[name];
  if (how === 'remove') delete (holder as Record<string, unknown>)[name];
  else if (how === 'add' && inside !== null && typeof inside === 'object' && !Array.isArray(inside))
    put(inside, key);
  else put(holder, name);
  return root.it ?? null;
}

/** Bodies that are no JSON of ours at all. */
export const oddBody: fc.Arbitrary<Buffer> = fc.oneof(
  fc
    .constantFrom(
      ...['', ' ', 'null', 'true', '0', '""', '[]', '{', '}', '{"a":1,}', "{'a': 1}", 'NaN', '{"a":1e999}'],
      ...[
        '{"name":"a","name":"b"}',
        '\ufeff{}',
        '{}{}',
        '{"a":"\\ud800"}',
        '{"\\u0000":1}',
        'a=b&c=d',
        '--x',
      ],
      ...['[null]', '"\\ud83d"', '{"a":12345678901234567890}', '/* */ {}', '<x/>', 'BEGIN:VCALENDAR'],
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`,
      `{"name":"${'x'.repeat(1_048_000)}"}`,
      `{${Array.from({ length: 20_000 }, (_, n) => `"k${n}":0`).join(',')}}`,
      `{"name":"${'x'.repeat(1_100_000)}"}`,
    )
    .map((body) => Buffer.from(body)),
  fc.constantFrom(
    Buffer.from([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]),
    Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]),
  ),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  oddValue.map((value) => Buffer.from(JSON.stringify(value))),
);
