/** Paths without a route: 404, or 405 with `Allow` when only the method is wrong (RFC 9110 section 15.5.6). */
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
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

/**
 * Refuses what a placeholder took by mistake: GET /schedules/preview asks for no schedule of that name. PUT does: there
 * the name is what is wrong, and its route says so.
 */
export function refuseShadowed(paths: ReadonlyMap<string, KnownPath>): onRequestHookHandler {
  return (request, _reply, done) => {
    const path = pathOf(request);
    const literal = literalAt(paths, path);
    if (literal === undefined || literal.methods.has(request.method) || request.method === 'PUT')
      return done();
    done(methodNotAllowed(request.method, path, [...literal.methods].sort().join(', ')));
  };
}

/** The handler for what no route took. */
export function answerUnrouted(paths: ReadonlyMap<string, KnownPath>) {
  return (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const path = pathOf(request);
    const methods = methodsFor(paths, path);
    if (methods.length === 0) {
      throw new HttpProblem(404, 'not_found', `There is nothing at ${path}. GET /docs lists what there is.`);
    }
    const allow = methods.join(', ');
    if (request.method === 'OPTIONS') return reply.code(204).header('allow', allow).send();
    throw methodNotAllowed(request.method, path, allow);
  };
}

function methodNotAllowed(method: string, path: string, allow: string): HttpProblem {
  const detail = `${path} does not take ${method}. It takes ${allow}.`;
  return new HttpProblem(405, 'method_not_allowed', detail, { headers: { allow } });
}

function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '/';
}

/** A path in so many words goes before one with a placeholder: /schedules/preview is no schedule. */
function literalAt(paths: ReadonlyMap<string, KnownPath>, path: string): KnownPath | undefined {
  return paths.get(`/${segmentsOf(path).join('/')}`);
}

function methodsFor(paths: ReadonlyMap<string, KnownPath>, path: string): string[] {
  const literal = literalAt(paths, path);
  if (literal !== undefined) return [...literal.methods].sort();
  const segments = segmentsOf(path);
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
