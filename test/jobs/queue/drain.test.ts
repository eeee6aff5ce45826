/** The loop of a drain over tasks in memory: what it begins, when it ends, what it hands back. */
import { expect, it } from 'vitest';
import { drain, type HeldTask, type TaskSource } from '../../../src/jobs/queue/drain.ts';
import type { ClaimedTask } from '../../../src/queues/queue-task.ts';
import { waitFor } from '../../support/wait-for.ts';

const task = (name: string): ClaimedTask => ({
  id: name,
  attempt: 1,
  failures: 0,
  maxAttempts: 3,
  priority: 0,
  dueAtMs: 0,
  input: {},
});

/** A queue in memory. Tasks end when the test says so, or at once. */
function setup(names: readonly string[], options: { atOnce?: number; held?: boolean } = {}) {
  const queue = [...names];
  const settled: string[] = [];
  const handedBack: HeldTask[] = [];
  const running = new Map<string, (result: string | null) => void>();
  const claims: number[] = [];
  const abort = new AbortController();
  const state = { stop: false, most: 0, claimFault: null as Error | null, settleFault: null as Error | null };
  const source: TaskSource<string> = {
    async claim(limit) {
      claims.push(limit);
      if (state.claimFault) throw state.claimFault;
      return { tasks: queue.splice(0, limit).map(task), woken: 0 };
    },
    async settle(result) {
      if (state.settleFault) throw state.settleFault;
      settled.push(result);
    },
    async handBack(tasks) {
      handedBack.push(...tasks);
    },
  };
  const ended = drain({
    source,
    execute: ({ id }) => {
      if (options.held !== true) return Promise.resolve(id);
      return new Promise((resolve) => {
        running.set(id, (result) => {
          running.delete(id);
          resolve(result);
        });
        state.most = Math.max(state.most, running.size);
        abort.signal.addEventListener('abort', () => running.get(id)?.(null), { once: true });
      });
    },
    atOnce: options.atOnce ?? 3,
    signal: abort.signal,
    stopRequested: () => state.stop,
    monotonic: () => performance.now(),
  });
  // The test may look at it later.
  ended.catch(() => undefined);
  return { queue, settled, handedBack, running, claims, abort, state, ended };
}

const names = (count: number) => Array.from({ length: count }, (_, n) => `t${n}`);

it('executes all in their order, asking for more and more at a time', async () => {
  const { settled, claims, handedBack, ended } = setup(names(100));
  expect(await ended).toBe('empty');
  expect(settled).toEqual(names(100));
  expect(claims.slice(0, 4)).toEqual([3, 6, 12, 24]);
  expect(handedBack).toEqual([]);
});

it('of an empty queue asks once', async () => {
  const { claims, ended } = setup([]);
  expect([await ended, claims]).toEqual(['empty', [3]]);
});

it('begins the next task when one has ended, and never more than so many', async () => {
  const { running, state, ended } = setup(names(5), { held: true });
  await waitFor(() => running.size === 3);
  expect([...running.keys()]).toEqual(['t0', 't1', 't2']);
  running.get('t1')!('t1');
  await waitFor(() => running.has('t3'));
  expect([...running.keys()]).toEqual(['t0', 't2', 't3']);
  while (running.size > 0) {
    for (const [name, end] of running) end(name);
    await Promise.resolve();
  }
  expect([await ended, state.most]).toEqual(['empty', 3]);
});

it('finds what came while its last task ran', async () => {
  const { queue, running, ended, settled } = setup(['slow'], { held: true });
  await waitFor(() => running.has('slow'));
  queue.push('late');
  await waitFor(() => running.has('late'));
  for (const name of ['late', 'slow']) running.get(name)!(name);
  expect([await ended, settled]).toEqual(['empty', ['late', 'slow']]);
});

it('on a stop begins nothing more, waits for what runs, and hands back what it had not begun', async () => {
  const { running, state, ended, settled, handedBack, queue } = setup(names(20), { held: true });
  await waitFor(() => running.size === 3 && queue.length < 17);
  state.stop = true;
  for (const name of ['t0', 't1', 't2']) running.get(name)!(name);
  expect([await ended, settled]).toEqual(['stopped', ['t0', 't1', 't2']]);
  expect(handedBack.length).toBe(17 - queue.length);
  expect(handedBack.length).toBeGreaterThan(0);
  expect(handedBack.every((held) => !held.begun)).toBe(true);
});

it('on an abort hands back what it had begun, too, and rejects with the reason', async () => {
  const { running, abort, ended, settled, handedBack, queue } = setup(names(20), { held: true });
  await waitFor(() => running.size === 3 && queue.length < 17);
  running.get('t0')!('t0');
  await waitFor(() => settled.length === 1);
  abort.abort(new Error('over'));
  await expect(ended).rejects.toThrow('over');
  expect(handedBack.filter((held) => held.begun).map((held) => held.id)).toEqual(['t1', 't2', 't3']);
  expect(settled.length + handedBack.length + queue.length).toBe(20);
});

it.each(['claimFault', 'settleFault'] as const)('ends with a %s when what runs has ended', async (fault) => {
  const { running, state, ended, handedBack, queue } = setup(names(20), { held: true });
  await waitFor(() => running.size === 3 && queue.length < 17);
  state[fault] = new Error('the database is away');
  while (running.size > 0) {
    for (const [name, end] of running) end(name);
    await new Promise(setImmediate);
  }
  await expect(ended).rejects.toThrow('the database is away');
  expect(handedBack.every((held) => !held.begun)).toBe(true);
});
