/** Query parameters: text that stands for numbers, instants and lists. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseInstant } from './instant-wire.ts';

const noQuery = z.strictObject({});

/**
 * A route that says nothing of its query takes none: `?dryRun=true` where that belongs into the body must not be passed
 * over, since the command would be carried out.
 */
export function refuseUnknownQueries(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    route.schema = { ...route.schema, querystring: route.schema?.querystring ?? noQuery };
  });
}

/** A whole number in decimal digits. */
export function countField(min: number, max: number, fallback: number) {
  return z
    .preprocess((value, context) => {
      const count = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
      if (count >= min && count <= max) return count;
      context.issues.push({
        code: 'custom',
        message: `must be a whole number from ${min} to ${max}`,
        input: value,
      });
      return z.NEVER;
    }, z.int().min(min).max(max))
    .default(fallback)
    .meta({ default: fallback });
}

/** Any number of the words, by repeating the parameter or with commas between them. */
export function wordsField<const T extends readonly string[]>(words: T) {
  return z.preprocess(
    (value) => {
      const texts = Array.isArray(value) ? value : [value];
      return texts.flatMap((text) => (typeof text === 'string' ? text.split(',') : [text]));
    },
    z.array(z.enum(words)).min(1),
  );
}

/** A time as text, given on as epoch milliseconds. */
export const instantField = instantOf((text) => text);

/** The same in a query, where a `+` that is not written as `%2B` stands for a blank: no time has one there. */
export const instantParameter = instantOf((text) => text.replace(/ (?=\d\d:\d\d$)/, '+'));

function instantOf(written: (text: string) => string) {
  return z
    .string()
    .meta({ format: 'date-time' })
    .transform((text, context) => {
      const ms = parseInstant(written(text));
      if (typeof ms === 'number') return ms;
      context.issues.push({ code: 'custom', message: ms.reason, input: text });
      return z.NEVER;
    });
}
