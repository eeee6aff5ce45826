// biome-ignore-all lint/suspicious/noTemplateCurlyInString: They are references to secrets.
/** `notify` and `lateAfter` on the wire: who is told what of a schedule, and from when a run is missed. */
import { z } from 'zod';
import { durationMsMax, type WrittenDuration, writtenDurationField } from '../duration.ts';
import { type Notify, notifyKinds } from '../schedules/notify.ts';
import type { ScheduleSpec } from '../schedules/schedule.ts';
import { takeDuration } from './duration-wire.ts';
import type { Findings } from './trigger-wire.ts';

const entriesMax = 10;
const addressesMax = 20;
const urlLengthMax = 2_048;
const headersMax = 32;
const headerValueLengthMax = 8_192;
const addressLengthMax = 254;

/** RFC 9110, 5.6.2 and 5.5. */
const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/;
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;
/** What we set ourselves, and what concerns the connection. */
const ourHeaders =
  /^(?:webhook-.*|host|content-.*|transfer-encoding|trailer|expect|connection|keep-alive|proxy-.*|te|upgrade|http2-settings|user-agent|accept|accept-encoding)$/i;
/** Their values are credentials, so they come from secrets. */
const credentialHeaders = /^(?:authorization|cookie|.*(?:api-?key|token|secret|password).*)$/i;

const reference = /\$\{secret:[^}]*\}/g;

function urlFault(text: string): string | null {
  // What a reference becomes is seen when it is sent; a word in its place has to make a URL.
  const filled = text.replace(reference, 'x');
  if (/[\p{Cc}\p{Cs}\s]/u.test(text))
    return 'must not have blanks or control characters: percent-encode them';
  const parsed = URL.parse(filled);
  if (parsed === null || !['http:', 'https:'].includes(parsed.protocol))
    return 'must be an http:// or https:// address';
  if (parsed.username !== '' || parsed.password !== '')
    return 'must have no user name or password; use an `authorization` header with a secret in it';
  return null;
}

function refined(fault: (text: string) => string | null) {
  return (text: string, context: z.core.$RefinementCtx<string>) => {
    const message = fault(text);
    if (message !== null) context.addIssue({ code: 'custom', message });
  };
}

const headers = z.record(z.string(), z.string()).superRefine((given, context) => {
  const names = Object.keys(given);
  if (names.length > headersMax)
    context.addIssue({ code: 'custom', message: `must have at most ${headersMax} headers` });
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length)
    context.addIssue({
      code: 'custom',
      message: 'must not have a header twice; names do not differ by case',
    });
  for (const name of names.slice(0, headersMax)) {
    const message = headerFault(name, given[name]!);
    if (message !== null) context.addIssue({ code: 'custom', message, path: [name] });
  }
});

function headerFault(name: string, value: string): string | null {
  if (!headerName.test(name)) return 'is not a header name; use letters, digits and hyphens';
  if (ourHeaders.test(name)) return 'cannot be set; Carillon does';
  if (value.length > headerValueLengthMax || !headerValue.test(value))
    return `must have at most ${headerValueLengthMax} characters that HTTP allows`;
  if (credentialHeaders.test(name) && value.search(reference) === -1)
    return 'is a credential, which everyone who reads the schedule would see; put it into a secret with PUT /secrets/{name}, and write ${secret:name} in its place';
  return null;
}

const webhook = z
  .strictObject({
    url: z
      .string()
      .max(urlLengthMax)
      .superRefine(refined(urlFault))
      .meta({
        description: 'Where to POST; may have `${secret:name}` in it.',
        examples: ['https://example.com/carillon'],
      }),
    secret: z
      .strictObject({ $secret: z.string().min(1).max(128) })
      .optional()
      .meta({
        description:
          'The key to sign with, base64, as a reference: `{"$secret": "name"}`. Without it, no signature.',
      }),
    headers: headers
      .optional()
      .meta({ description: 'More request headers; credentials as `${secret:name}`.' }),
  })
  .meta({ description: 'A call after Standard Webhooks.' });

const address = z
  .string()
  .max(addressLengthMax)
  .regex(/^[^\s@<>,;:"()[\]\\]+@[^\s@<>,;:"()[\]\\]+$/, 'must be a mail address such as "ops@example.com"');

const email = z.strictObject({
  to: z.union([address, z.array(address).min(1).max(addressesMax)]).meta({
    description: 'One address or several; each gets a mail of its own.',
    examples: ['ops@example.com'],
  }),
});

const entry = z
  .strictObject({
    on: z
      .array(z.enum(notifyKinds))
      .min(1)
      .max(20)
      .meta({ examples: [['failure', 'recovered', 'missed']] }),
    webhook: webhook.optional(),
    email: email.optional(),
  })
  .refine(
    (given) => (given.webhook === undefined) !== (given.email === undefined),
    'must have exactly one of `webhook` and `email`',
  );

export const notifyFields = {
  notify: z
    .array(entry)
    .max(entriesMax)
    .default([])
    .meta({
      description:
        'Who is told what: `failure` (after the last attempt), `success`, `recovered` (a success after a failure), `missed`, `paused`.',
      examples: [[{ on: ['failure', 'recovered'], webhook: { url: 'https://example.com/carillon' } }]],
    }),
  lateAfter: writtenDurationField({
    minMs: 1_000,
    maxMs: durationMsMax,
    description:
      'A run that has not started so long after its nominal time is `missed`, and /readyz says so.',
  })
    .nullable()
    .default(null),
};

type NotifyInput = { notify: z.output<typeof notifyFields.notify>; lateAfter: WrittenDuration | null };

/** As a spec has them: absent where nothing is said. */
export function toNotify(
  { notify, lateAfter }: NotifyInput,
  jitterMs: number | null,
  { issues, written }: Findings,
): Pick<ScheduleSpec, 'notify' | 'lateAfterMs'> {
  const lateAfterMs = lateAfter === null ? null : takeDuration(lateAfter, '/lateAfter', written);
  if (lateAfterMs !== null && jitterMs !== null && lateAfterMs <= jitterMs) {
    issues.push({
      pointer: '/lateAfter',
      detail: '`lateAfter` must be longer than `jitter`, which delays runs on purpose.',
    });
  }
  return {
    ...(notify.length > 0 && { notify: notify.map(toEntry) }),
    ...(lateAfterMs !== null && { lateAfterMs }),
  };
}

function toEntry({ on, webhook, email }: NotifyInput['notify'][number]): Notify {
  const kinds = notifyKinds.filter((kind) => on.includes(kind));
  if (email !== undefined) return { on: kinds, email: { to: [...new Set([email.to].flat())] } };
  const { url, secret, headers } = webhook!;
  return { on: kinds, webhook: { url, ...(secret && { secret }), ...(headers && { headers }) } };
}

export const notifyAnswer = z.array(
  z.object({
    on: z.array(z.enum(notifyKinds)),
    webhook: z
      .object({
        url: z.string(),
        secret: z.object({ $secret: z.string() }).optional(),
        headers: z.record(z.string(), z.string()).optional(),
      })
      .optional(),
    email: z.object({ to: z.array(z.string()) }).optional(),
  }),
);

export function presentNotify(notify: ScheduleSpec['notify'] = []): z.output<typeof notifyAnswer> {
  return notify.map((each) => {
    const on = [...each.on];
    if ('email' in each) return { on, email: { to: [...each.email.to] } };
    const { url, secret, headers } = each.webhook;
    return { on, webhook: { url, ...(secret && { secret }), ...(headers && { headers: { ...headers } }) } };
  });
}
