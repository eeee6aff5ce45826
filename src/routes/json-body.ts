/**
 * Reading bodies. All of them are JSON, whatever curl says they are: `curl -d '{…}'` labels JSON as a form, and
 * `curl -X POST` sends nothing at all. What is neither labelled as JSON nor possibly meant as JSON is a 415.
 *
 * One exception: a route that says so takes iCalendar text, `text/calendar`, which is short for `{"ical": text}`.
 */
import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { invalid, invalidAll, messageOf } from '../errors.ts';
import { roundedNumbers, textIssues } from './json-limits.ts';
import { HttpProblem } from './problem.ts';

const mergePatchType = 'application/merge-patch+json';
export const calendarType = 'text/calendar';
const formType = 'application/x-www-form-urlencoded';

/** The types that are read as JSON on every route. */
const jsonTypes = ['application/json', 'text/plain', formType];

export function registerJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(jsonTypes, { parseAs: 'buffer' }, (request, body, done) => {
    read(request, body as Buffer, done);
  });
  app.addContentTypeParser(mergePatchType, { parseAs: 'buffer' }, (request, body, done) => {
    if (request.method === 'PATCH') read(request, body as Buffer, done);
    else refuse(request, done);
  });
  app.addContentTypeParser(calendarType, { parseAs: 'buffer' }, (request, body, done) => {
    if (takesCalendars(request)) read(request, body as Buffer, done);
    else refuse(request, done);
  });
  // Also where bodies without any content type come.
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    if (request.headers['content-type'] === undefined || body.length === 0)
      read(request, body as Buffer, done);
    else refuse(request, done);
  });
}

type Done = (error: Error | null, body?: unknown) => void;

function read(request: FastifyRequest, bytes: Buffer, done: Done): void {
  // A path that does not exist is a 404 whatever the body is.
  if (request.is404) {
    done(null);
    return;
  }
  try {
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') throw encoded(encoding);
    const type = request.headers['content-type'];
    done(
      null,
      takesCalendars(request) && isCalendar(bytes, type)
        ? parseIcal(bytes)
        : parseJson(bytes, type, holdsSecret(request)),
    );
  } catch (error) {
    done(error as Error);
  }
}

function takesCalendars(request: FastifyRequest): boolean {
  const schema = request.routeOptions.schema as { consumes?: readonly string[] } | undefined;
  return schema?.consumes?.includes(calendarType) ?? false;
}

/** What is wrong with such a body must not be told by quoting it. */
function holdsSecret(request: FastifyRequest): boolean {
  return request.url.startsWith('/secrets');
}

/** By its label, or where curl's own label says nothing, by how it begins. */
function isCalendar(bytes: Buffer, type: string | undefined): boolean {
  if (type?.toLowerCase().startsWith(calendarType)) return true;
  return /^\uFEFF?\s*BEGIN:VCALENDAR/i.test(bytes.toString('utf8', 0, 200));
}

function parseIcal(bytes: Buffer): unknown {
  if (!isUtf8(bytes))
    throw invalid('/ical', 'The body is not valid UTF-8. Send the iCalendar text in UTF-8.');
  const value = { ical: bytes.toString('utf8').replace(/^\uFEFF/, '') };
  const wrong = textIssues(value);
  if (wrong.length > 0) throw invalidAll(wrong);
  return value;
}

/** An empty body is `{}`. Throws what is wrong as a problem; of a secret one it quotes nothing. */
export function parseJson(bytes: Buffer, contentType?: string, isSecret = false): unknown {
  if (!isUtf8(bytes)) throw malformed('The body is not valid UTF-8. Send JSON in UTF-8.');
  // A byte order mark is ignored, as RFC 8259 section 8.1 allows.
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (isSecret) throw malformed('The body is not valid JSON.');
    const form = contentType?.toLowerCase().startsWith(formType) && !/^\s*[{["]/.test(text);
    const hint = form ? ' It looks like form data; this API reads JSON.' : '';
    throw malformed(`The body is not valid JSON: ${messageOf(error)}.${hint}`);
  }
  // Every body here is an object; null would be taken for no body at all further on.
  if (value === null) throw invalid('', 'The body must be an object, not null.');
  const wrong = textIssues(value);
  const issues = wrong.length > 0 ? wrong : roundedNumbers(text);
  if (issues.length > 0) throw invalidAll(issues);
  return value;
}

function malformed(detail: string): HttpProblem {
  return new HttpProblem(400, 'malformed_json', detail, { issues: [{ pointer: '', detail }] });
}

function refuse(request: FastifyRequest, done: Done): void {
  if (request.is404) done(null);
  else done(unsupported(request));
}

function unsupported(request: FastifyRequest): HttpProblem {
  const other = request.method === 'PATCH' ? mergePatchType : takesCalendars(request) ? calendarType : null;
  const also = other === null ? '' : ` or ${other}`;
  return new HttpProblem(
    415,
    'unsupported_media_type',
    `The content type "${request.headers['content-type']}" is not understood here. Send JSON as application/json${also}.`,
    {
      headers: {
        accept: other === null ? 'application/json' : `application/json, ${other}`,
      },
    },
  );
}

function encoded(encoding: string): HttpProblem {
  return new HttpProblem(
    415,
    'unsupported_media_type',
    `The content encoding "${encoding}" is not understood. Send the body as it is.`,
    { headers: { 'accept-encoding': 'identity' } },
  );
}
