/**
 * Requests that are so broken, slow or big in their head that Node gives up before Fastify sees them. There is no
 * request then, only a socket: the problem is written by hand, and the connection ends.
 */
import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { HttpProblem, toAnswer } from './problem.ts';

type ClientError = Error & { code?: string };

export function answerBrokenRequest(this: FastifyInstance, error: ClientError, socket: Socket): void {
  // Nobody is there any more.
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const requestId = randomUUID();
  this.log.debug({ err: error, requestId }, 'broken request');
  if (socket.writable) {
    const { problem } = toAnswer(faultOf(error));
    const body = JSON.stringify({ ...problem, requestId });
    socket.write(
      [
        `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
        'Connection: close',
        'Content-Type: application/problem+json; charset=utf-8',
        `Content-Length: ${Buffer.byteLength(body)}`,
        `X-Request-Id: ${requestId}`,
        '',
        body,
      ].join('\r\n'),
    );
  }
  socket.destroySoon();
}

function faultOf(error: ClientError): HttpProblem {
  switch (error.code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new HttpProblem(
        408,
        'request_timeout',
        'The request took too long to arrive. Send it again, faster.',
      );
    case 'HPE_HEADER_OVERFLOW':
      return new HttpProblem(
        431,
        'headers_too_large',
        'The headers are larger than 16 KiB. Send fewer or shorter ones.',
      );
    default:
      return new HttpProblem(400, 'malformed_request', 'This is not a valid HTTP request.');
  }
}
