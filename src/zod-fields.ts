/** Which fields a schema knows, to say what an unknown one was meant to be. Pure. */
import { z } from 'zod';
import { nearestAmong } from './nearest-name.ts';

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
  const meant = nearestAmong(knownFields(schema, place))(field);
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
