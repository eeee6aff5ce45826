/** Drains of real queues: in the database, through the worker, as readers see them. */
import { expect, it } from 'vitest';
import { createClock } from '../../../src/clock.ts';
import { requeueDueRetries } from '../../../src/db/run-store.ts';
import { JobError } from '../../../src/jobs/job.ts';
import { nameOf, setupQueueRig } from '../../support/queue-rig.ts';
import { waitFor } from '../../support/wait-for.ts';
import { createGate } from '../../support/worker-rig.ts';

const names = (count: number, prefix = 't') => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

it('an empty queue, or one that there is not, is drained at once', async () => {
  const rig = await setupQueueRig(() => undefined);
  await rig.worker();
  const run = await rig.ended((await rig.drain()).id);
  expect(run).toMatchObject({
    status: 'succeeded',
    output: { queueName: 'q', processedTasks: 0, failedTasks: 0, deadTasks: 0, status: 'empty' },
    steps: [],
  });
});

it('tasks are executed each once, and their outputs kept', async () => {
  const calls: string[] = [];
  const rig = await setupQueueRig((context, input) => {
    calls.push(nameOf(input));
    return `${context.idempotencyKey} ${context.attempt}`;
  });
  const tasks = await rig.enqueue(names(250));
  await rig.worker();
  const run = await rig.ended((await rig.drain()).id);
  expect(run).toMatchObject({ status: 'succeeded', output: { processedTasks: 250 } });
  expect(run.progress).toMatchObject({ done: 250, unit: 'tasks' });
  expect(calls.toSorted()).toEqual(names(250).toSorted());
  const kept = await rig.sql.rows<{ id: string; body: string; attempt: number; run_id: string }>(
    `select id, output->>'body' as body, attempt, run_id from queue_tasks where status = 'succeeded'`,
  );
  expect(kept).toHaveLength(250);
  for (const task of kept) {
    expect(task).toMatchObject({ body: `${task.id} 1`, attempt: 1, run_id: run.id });
    expect(tasks.some(({ id }) => id === task.id)).toBe(true);
  }
});

it('priority goes first, then time, then the order in which they came', async () => {
  const calls: string[] = [];
  const rig = await setupQueueRig((_context, input) => void calls.push(nameOf(input)));
  const clock = createClock();
  await rig.enqueue(['c1', 'c2', 'c3']);
  await rig.enqueue(['b'], { priority: 5 });
  await rig.enqueue(['z'], { priority: -5 });
  await rig.enqueue(['later'], { priority: 9, notBeforeMs: clock.now() + 3_600_000 });
  const woken = await rig.enqueue(['first'], { priority: 9, notBeforeMs: clock.now() + 3_600_000 });
  await rig.enqueue(['d']);
  await rig.sql.rows(`update queue_tasks set due_at = due_at - interval '2 hours' where id = $1`, [
    woken[0]!.id,
  ]);
  await rig.worker();
  const run = await rig.ended((await rig.drain({ batchSize: 1 })).id);
  expect(run.output).toMatchObject({ processedTasks: 7 });
  // What is woken by the first claim goes with the second; one task is claimed by the first.
  expect(calls.filter((name) => name !== 'first')).toEqual(['b', 'c1', 'c2', 'c3', 'd', 'z']);
  expect(calls.indexOf('first')).toBe(1);
  expect(await rig.tasks()).toMatchObject({ waiting: ['later'] });
});

it('batchSize is how many run at once, and one slow task holds up no other', async () => {
  const gate = createGate();
  let atOnce = 0;
  let most = 0;
  let done = 0;
  const rig = await setupQueueRig(async (_context, input) => {
    atOnce += 1;
    most = Math.max(most, atOnce);
    await (nameOf(input) === 'slow' ? gate.pass() : Promise.resolve());
    atOnce -= 1;
    done += 1;
  });
  await rig.enqueue(['slow', ...names(100)]);
  await rig.worker();
  const { id } = await rig.drain({ batchSize: 4 });
  await waitFor(() => done === 100);
  // What comes meanwhile is executed meanwhile.
  await rig.enqueue(['late']);
  await waitFor(() => done === 101);
  expect(await rig.detail(id)).toMatchObject({ status: 'running' });
  gate.open();
  expect((await rig.ended(id)).output).toMatchObject({ processedTasks: 102 });
  expect(most).toBe(4);
});

it('a failed task waits for its backoff and is tried again; after its last try it is dead', async () => {
  const clock = createClock();
  const keys = new Map<string, string[]>();
  const rig = await setupQueueRig((context, input) => {
    const name = nameOf(input);
    keys.set(name, [...(keys.get(name) ?? []), `${context.idempotencyKey} ${context.attempt}`]);
    if (name === 'never') throw new JobError('HttpStatus', 'answered 404', { retryable: false });
    if (name === 'asked') throw new JobError('HttpStatus', 'answered 503', { retryAfterMs: 60_000 });
    if (name === 'flaky' && context.attempt === 1) throw new Error('not now');
    if (name === 'bad') throw new JobError('Timeout', `password http://u:p@host/ of ${name}`);
  });
  await rig.enqueue(['good', 'flaky', 'bad', 'never', 'asked'], { maxAttempts: 2 });
  await rig.worker();
  const beforeMs = clock.now();
  const first = await rig.ended((await rig.drain()).id);
  expect(first.output).toEqual({
    queueName: 'q',
    processedTasks: 1,
    failedTasks: 3,
    deadTasks: 1,
    status: 'empty',
  });
  expect(await rig.tasks()).toEqual({
    succeeded: ['good'],
    waiting: ['asked', 'bad', 'flaky'],
    dead: ['never'],
  });
  const waits = await rig.sql.rows<{ name: string; ms: number }>(
    `select split_part(input->>'url', '/', 4) as name, extract(epoch from due_at)::float8 * 1000 as ms from queue_tasks
     where status = 'waiting' order by name`,
  );
  expect(waits.map(({ ms }) => Math.floor((ms - beforeMs) / 5_000) * 5)).toEqual([60, 5, 5]);
  // Nothing to do before that.
  expect((await rig.ended((await rig.drain()).id)).output).toMatchObject({ processedTasks: 0 });
  await rig.sql.rows(
    `update queue_tasks set due_at = due_at - interval '2 minutes' where status = 'waiting'`,
  );
  const second = await rig.ended((await rig.drain()).id);
  expect(second.output).toMatchObject({ processedTasks: 1, failedTasks: 0, deadTasks: 2 });
  expect(await rig.tasks()).toEqual({ succeeded: ['flaky', 'good'], dead: ['asked', 'bad', 'never'] });
  const flaky = keys.get('flaky')!.map((key) => key.split(' '));
  expect(flaky.map(([, attempt]) => attempt)).toEqual(['1', '2']);
  expect(flaky[0]![0]).toBe(flaky[1]![0]);
  const log = (await rig.logOf(second.id)).map(({ level, message }) => `${level} ${message}`).join('\n');
  expect(log).toMatch(/error task [0-9a-f-]+ failed \(Timeout: .* of bad\) and is dead after 2 failed tries/);
  expect(log + JSON.stringify(await rig.sql.rows('select error from queue_tasks'))).not.toContain('u:p@');
});

it('secrets are in the call alone, and in nothing that is kept', async () => {
  const seen: unknown[] = [];
  const rig = await setupQueueRig((_context, input) => {
    seen.push(input.headers);
    if (nameOf(input) === 'bad') throw new Error(`it said: ${input.headers?.authorization}`);
    return `it said: ${input.headers?.authorization} ${'x'.repeat(5_000)}`;
  });
  await rig.secrets.put('token', { value: 'correct-horse-battery', description: '' });
  // biome-ignore lint/suspicious/noTemplateCurlyInString: It is what callers write.
  const headers = { authorization: 'Bearer ${secret:token}' };
  for (const name of ['good', 'bad']) {
    await rig.enqueue([name], { input: { url: `http://127.0.0.1:1/${name}`, headers }, maxAttempts: 1 });
  }
  await rig.enqueue(['gone'], {
    input: { url: 'http://127.0.0.1:1/gone', body: { $secret: 'nope' } },
  });
  await rig.worker();
  const run = await rig.ended((await rig.drain()).id);
  expect(run.output).toMatchObject({ processedTasks: 1, deadTasks: 2 });
  expect(seen).toEqual(Array(2).fill({ authorization: 'Bearer correct-horse-battery' }));
  const rows = await rig.sql.rows<{ output: { body: string } | null; error: { type: string } | null }>(
    `select output, error from queue_tasks order by input->>'url'`,
  );
  expect(rows.map((row) => row.error?.type ?? null)).toEqual(['Error', 'InvalidConfiguration', null]);
  expect(rows[2]!.output).toMatchObject({ bodyTruncated: true });
  expect(rows[2]!.output!.body).toMatch(/^it said: Bearer \[secret:token\] x+$/);
  expect(rows[2]!.output!.body).toHaveLength(4_096);
  const all = JSON.stringify([rows, run, await rig.logOf(run.id), rig.lines]);
  expect(all).not.toContain('horse');
});

it('a stop ends it between tasks: what runs ends, what was claimed ahead is handed back', async () => {
  const gate = createGate();
  const rig = await setupQueueRig(() => gate.pass());
  await rig.enqueue(names(40));
  await rig.worker();
  const { id, scheduleId } = await rig.drain({ batchSize: 10 });
  await waitFor(async () => gate.waiting === 10 && (await rig.tasks()).running!.length > 10);
  await rig.schedules.stop(scheduleId, null);
  await waitFor(() => rig.contexts[0]!.stopRequested);
  gate.open();
  expect(await rig.ended(id)).toMatchObject({
    status: 'succeeded',
    output: { processedTasks: 10, status: 'stopped' },
  });
  const left = await rig.tasks();
  expect([left.succeeded?.length, left.pending?.length, left.running]).toEqual([10, 30, undefined]);
  const begun = await rig.sql.rows(`select from queue_tasks where status = 'pending' and attempt <> 0`);
  expect(begun).toEqual([]);
});

it('a cancel aborts what runs; nothing of it counts as a failure, and another drain takes it up', async () => {
  const gate = createGate();
  const rig = await setupQueueRig((context) => gate.pass(context.signal));
  await rig.enqueue(names(30));
  await rig.worker();
  const { id } = await rig.drain({ batchSize: 10 });
  await waitFor(() => gate.waiting === 10);
  await rig.runs.cancel(id);
  expect((await rig.ended(id)).status).toBe('cancelled');
  expect((await rig.tasks()).pending).toHaveLength(30);
  const tries = await rig.sql.rows<{ attempt: number; n: number }>(
    'select attempt, sum(failures)::int as failures, count(*)::int as n from queue_tasks group by attempt order by attempt',
  );
  expect(tries).toEqual([
    { attempt: 0, failures: 0, n: 20 },
    { attempt: 1, failures: 0, n: 10 },
  ]);
  gate.open();
  expect((await rig.ended((await rig.drain()).id)).output).toMatchObject({
    processedTasks: 30,
    failedTasks: 0,
  });
});

it('with idleWait it gives its slot away while the queue is empty, and goes on with its counts', async () => {
  const rig = await setupQueueRig(() => undefined);
  const clock = createClock();
  await rig.worker({ workers: { default: 1 } });
  await rig.enqueue(names(3));
  const { id, scheduleId } = await rig.drain({ idleWait: '1h' });
  const waiting = await rig.reaches(id, 'retrying');
  expect(waiting).toMatchObject({ reason: 'The queue "q" is empty.', error: null, steps: [], attempts: [] });
  expect(waiting.nextAttemptAtMs! - clock.now()).toBeGreaterThan(3_590_000);
  // The only slot is free.
  await rig.ended((await rig.trigger('nothing')).id);
  for (let round = 1; round <= 3; round += 1) {
    await rig.enqueue(names(2, `round${round}-`));
    await requeueDueRetries(rig.db, clock.now() + 3_600_000, 10, ['default']);
    await waitFor(async () => (await rig.detail(id)).attempt === 1 + round);
    await rig.reaches(id, 'retrying');
  }
  // However often it has waited, its history is as long as that of a run that never did.
  expect(await rig.detail(id)).toMatchObject({ attempts: [], progress: { done: 9 } });
  await rig.schedules.stop(scheduleId, null);
  expect(await rig.ended(id)).toMatchObject({ status: 'cancelled', reason: 'stopped' });
});

it('with idleWait it wakes when a task is due before that', async () => {
  const rig = await setupQueueRig(() => undefined);
  const clock = createClock();
  await rig.worker();
  await rig.enqueue(['soon'], { notBeforeMs: clock.now() + 600_000 });
  const { id } = await rig.drain({ idleWait: '1h' });
  const waiting = await rig.reaches(id, 'retrying');
  const waitMs = waiting.nextAttemptAtMs! - clock.now();
  expect(waitMs).toBeLessThan(600_001);
  expect(waitMs).toBeGreaterThan(580_000);
});

it('a stop while it waits in its slot is answered with what it did', async () => {
  const rig = await setupQueueRig(() => undefined);
  await rig.worker();
  await rig.enqueue(names(3));
  const { id, scheduleId } = await rig.drain({ idleWait: '1s' });
  await waitFor(async () => (await rig.tasks()).succeeded?.length === 3);
  await rig.schedules.stop(scheduleId, null);
  expect(await rig.ended(id)).toMatchObject({
    status: 'succeeded',
    output: { processedTasks: 3, status: 'stopped' },
  });
});

it('two drains race over 5,000 tasks: each task is executed once', async () => {
  const calls = new Map<string, number>();
  const runs = new Map<string, number>();
  const { promise: bothAreAtIt, resolve: go } = Promise.withResolvers<void>();
  const rig = await setupQueueRig(async (context, input) => {
    const name = nameOf(input);
    calls.set(name, (calls.get(name) ?? 0) + 1);
    runs.set(context.runId, (runs.get(context.runId) ?? 0) + 1);
    // Else the one that starts first might be done before the other begins.
    if (runs.size === 2) go();
    await bothAreAtIt;
  });
  for (let n = 0; n < 5; n += 1) await rig.enqueue(names(1_000, `${n}-`));
  await rig.worker();
  await rig.worker();
  const started = await Promise.all([rig.drain({ batchSize: 50 }), rig.drain({ batchSize: 50 })]);
  const ended = await Promise.all(started.map(({ id }) => rig.ended(id, 60_000)));
  const outputs = ended.map((run) => (run.output as { processedTasks: number }).processedTasks);
  expect(outputs[0]! + outputs[1]!).toBe(5_000);
  // Both had a part in it.
  expect(Math.min(...outputs)).toBeGreaterThan(0);
  expect(calls.size).toBe(5_000);
  expect([...calls.values()].every((count) => count === 1)).toBe(true);
  expect(started.map(({ id }) => runs.get(id))).toEqual(outputs);
});

it('a drain whose run went on elsewhere claims nothing, and what it says of its tasks is not heard', async () => {
  const gate = createGate();
  const rig = await setupQueueRig(async (context) => {
    if (context.attempt === 1) await gate.pass();
    return 'done';
  });
  await rig.enqueue(['a']);
  const { worker } = await rig.worker();
  const { id } = await rig.drain();
  await waitFor(() => gate.waiting === 1);
  // As the rescuer does with the runs of a worker that it thinks dead.
  await rig.sql.rows(`update runs set attempt = 2 where id = $1`, [id]);
  const other = await rig.ended((await rig.drain()).id);
  expect(other.output).toMatchObject({ processedTasks: 1 });
  gate.open();
  await waitFor(() => worker.live === 0);
  expect(await rig.tasks()).toEqual({ succeeded: ['a'] });
  const [task] = await rig.sql.rows<{ attempt: number; run_id: string }>(
    'select attempt, run_id from queue_tasks',
  );
  expect(task).toEqual({ attempt: 2, run_id: other.id });
  expect(await rig.sql.row('select succeeded::int from queues')).toEqual({ succeeded: 1 });
});
