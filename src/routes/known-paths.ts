/** Paths without a route: 404, or 405 with `Allow` when only the method is wrong (RFC 9110 section 15.5.6). */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { HttpProblem } from './problem.ts';

type KnownPath = { segments: readonly string[]; methods: Set<string> };

/** Remembers the routes that are registered after this call. */
export function collectPaths(app: FastifyInstance): Map<string, KnownPath> {
  const paths = new Map<string, KnownPath>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = paths.get(url) ?? { segments: segmentsOf(url), methods: new Set() };
    for (const name of [method].flat()) known.methods.add(name);
    paths.set(url, known);
  });
  return paths;
}

/** The handler for what no route took. */
export function answerUnrouted(paths: ReadonlyMap<string, KnownPath>) {
  return (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const path = request.url.split('?', 1)[0] ?? '/';
    const methods = methodsFor(paths, path);
    if (methods.length === 0) {
      throw new HttpProblem(404, 'not_found', `There is nothing at ${path}. GET /docs lists what there is.`);
    }
    const allow = methods.join(', ');
    if (request.method === 'OPTIONS') return reply.code(204).header('allow', allow).send();
    throw new HttpProblem(
      405,
      'method_not_allowed',
      `${path} does not take ${request.method}. It takes ${allow}.`,
      {
        headers: { allow },
      },
    );
  };
}

function methodsFor(paths: ReadonlyMap<string, KnownPath>, path: string): string[] {
  const segments = segmentsOf(path);
  // A path in so many words goes before one with a placeholder: /schedules/preview is no schedule.
  const literal = paths.get(`/${segments.join('/')}`);
  if (literal !== undefined) return [...literal.methods].sort();
  const methods = new Set<string>();
  for (const known of paths.values()) {
    if (matches(known.segments, segments)) for (const method of known.methods) methods.add(method);
  }
  return [...methods].sort();
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  if (pattern.at(-1) === '*')
    return (
      segments.length >= pattern.length &&
      matches(pattern.slice(0, -1), segments.slice(0, pattern.length - 1))
    );
  return (
    pattern.length === segments.length &&
    pattern.every((part, index) => part.startsWith(':') || part === segments[index])
  );
}

/** A slash at the end makes no difference, as in the router. */
function segmentsOf(path: string): string[] {
  return path.replace(/\/$/, '').split('/').slice(1);
}
