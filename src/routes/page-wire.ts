/**
 * Pages on the wire. A cursor is opaque: the id to continue after, and a checksum over it and the list it is of, so
 * that a cut, edited or misplaced one is refused instead of giving a wrong page. It is no secret and needs no key:
 * whoever forged one would only get a page that they could have asked for.
 */
import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { invalid } from '../errors.ts';
import { type Page, type PageRequest, pageLimitDefault, pageLimitMax } from '../runs/page.ts';
import { countField } from './query-wire.ts';

/** The lists that have pages; each has cursors of its own. */
export type ListName =
  | 'schedules'
  | 'runs'
  | 'logs'
  | 'calendars'
  | 'secrets'
  | 'backups'
  | 'backfills'
  | 'history'
  | 'notifications'
  | 'queues'
  | 'queue tasks';

const checksumBytes = 6;
const id = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** What a list continues after: the last id, or the last line's attempt and number. */
const forms: Record<ListName, RegExp> = {
  schedules: id,
  runs: id,
  calendars: id,
  secrets: id,
  backfills: id,
  queues: id,
  'queue tasks': id,
  notifications: id,
  backups: /^backup-\d{14}$/,
  history: /^[1-9]\d{0,9}$/,
  logs: /^\d{1,9}\.\d{1,9}$/,
};
const cursorLengthMax = 512;

export function encodeCursor(list: ListName, after: string): string {
  return Buffer.concat([checksum(list, after), Buffer.from(after)]).toString('base64url');
}

/** The id to continue after. DomainError `invalid` at `?cursor` for what encodeCursor did not make. */
export function decodeCursor(list: ListName, cursor: string): string {
  const bytes = Buffer.from(cursor.slice(0, cursorLengthMax), 'base64url');
  const after = bytes.subarray(checksumBytes).toString();
  // Encoding it again also refuses other spellings: base64 readers skip what they do not know.
  if (!forms[list].test(after) || encodeCursor(list, after) !== cursor) {
    throw invalid(
      '?cursor',
      '`cursor` is not one that this list gave out. Use `nextCursor` as it is, or leave it out.',
    );
  }
  return after;
}

function checksum(list: ListName, after: string): Buffer {
  return hash('sha256', `carillon cursor 1\n${list}\n${after}`, 'buffer').subarray(0, checksumBytes);
}

export const pageQuery = {
  limit: countField(1, pageLimitMax, pageLimitDefault).describe('Items on a page.'),
  cursor: z.string().optional().describe('`nextCursor` of the page before.'),
};

export function toPageRequest(
  list: ListName,
  query: { limit: number; cursor?: string | undefined },
): PageRequest {
  return { limit: query.limit, after: query.cursor === undefined ? null : decodeCursor(list, query.cursor) };
}

export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({
    items: z.array(item),
    nextCursor: z
      .string()
      .nullable()
      .describe('For `cursor` of the next page; null on the last one, and only there.'),
  });
}

/** The page's body; when there is another one, `Link: <…>; rel="next"` too (RFC 8288). */
export function presentPage<T, W>(
  list: ListName,
  page: Page<T>,
  present: (item: T) => W,
  request: FastifyRequest,
  reply: FastifyReply,
): { items: W[]; nextCursor: string | null } {
  const nextCursor = page.next === null ? null : encodeCursor(list, page.next);
  if (nextCursor !== null) {
    const [path = '', search = ''] = request.url.split('?', 2);
    const parameters = new URLSearchParams(search);
    parameters.set('cursor', nextCursor);
    reply.header('link', `<${path}?${parameters}>; rel="next"`);
  }
  return { items: page.items.map(present), nextCursor };
}
