/** kill -9 at each boundary of a step: what is on record is not done again, at most the one unrecorded step is. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import { setupScene } from '../support/fault-scene.ts';
import type { Place } from '../support/stepping-job.ts';
import { waitFor } from '../support/wait-for.ts';

vi.setConfig({ testTimeout: 60_000 });

/** Counts calls by place, answers with how many there were, and holds the first one at a place. */
async function startPlaces(holdAt: Place) {
  const calls: string[] = [];
  const server = http.createServer((request, response) => {
    const place = decodeURIComponent(request.url!.slice(1));
    calls.push(place);
    const count = calls.filter((each) => each === place).length;
    if (place === holdAt && count === 1) return;
    response.end(String(count));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

const entry = './test/support/node-with-jobs.ts';

it.each<[Place, Record<string, number>]>([
  ['before', { first: 1, before: 2, inside: 1, effect: 1, 'after effect': 1, third: 1 }],
  ['inside', { first: 1, before: 2, inside: 2, effect: 1, 'after effect': 1, third: 1 }],
  ['effect', { first: 1, before: 2, inside: 2, effect: 2, 'after effect': 1, third: 1 }],
  ['after effect', { first: 1, before: 2, inside: 2, effect: 2, 'after effect': 2, third: 1 }],
  ['after step', { first: 1, before: 2, inside: 1, effect: 1, 'after effect': 1, third: 1 }],
  ['end', { first: 1, before: 2, inside: 1, effect: 1, 'after effect': 1, third: 1 }],
])('killed at "%s"', async (place, expected) => {
  const { node, create, trigger, reaches, silence } = await setupScene();
  const { url, calls } = await startPlaces(place);
  const [doomed, other] = await Promise.all([
    node({ roles: 'worker', entry }),
    node({ roles: 'api,dispatcher', entry }),
  ]);
  const { name } = await create(other, { job: { type: 'stepping', input: { url } } });
  const run = await trigger(other, name);
  await waitFor(() => calls.includes(place), { what: place, timeoutMs: 20_000 });
  doomed.kill('SIGKILL');
  await doomed.exited;
  await silence(doomed.pid);
  await node({ roles: 'worker', entry });
  const ended = await reaches(other, run, 'succeeded', 30_000);
  const counts = Object.fromEntries(
    Object.keys(expected).map((each) => [each, calls.filter((call) => call === each).length]),
  );
  expect(counts).toEqual(expected);
  expect(ended).toMatchObject({
    attempt: 2,
    attempts: [{ status: 'lost' }, { status: 'succeeded' }],
    output: { first: 1, second: expected.effect },
    steps: [
      { name: 'first', status: 'succeeded', attempts: 1, output: 1 },
      { name: 'second', status: 'succeeded', attempts: expected.inside },
      { name: 'third', status: 'succeeded', attempts: 1 },
    ],
  });
});
