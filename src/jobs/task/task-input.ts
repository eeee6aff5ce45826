/** The wire format of the job type `task`: what a schedule may ask for, and what a run answers. */
import { z } from 'zod';
import { durationField } from '../../duration.ts';
import { headerFault } from './task-headers.ts';

export const taskMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

export const urlLengthMax = 2_048;
export const headersMax = 64;
/** As JSON, in UTF-8. The body is stored with every run. */
export const bodyBytesMax = 262_144;
const bodyDepthMax = 100;
export const timeoutMsMax = 3_600_000;
const timeoutDefault = '30s';

const url = z
  .string({ error: 'Must be the address to call, as text.' })
  .min(1, { error: 'Must be an http:// or https:// address.', abort: true })
  .max(urlLengthMax, { error: `Must be at most ${urlLengthMax} characters long.`, abort: true })
  .superRefine((text, context) => {
    const fault = urlFault(text);
    if (fault !== null) context.addIssue({ code: 'custom', message: fault });
  })
  .meta({
    format: 'uri',
    description: 'The http or https address to call.',
    examples: ['https://example.com/hook'],
  });

function urlFault(text: string): string | null {
  // The URL parser drops tabs and line breaks silently and encodes blanks; better that the writer sees them.
  if (/[\p{Cc}\p{Cs}\s]/u.test(text))
    return 'Must not contain blanks, control characters or halves of surrogate pairs: percent-encode them.';
  const parsed = URL.parse(text);
  if (parsed === null) return 'Must be a complete address, such as https://example.com/hook.';
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
    return 'Must begin with http:// or https://.';
  if (parsed.username !== '' || parsed.password !== '') {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: It is what callers write.
    return 'Must not contain a user name or password, since addresses are shown and logged: put a secret into an Authorization header, as "Bearer ${secret:name}".';
  }
  return null;
}

const headers = z
  .record(z.string(), z.string({ error: 'A header value must be text.' }))
  .superRefine((given, context) => {
    const names = Object.keys(given);
    if (names.length > headersMax) {
      context.addIssue({ code: 'custom', message: `Must have at most ${headersMax} headers.` });
      return;
    }
    const seen = new Set<string>();
    for (const name of names) {
      const lower = name.toLowerCase();
      const fault = seen.has(lower)
        ? `The header ${name} is given twice: names do not differ by case.`
        : headerFault(name, given[name] ?? '');
      seen.add(lower);
      if (fault !== null) context.addIssue({ code: 'custom', message: fault, path: [name] });
    }
  })
  .meta({
    description: `Request headers, at most ${headersMax}. Framing and connection headers are Carillon's own.`,
    examples: [{ Authorization: 'Bearer <token>' }],
  });

const body = z
  .unknown()
  .superRefine((value, context) => {
    const fault = bodyFault(value);
    if (fault !== null) context.addIssue({ code: 'custom', message: fault });
  })
  .meta({
    description:
      'Text is sent as it is (text/plain), any other JSON value as JSON (application/json), unless a Content-Type header says otherwise. null is no body.',
    examples: [{ hello: 'world' }],
  });

function bodyFault(value: unknown): string | null {
  const fault = storageFault(value, bodyDepthMax);
  if (fault !== null) return fault;
  const bytes = Buffer.byteLength(JSON.stringify(value ?? null));
  return bytes > bodyBytesMax ? `Must be at most ${bodyBytesMax / 1_024} KiB.` : null;
}

/** What Postgres would refuse to hold as jsonb, found before anything is stored. */
function storageFault(value: unknown, depthLeft: number): string | null {
  if (typeof value === 'string') {
    return value.includes('\0') || !value.isWellFormed()
      ? 'Must not contain NUL characters or halves of surrogate pairs.'
      : null;
  }
  if (typeof value !== 'object' || value === null) return null;
  if (depthLeft === 0) return `Must not be nested deeper than ${bodyDepthMax} levels.`;
  for (const [key, member] of Object.entries(value)) {
    const fault = storageFault(key, depthLeft) ?? storageFault(member, depthLeft - 1);
    if (fault !== null) return fault;
  }
  return null;
}

/** 1xx are left out: they announce an answer and never are one. */
const status = z
  .int({ error: 'Must be an HTTP status from 200 to 599.' })
  .min(200, { error: 'Must be an HTTP status from 200 to 599.' })
  .max(599, { error: 'Must be an HTTP status from 200 to 599.' });

export const httpTaskInput = z.strictObject({
  url,
  method: z
    .enum(taskMethods, { error: `Must be one of ${taskMethods.join(', ')}, in capitals.` })
    .optional()
    .meta({ description: 'GET by default, POST when there is a body.' }),
  headers: headers.optional(),
  body: body.optional(),
  expectStatus: z
    .union([status, z.array(status).min(1, { error: 'Must name at least one status.' }).max(64)], {
      error: 'Must be an HTTP status from 200 to 599, or an array of them.',
    })
    .optional()
    .meta({
      description:
        'The status or statuses that count as success; any 2xx by default. A redirect that is named here is not followed.',
      examples: [200, [200, 404]],
    }),
  timeout: durationField({
    minMs: 1,
    maxMs: timeoutMsMax,
    description: 'For the whole call: connecting, redirects, and reading the body.',
  }).prefault(timeoutDefault),
});

/** The input after parsing: `timeout` is milliseconds. */
export type HttpTaskInput = z.output<typeof httpTaskInput>;

export const httpTaskOutput = z.object({
  statusCode: z.int().min(200).max(999).meta({ description: 'The HTTP status of the last response.' }),
  durationMs: z.int().min(0).meta({ description: 'From the start of the call to the end of the body.' }),
  body: z.string().meta({ description: 'The response body as text, at most 64 KiB.' }),
  bodyTruncated: z
    .literal(true)
    .optional()
    .meta({ description: 'Present when the body was longer than what is kept.' }),
});

export type HttpTaskOutput = z.output<typeof httpTaskOutput>;
