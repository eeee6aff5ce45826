/** Pieces of route schemas that describe answers for the API's document. They change nothing at run time. */
import { z } from 'zod';
import { problemSchema } from './problem.ts';

const problemWords = {
  400: 'Something in the request is wrong; `errors` says what and where.',
  401: 'The API key is missing or wrong.',
  403: 'A web page of another machine may not ask this.',
  404: 'There is no such thing.',
  405: 'The path does not take this method; `Allow` says which it takes.',
  409: 'Its state, or another one of its name, does not allow this.',
  412: 'It is not at the version that `If-Match` or `If-None-Match` wants.',
  413: 'The body is larger than is taken here: 1 MiB, if nothing else is said.',
  415: 'The body is not JSON.',
  500: 'Carillon failed; the log has the cause.',
  503: 'The database cannot be reached or takes no changes at the moment.',
} as const;

export type ProblemStatus = keyof typeof problemWords;

/** Answers that are problems, for a route's `response`; those that every route can give are added. */
export function problems(...statuses: ProblemStatus[]) {
  const all = [...new Set<ProblemStatus>([...statuses, 400, 401, 403, 500, 503])].sort();
  return Object.fromEntries(
    all.map((status) => [
      status,
      {
        description: problemWords[status],
        content: { 'application/problem+json': { schema: problemSchema } },
      },
    ]),
  );
}

/** For routes that read a body. */
export const bodyProblems: ProblemStatus[] = [400, 413, 415];

/** The body of commands that take none. */
export const noInput = z.strictObject({}).meta({ examples: [{}] });
/** The answer of 304. */
export const notModified = z.null().describe('It is still at the version of `If-None-Match`.');

/** The answer of 204. */
export const nothing = z.null().describe('Done; there is nothing to say.');

export const scheduleRef = z.object({
  id: z.string().meta({ description: 'The id or the name of the schedule.', examples: ['ping'] }),
});

export const runRef = z.object({
  id: z.string().meta({ description: 'The id of the run.', format: 'uuid' }),
});
