/** The API key (DESIGN §3): `Authorization: Bearer <key>` on every route but health and docs. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { onRequestHookHandler } from 'fastify';
import { HttpProblem } from './problem.ts';

/** A hook that lets requests with the key pass. Null: the service is on loopback only, and open. */
export function requireApiKey(apiKey: string | null): onRequestHookHandler {
  if (apiKey === null) return (_request, _reply, done) => done();
  const expected = digest(apiKey);
  return (request, _reply, done) => {
    const given = /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
    if (given === undefined) {
      done(refusal('This needs the API key. Send it as "Authorization: Bearer <key>".', ''));
    } else if (!timingSafeEqual(digest(given), expected)) {
      done(
        refusal(
          'The API key is wrong. Compare it with CARILLON_API_KEY of the service.',
          ', error="invalid_token"',
        ),
      );
    } else {
      done();
    }
  };
}

/** Equal lengths for timingSafeEqual, so that not even the key's length leaks through the time taken. */
function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

function refusal(detail: string, reason: string): HttpProblem {
  return new HttpProblem(401, 'unauthorized', detail, {
    headers: { 'www-authenticate': `Bearer realm="carillon"${reason}` },
  });
}
