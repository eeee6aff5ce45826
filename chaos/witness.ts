/**
 * The independent witness: a small HTTP server in a process of its own that believes nobody. It appends each hit, and how
 * it ended, to a file, before it answers.
 *
 * `node chaos/witness.ts <file>`; tells its address on the first line of its output, and each hit on stdout after that,
 * for faults that wait for one. Query: `delay` (ms), `oneIn` and `status` (fail one call in so many), `step`.
 */
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hash } from './seeded.ts';

/** A line of its file. `atMs` is the machine's wall clock, `monotonicMs` never jumps. */
export type WitnessLine = {
  phase: 'hit' | 'answered' | 'abandoned';
  runId: string;
  attempt: number;
  step: string;
  key: string;
  status: number;
  atMs: number;
  monotonicMs: number;
};

if (import.meta.main) {
  const file = process.argv[2]!;
  const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
    request.resume();
    const query = new URL(request.url!, 'http://witness').searchParams;
    const runId = String(request.headers['x-carillon-run-id']);
    const attempt = Number(request.headers['x-carillon-attempt']);
    const oneIn = Number(query.get('oneIn') ?? 0);
    const fails = oneIn > 0 && hash(`${runId} ${attempt}`) % oneIn === 0;
    const status = fails ? Number(query.get('status')) : 200;
    const about = {
      runId,
      attempt,
      step: query.get('step') ?? '',
      key: String(request.headers['idempotency-key']),
      status,
    };
    const note = (phase: WitnessLine['phase']) => {
      const monotonicMs = Number(process.hrtime.bigint()) / 1e6;
      const line: WitnessLine = { phase, ...about, atMs: Date.now(), monotonicMs };
      appendFileSync(file, `${JSON.stringify(line)}\n`);
    };
    note('hit');
    process.stdout.write(`hit ${runId} ${attempt}\n`);
    const timer = setTimeout(
      () => {
        note('answered');
        response.writeHead(status).end(JSON.stringify({ runId, attempt }));
      },
      Number(query.get('delay') ?? 0),
    );
    response.on('close', () => {
      if (response.writableEnded) return;
      clearTimeout(timer);
      note('abandoned');
    });
  });
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
  });
  // It must not outlive who started it.
  process.stdin.resume().on('close', () => process.exit(0));
}
