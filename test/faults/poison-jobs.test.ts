/** Jobs that do in the process of all others what no job should do: the service lives, and each run says why it ended. */
import { expect, it, vi } from 'vitest';
import { type RunAnswer, setupScene } from '../support/fault-scene.ts';
import { waitFor } from '../support/wait-for.ts';

vi.setConfig({ testTimeout: 60_000 });

const stray = /^The job threw where nothing awaits it/;
const timeout = { type: 'Timeout', message: expect.stringContaining('timeout of 1500 ms') };

type End = { status: string; error: unknown };
const failed = (type: string, message: unknown): End => ({ status: 'failed', error: { type, message } });

/** One try each. */
const ends: Record<string, End> = {
  'throws undefined': failed('Error', 'undefined'),
  'throws what cannot be looked at': failed('Error', expect.stringContaining('says nothing of itself')),
  'never settles': { status: 'timed_out', error: timeout },
  'settles long after its signal': { status: 'timed_out', error: timeout },
  'rejects in a timer': failed('RangeError', expect.stringMatching(/nothing awaits it.*: left in a timer$/)),
  'throws in a timer': failed('Broken', expect.stringMatching(stray)),
  'leaves a rejection and succeeds': failed('Error', expect.stringMatching(stray)),
  'rejects undefined beside itself': failed(
    expect.any(String) as never,
    expect.stringContaining('undefined'),
  ),
  'emits an error that nobody hears': failed('TypeError', expect.stringMatching(stray)),
  'rejects after its end': { status: 'succeeded', error: null },
  'rejects in a step': failed('Error', expect.stringMatching(stray)),
  'exits the process': failed('ProcessExit', expect.stringContaining('process.exit(7)')),
  'exits in a timer': failed('ProcessExit', expect.stringMatching(stray)),
  'answers a function': { status: 'succeeded', error: null },
  'answers a BigInt': failed('TypeError', expect.stringContaining('BigInt')),
  'answers what throws': failed('Error', 'not to be written'),
  'answers a thenable that throws': failed('Error', 'not to be awaited'),
  'breaks its signal': { status: 'timed_out', error: timeout },
};

it('whatever a job does, its own run alone ends by it, with the reason, and the process goes on', async () => {
  const { node, create, trigger, run } = await setupScene();
  const house = await node({ entry: 'test/support/node-with-jobs.ts' });
  const started = await Promise.all(
    Object.keys(ends).map(async (does) => {
      const job = { type: 'poison', input: { does }, timeout: '1500ms', retry: { maxAttempts: 1 } };
      const { name } = await create(house, { job });
      return [does, await trigger(house, name)] as const;
    }),
  );
  for (const [does, runId] of started) {
    const ended = await waitFor(
      async (): Promise<RunAnswer | undefined> => {
        const found = await run(house, runId);
        return found.finishedAt === null ? undefined : found;
      },
      { what: `the end of the run that ${does}`, timeoutMs: 20_000 },
    );
    expect(ended, does).toMatchObject(ends[does]!);
  }
  // The late ones too, which no run tells of any more.
  await waitFor(() => house.output().includes('left by a job: after the end'));
  expect(house.running).toBe(true);
  const { name } = await create(house, { job: { type: 'noop' } });
  const after = await trigger(house, name);
  await waitFor(async () => (await run(house, after)).status === 'succeeded');
});
