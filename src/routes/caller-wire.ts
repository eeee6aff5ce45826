/** Who asks, and of which version (RFC 9110 sections 8.8.3 and 13.1), on the wire: headers, and the `ETag` of answers. */
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { DomainError } from '../errors.ts';
import { anyone, type Caller, houseActor, type Tag, type Tags } from '../schedules/precondition.ts';
import type { ScheduleView } from '../schedules/schedule.ts';
import { presentSchedule, type ScheduleAnswer } from './schedule-answer.ts';

const actorLengthMax = 200;
const header = (words: string) => z.string().optional().describe(words);

const actor = header(
  `Who asks, for the history of what changes: up to ${actorLengthMax} printable characters. Without it that says \`api\`.`,
);
const ifNoneMatch = header(
  'Only if its version is none of these: `"7"`. `*`: only if there is no such schedule yet.',
);

/** What Carillon does not know of a request's headers is not its concern. */
export const actorHeaders = z.looseObject({ 'x-carillon-actor': actor });

/** For every call that changes one schedule. */
export const callerHeaders = z.looseObject({
  'x-carillon-actor': actor,
  'if-match': header(
    'Only if it is at this version, as its `ETag` said: `"7"`. Of two who have read the same version one gets a 412. `*`: at any version, but it must be there.',
  ),
  'if-none-match': ifNoneMatch,
});

export const readerHeaders = z.looseObject({
  'if-none-match': header(
    'The `ETag` that you have: 304 while it is the present one. It stands for the definition and the status; times, counts and runs move on without it.',
  ),
});

/** DomainError `invalid`, the pointer being the header's name. */
export function toCaller(headers: IncomingHttpHeaders): Caller {
  const match = headers['if-match'];
  const noneMatch = headers['if-none-match'];
  return {
    actor: toActor(headers['x-carillon-actor']),
    ...(match !== undefined && { ifMatch: toTags('If-Match', match) }),
    ...(noneMatch !== undefined && { ifNoneMatch: toTags('If-None-Match', noneMatch) }),
  };
}

function toActor(given: string | string[] | undefined): string {
  if (given === undefined) return anyone.actor;
  const text = utf8([given].flat().join(', ')).trim().normalize('NFC');
  const refuse = (words: string) => wrong('X-Carillon-Actor', `\`X-Carillon-Actor\` ${words}.`);
  if (text === '' || [...text].length > actorLengthMax || /\p{C}/u.test(text)) {
    throw refuse(`must have 1 to ${actorLengthMax} printable characters`);
  }
  if (text === houseActor) {
    throw refuse(`must not be "${houseActor}", which is what Carillon calls itself`);
  }
  return text;
}

/** Node reads headers as Latin-1; what is UTF-8 was meant as that. */
function utf8(text: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(text, 'latin1'));
  } catch {
    return text;
  }
}

const tag = /(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"/;
const tagList = new RegExp(`^[ \t]*${tag.source}([ \t]*,[ \t]*(${tag.source})?)*[ \t]*$`);

export function toTags(name: string, text: string): Tags {
  if (text.trim() === '*') return '*';
  if (!tagList.test(text)) {
    throw wrong(name, `\`${name}\` must be \`*\` or entity tags in quotes, such as \`"7"\`.`);
  }
  return [...text.matchAll(new RegExp(tag.source, 'g'))].map(
    ([, weak, value = '']): Tag => ({
      weak: weak !== undefined,
      version: /^[1-9]\d{0,9}$/.test(value) ? Number(value) : null,
    }),
  );
}

function wrong(pointer: string, detail: string): DomainError {
  return new DomainError('invalid', detail, [{ pointer, detail }]);
}

/** The answer that is one schedule, with its version as `ETag`. */
export function answerSchedule(reply: FastifyReply, view: ScheduleView): ScheduleAnswer {
  reply.header('etag', `"${view.version}"`);
  return presentSchedule(view);
}
