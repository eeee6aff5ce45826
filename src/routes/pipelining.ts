/**
 * Requests that a client sends on one connection without waiting for answers. Node reads hundreds of them at once and
 * keeps every answer until its turn: some kilobytes of questions would cost gigabytes, and hold up everybody else. So a
 * connection has only so many unanswered ones; the next is refused, and the connection closed.
 */
import type { FastifyInstance } from 'fastify';
import { HttpProblem } from './problem.ts';

/** Far more than a client gains by; half a gigabyte of the largest pages needs forty such connections. */
export const unansweredMax = 64;

export function limitPipelining(app: FastifyInstance): void {
  const unanswered = new WeakMap<object, number>();
  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw;
    const count = (unanswered.get(socket) ?? 0) + 1;
    unanswered.set(socket, count);
    reply.raw.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
    if (count <= unansweredMax) return done();
    reply.header('connection', 'close');
    done(
      new HttpProblem(
        429,
        'too_many_requests',
        `More than ${unansweredMax} requests of this connection wait for their answers. Read some before sending more.`,
      ),
    );
  });
}
