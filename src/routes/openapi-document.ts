/** What the OpenAPI document says that route schemas cannot: examples, the inputs of the job types, headers. Pure. */
import type { JobCatalog, JobTypeInfo } from '../schedules/job-catalog.ts';
import { calendarType } from './json-body.ts';

export type Json = Record<string, unknown>;
/** As much of an OpenAPI document as is touched here. */
export type ApiDocument = {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Json>; responses?: Record<string, Answer>; headers?: Json };
};
type Media = { schema: Json; example?: unknown };
type Answer = { description: string; content?: Record<string, Media>; headers?: Json };
type Parameter = { in: string; required?: boolean; example?: unknown };
type Operation = {
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Record<string, Media> };
  summary?: string;
  responses: Record<string, Answer | { $ref: string }>;
};

/** Adds examples, the inputs of the job types, and headers; leaves out components that nothing refers to. */
export function completeDocument(document: ApiDocument, catalog: JobCatalog): ApiDocument {
  document.components.schemas = {
    ...document.components.schemas,
    ...jobSchemas(document.components.schemas.JobInput ?? {}, catalog.list()),
  };
  document.components.headers = headers;
  document.components.responses = {};
  for (const operations of Object.values(document.paths)) {
    for (const operation of Object.values(operations)) completeOperation(operation, document);
  }
  return withPlainNames(withoutUnused(document));
}

function completeOperation(operation: Operation, document: ApiDocument): void {
  // A query has an example only where it cannot be left out: Swagger UI would send it unasked.
  for (const parameter of operation.parameters ?? []) {
    if (parameter.in === 'query' && parameter.example !== undefined) parameter.required = true;
  }
  const content = operation.requestBody?.content ?? {};
  // One object for all media types of a body is what comes in; each gets its own.
  for (const [type, shared] of Object.entries(content)) {
    const media = { ...shared };
    content[type] = media;
    const schema = resolved(media.schema, document);
    const [example] = (schema.examples as unknown[] | undefined) ?? [];
    if (media.example === undefined && example !== undefined) media.example = example;
    // An empty body is {}, so it is only needed where the schema needs something.
    const needs = ((schema.required as unknown[] | undefined) ?? []).length > 0 || schema.anyOf !== undefined;
    if (operation.requestBody) operation.requestBody.required = needs;
    if (type === calendarType) Object.assign(media, icalMedia);
  }
  for (const [status, response] of Object.entries(operation.responses)) {
    if ('$ref' in response) continue;
    const schema = response.content?.['application/json']?.schema ?? {};
    if (response.description === 'Default Response') {
      response.description = String(resolved(schema, document).description ?? operation.summary);
    }
    response.headers = {
      ...(['201', '202'].includes(status) && { Location: header('Location') }),
      ...(String(schema.$ref).endsWith('/Schedule') && { ETag: header('ETag') }),
      ...((schema.properties as Json | undefined)?.nextCursor !== undefined && { Link: header('Link') }),
      'X-Request-Id': header('X-Request-Id'),
    };
    if (response.content?.[problemType]?.schema.$ref === undefined) continue;
    // The same words for every operation: written once.
    document.components.responses = { ...document.components.responses, [`Problem${status}`]: response };
    operation.responses[status] = { $ref: `#/components/responses/Problem${status}` };
  }
}

/** Text, which the route reads as the field `ical` of its JSON. */
const icalMedia: Media = {
  schema: { type: 'string', description: 'iCalendar text (RFC 5545).' },
  example: [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'BEGIN:VEVENT',
    'UID:new-year',
    'DTSTART;VALUE=DATE:20260101',
    'RRULE:FREQ=YEARLY',
    'SUMMARY:New Year',
    'END:VEVENT',
    'END:VCALENDAR',
    '',
  ].join('\r\n'),
};

const problemType = 'application/problem+json';

const headers: Json = {
  Location: { description: 'The path of what was made.', schema: { type: 'string' } },
  Link: {
    description: 'The next page, as `rel="next"` (RFC 8288), when there is one.',
    schema: { type: 'string' },
  },
  ETag: {
    description: 'The version of the schedule in quotes, for `If-Match` and `If-None-Match`.',
    schema: { type: 'string' },
  },
  'X-Request-Id': {
    description: "The request's own id, or the one it was given.",
    schema: { type: 'string' },
  },
};

function header(name: string): Json {
  return { $ref: `#/components/headers/${name}` };
}

/** The job of a schedule, told apart by `type`: each job type with the schema of its input. */
function jobSchemas(job: Json, types: readonly JobTypeInfo[]): Record<string, Json> {
  if (types.length === 0) return {};
  const schemas: Record<string, Json> = {};
  const mapping: Record<string, string> = {};
  for (const info of types) {
    const name = pascal(info.type);
    const { $schema, ...input } = info.inputSchema;
    schemas[`${name}Input`] = { ...input, examples: [info.example] };
    schemas[`${name}Job`] = {
      ...job,
      description: info.description,
      properties: {
        ...(job.properties as Json),
        type: { type: 'string', const: info.type },
        input: { $ref: `#/components/schemas/${name}Input` },
      },
    };
    const inputRequired =
      input.anyOf !== undefined || (Array.isArray(input.required) && input.required.length > 0);
    schemas[`${name}Job`]!.required = inputRequired ? ['type', 'input'] : ['type'];
    mapping[info.type] = `#/components/schemas/${name}Job`;
  }
  schemas.JobInput = {
    description: 'What to run.',
    oneOf: Object.values(mapping).map(($ref) => ({ $ref })),
    discriminator: { propertyName: 'type', mapping },
  };
  return schemas;
}

function pascal(type: string): string {
  return type.replace(/(^|[^A-Za-z0-9]+)([A-Za-z0-9])/g, (_all, _gap, letter: string) =>
    letter.toUpperCase(),
  );
}

function resolved(schema: Json, document: ApiDocument): Json {
  const name = typeof schema.$ref === 'string' ? schema.$ref.split('/').at(-1) : undefined;
  return name === undefined ? schema : (document.components.schemas[name] ?? schema);
}

/** zod writes each schema twice, as it comes in and as it goes out; most are used in one direction only. */
function withoutUnused(document: ApiDocument): ApiDocument {
  const used = new Set<string>();
  collectRefs(document.components.responses, document, used);
  collectRefs(document.paths, document, used);
  const schemas = Object.entries(document.components.schemas)
    .filter(([name]) => used.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  document.components.schemas = Object.fromEntries(schemas);
  return document;
}

function collectRefs(value: unknown, document: ApiDocument, used: Set<string>): void {
  if (value === null || typeof value !== 'object') return;
  for (const [key, child] of Object.entries(value)) {
    if (key === '$ref' && typeof child === 'string') {
      const name = child.split('/').at(-1) ?? '';
      if (used.has(name)) continue;
      used.add(name);
      collectRefs(document.components.schemas[name], document, used);
    } else {
      collectRefs(child, document, used);
    }
  }
}

const inputSuffix = /Input$/;

/** What only comes in is called "ScheduleDefinitionInput" by the transform; without its rival the plain name is free. */
function withPlainNames(document: ApiDocument): ApiDocument {
  const names = new Set(Object.keys(document.components.schemas));
  const plain = (name: string): string => {
    const short = name.replace(inputSuffix, '');
    return names.has(short) || names.has(`${short}Job`) ? name : short;
  };
  const prefix = '#/components/schemas/';
  const renamed = (value: unknown): unknown =>
    typeof value === 'string' && value.startsWith(prefix)
      ? prefix + plain(value.slice(prefix.length))
      : value;
  const copy = JSON.parse(JSON.stringify(document), (_key, value) => renamed(value)) as ApiDocument;
  const schemas = Object.entries(copy.components.schemas).map(([name, schema]) => [plain(name), schema]);
  copy.components.schemas = Object.fromEntries(schemas);
  // What a reader looks for comes first.
  const { paths, components, ...head } = copy;
  return { ...head, paths, components };
}
