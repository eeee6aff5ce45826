/** What a sync is asked for, and what it answers. */
import { z } from 'zod';
import { durationField } from '../../duration.ts';

export const pageSizeDefault = 1_000;
/** Two pages are in memory at a time. */
const pageSizeMax = 10_000;
export const errorsListedMax = 100;
const nameLengthMax = 500;
const urlLengthMax = 2_000;
const syncDataTimeoutDefault = '300s';
const dayMs = 86_400_000;

const postgres = /^postgres(ql)?:\/\/./i;
const http = /^https?:\/\/./i;
const file = /^(file:\/\/\/|s3:\/\/[^/]+\/).*\.(ndjson|jsonl|csv)$/i;

export type EndKind = 'postgres' | 'http' | 'file';

/** An address that is none, or the stand-in of one that is a secret, says nothing of the fields beside it. */
const isEnd = (url: string) => postgres.test(url) || http.test(url) || file.test(url);

/** Of an address that has passed the schema. */
export function kindOfEnd(url: string): EndKind {
  return postgres.test(url) ? 'postgres' : http.test(url) ? 'http' : 'file';
}

const url = z
  .string()
  .max(urlLengthMax)
  .refine(
    isEnd,
    'must be postgres://…, http(s)://…, or a file ending in .ndjson, .jsonl or .csv as file:///… or s3://bucket/…',
  );
const name = z.string().min(1).max(nameLengthMax);
const names = z
  .union([name.transform((one) => [one]), z.array(name).min(1).max(32)])
  .refine((all) => new Set(all).size === all.length, 'must not name one twice');
const headers = z.record(z.string().min(1).max(256), z.string().max(8_192)).optional();

const paging = z
  .union([
    z.strictObject({
      kind: z.literal('page'),
      param: name.default('page').describe('The query parameter of the page number.'),
      first: z.int().min(0).max(1).default(1).describe('The number of the first page.'),
    }),
    z.strictObject({
      kind: z.literal('cursor'),
      param: name.default('cursor').describe('The query parameter that takes the cursor.'),
      next: z
        .string()
        .max(nameLengthMax)
        .regex(/^\//, 'must be a JSON pointer, such as "/meta/next"')
        .describe(
          'Where in an answer the next cursor stands, as a JSON pointer; none there, or null: the end.',
        ),
    }),
  ])
  .describe('How to ask for more than the first answer. Default: there is one answer.');

const lookback = z
  .union([
    durationField({ minMs: 0, maxMs: 366 * dayMs }).transform((ms) => ({ ms })),
    z.number().min(0).max(Number.MAX_SAFE_INTEGER),
  ])
  .describe(
    'Reads again what lies up to so far before the watermark, as "5m", or as a number where the watermark is one: catches rows that became visible late. Default: each run goes on exactly behind the last row of the one before.',
  );

const source = z
  .strictObject({
    url: url.describe(
      'Where to read: postgres://…, http(s)://…, file:///….ndjson|csv or s3://bucket/….ndjson|csv.',
    ),
    table: name
      .optional()
      .describe('Postgres: the table or view, as `orders` or `sales.orders`, in its exact case.'),
    query: z
      .string()
      .min(1)
      .max(20_000)
      .optional()
      .describe('Postgres: a query instead of a table; watermark and key are columns of its result.'),
    watermark: name.describe(
      'The column or field that grows with every change. A field inside of others is a JSON pointer, as "/meta/updatedAt".',
    ),
    key: names.describe('The columns or fields that tell records apart.'),
    columns: z
      .union([z.array(name).min(1).max(1_600), z.record(name, name)])
      .optional()
      .describe('What to take: a list, or source name → target name. Default: all.'),
    tombstone: name
      .optional()
      .describe(
        'A column or field that, when it is neither null, false, 0 nor "", says that the record is deleted.',
      ),
    lookback: lookback.optional(),
    pageSize: z.int().min(1).max(pageSizeMax).default(pageSizeDefault).describe('Records per page.'),
    sorted: z
      .boolean()
      .default(false)
      .describe(
        'HTTP and files: records come in the order of their watermark, so that it may move with each page and not only at the end. Postgres always sorts.',
      ),
    headers: headers.describe('HTTP: request headers.'),
    records: z
      .string()
      .max(nameLengthMax)
      .regex(/^(\/|$)/, 'must be a JSON pointer, such as "/data/items"')
      .default('')
      .describe(
        'HTTP: where in an answer the records stand, as a JSON pointer. Default: the answer is the array.',
      ),
    since: name.optional().describe('HTTP: the query parameter that takes the watermark to start from.'),
    paging: paging.optional(),
    pagesMax: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(10_000)
      .describe('HTTP: more pages than this are a fault.'),
  })
  .superRefine((given, context) => {
    if (!isEnd(given.url)) return;
    const kind = kindOfEnd(given.url);
    const wrong = (field: string, message: string) =>
      context.addIssue({ code: 'custom', path: [field], message });
    if (kind === 'postgres') {
      if (given.table === undefined && given.query === undefined)
        wrong('table', 'is required for a Postgres source, or `query` instead');
      if (given.table !== undefined && given.query !== undefined)
        wrong('query', 'cannot stand beside `table`; leave one of them out');
    }
    const only: [keyof typeof given, EndKind][] = [
      ['table', 'postgres'],
      ['query', 'postgres'],
      ['headers', 'http'],
      ['since', 'http'],
      ['paging', 'http'],
    ];
    for (const [field, owner] of only) {
      if (given[field] !== undefined && kind !== owner)
        wrong(field, `is only for a source that is ${owner === 'http' ? 'HTTP' : 'Postgres'}; leave it out`);
    }
  });

const target = z
  .strictObject({
    url: url.describe(
      'Where to write: postgres://…, http(s)://… (a POST per page), or file:///…, s3://… (a file per page, named after this one).',
    ),
    table: name.optional().describe('Postgres: the table, as `orders` or `sales.orders`, in its exact case.'),
    key: names
      .optional()
      .describe(
        'What the key is called there, in the order of `source.key`. Default: as `columns` say, or the same.',
      ),
    headers: headers.describe('HTTP: request headers.'),
  })
  .superRefine((given, context) => {
    if (!isEnd(given.url)) return;
    const kind = kindOfEnd(given.url);
    if (kind === 'postgres' && given.table === undefined)
      context.addIssue({ code: 'custom', path: ['table'], message: 'is required for a Postgres target' });
    if (kind !== 'postgres' && given.table !== undefined)
      context.addIssue({
        code: 'custom',
        path: ['table'],
        message: 'is only for a target that is Postgres; leave it out',
      });
    if (kind !== 'http' && given.headers !== undefined)
      context.addIssue({
        code: 'custom',
        path: ['headers'],
        message: 'is only for a target that is HTTP; leave it out',
      });
  });

export const syncInput = z
  .strictObject({
    source,
    target,
    maxErrors: z
      .int()
      .min(0)
      .max(1_000_000_000)
      .default(0)
      .describe('So many bad records are left out and listed; one more fails the run.'),
    timeout: durationField({
      minMs: 1_000,
      maxMs: 7 * dayMs,
      description: 'For the step `sync-data`; when it is over, the next attempt goes on where this one was.',
    }).prefault(syncDataTimeoutDefault),
  })
  .superRefine(({ source: from, target: to }, context) => {
    if (to.key !== undefined && to.key.length !== from.key.length)
      context.addIssue({
        code: 'custom',
        path: ['target', 'key'],
        message: `must have as many names as source.key, which has ${from.key.length}`,
      });
  });
export type SyncInput = z.output<typeof syncInput>;
export type SourceInput = SyncInput['source'];
export type TargetInput = SyncInput['target'];

export const syncOutput = z.object({
  success: z.literal(true),
  syncedRecords: z.int().describe('Records that were written to the target.'),
  changedRecords: z
    .int()
    .nullable()
    .describe('Those of them that the target did not have like this; null where it cannot tell.'),
  deletedRecords: z.int(),
  badRecords: z.int().describe('Left out, since they could not be read or were refused.'),
  errors: z
    .array(z.object({ record: z.string(), message: z.string() }))
    .max(errorsListedMax)
    .describe('The first bad records: which, and why.'),
  pages: z.int(),
  watermark: z.string().nullable().describe('Where the next run goes on; null: from the start.'),
});
