/** Which fields a schema knows, to say what an unknown one was meant to be. Pure. */
import { z } from 'zod';

type JsonSchema = {
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
};

/** A schema is put into words once. */
const described = new WeakMap<z.ZodType, JsonSchema>();

/**
 * What is wrong with a field that the schema does not know at this place: the field that was meant, where one is near.
 * `what`: how callers call it.
 */
export function unknownFieldWords(
  schema: z.ZodType,
  place: readonly PropertyKey[],
  field: string,
  what = 'field',
): string {
  const meant = nearest(field, knownFields(schema, place));
  const advice = meant === null ? 'check its spelling or leave it out' : `perhaps \`${meant}\` is meant`;
  return `is not a known ${what}; ${advice}`;
}

/** By their JSON schema, since that has one form for whatever wraps an object, and says it of those that zod only runs. */
function knownFields(schema: z.ZodType, place: readonly PropertyKey[]): string[] {
  let root = described.get(schema);
  if (root === undefined) {
    root = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
    described.set(schema, root);
  }
  let nodes = [root];
  for (const key of place)
    nodes = nodes.flatMap((node) => formsOf(node, root)).flatMap((node) => below(node, key));
  return nodes
    .flatMap((node) => formsOf(node, root))
    .flatMap(({ properties = {} }) => Object.keys(properties));
}

/** A node and all that it may be instead. */
function formsOf(node: JsonSchema, root: JsonSchema): JsonSchema[] {
  const target = node.$ref?.startsWith('#/$defs/') === true ? root.$defs?.[node.$ref.slice(8)] : undefined;
  const others = [
    ...(target === undefined ? [] : [target]),
    ...(node.anyOf ?? []),
    ...(node.oneOf ?? []),
    ...(node.allOf ?? []),
  ];
  return [node, ...others.flatMap((other) => formsOf(other, root))];
}

function below({ properties = {}, additionalProperties, items }: JsonSchema, key: PropertyKey): JsonSchema[] {
  if (typeof key === 'number') return items === undefined ? [] : [items];
  if (Object.hasOwn(properties, key)) return [properties[String(key)]!];
  return typeof additionalProperties === 'object' ? [additionalProperties] : [];
}

/** Names longer than any of ours are none that was misspelt. */
const lengthMax = 40;

/** The name that is most like this one, whatever its case and its dashes: a slip away for each three letters, at most two. */
function nearest(given: string, known: readonly string[]): string | null {
  if (given.length > lengthMax) return null;
  let best: { name: string; slips: number } | null = null;
  for (const name of known) {
    const slipsMax = Math.min(2, Math.floor(Math.min(given.length, name.length) / 3));
    const slips = slipsBetween(bareOf(given), bareOf(name));
    if (slips <= slipsMax && slips < (best?.slips ?? Infinity)) best = { name, slips };
  }
  return best?.name ?? null;
}

function bareOf(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '');
}

/** Letters that were left out, added, changed or exchanged with their neighbour (optimal string alignment). */
function slipsBetween(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...new Array<number>(b.length).fill(0)]);
  for (let j = 0; j <= b.length; j += 1) rows[0]![j] = j;
  for (let i = 1; i <= a.length; i += 1) {
    for (let j = 1; j <= b.length; j += 1) {
      const differ = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, rows[i - 1]![j - 1]! + differ);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      rows[i]![j] = least;
    }
  }
  return rows[a.length]![b.length]!;
}
