/**
 * An open service on loopback can be reached by any page in the user's browser, and bodies are read whatever their
 * content type is called, so the browser would not even ask first. A schedule can call URLs and read folders: pages
 * from elsewhere must not make any. Browsers name the page's origin; programs such as curl send none.
 */
import type { onRequestHookHandler } from 'fastify';
import { HttpProblem } from './problem.ts';

const loopbackHost = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Refuses what a page of another machine sends. With an API key there is nothing to guard: pages do not know it. */
export function refuseForeignPages(apiKey: string | null): onRequestHookHandler {
  return (request, _reply, done) => {
    const { origin } = request.headers;
    if (apiKey !== null || origin === undefined || isLoopback(origin)) return done();
    done(
      new HttpProblem(
        403,
        'foreign_origin',
        `Without an API key, Carillon answers pages from this machine only, not from ${JSON.stringify(origin)}. Set CARILLON_API_KEY to use it from there.`,
      ),
    );
  };
}

function isLoopback(origin: string): boolean {
  return URL.canParse(origin) && loopbackHost.test(new URL(origin).hostname);
}
