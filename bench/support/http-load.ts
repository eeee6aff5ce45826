/** Requests over some connections, each with one request under way, for some seconds. */
import { Pool } from 'undici';

export type LoadRequest = { method: 'GET' | 'POST'; path: string; body?: string };

export type LoadResult = { answers: number; perSecond: number; p99Ms: number };

/**
 * An answer with another status than `expected` is a fault: a refusal is fast, and would count as a good answer.
 * All answers that come within the time count, from the first request on.
 */
export async function load(
  address: string,
  options: { connections: number; seconds: number; expected: number; next(): LoadRequest },
): Promise<LoadResult> {
  const { connections, seconds, expected, next } = options;
  const pool = new Pool(address, { connections, pipelining: 1 });
  const tookMs: number[] = [];
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  const client = async () => {
    for (let beforeMs = performance.now(); beforeMs < endMs; ) {
      const { body, ...request } = next();
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const answer = await pool.request({ ...request, body: body ?? null, headers });
      if (answer.statusCode !== expected)
        throw new Error(`${request.path} answered ${answer.statusCode}: ${await answer.body.text()}`);
      await answer.body.dump();
      const afterMs = performance.now();
      tookMs.push(afterMs - beforeMs);
      beforeMs = afterMs;
    }
  };
  try {
    await Promise.all(Array.from({ length: connections }, client));
  } finally {
    await pool.destroy();
  }
  const tookSeconds = (performance.now() - startMs) / 1000;
  tookMs.sort((a, b) => a - b);
  const answers = tookMs.length;
  return { answers, perSecond: answers / tookSeconds, p99Ms: tookMs[Math.floor(answers * 0.99)]! };
}
