/** The lines that jobs write: in order, bounded, and never a reason for a run to fail. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { createClock } from '../../src/clock.ts';
import { openDatabase } from '../../src/db/client.ts';
import { listLogLines } from '../../src/db/run-log-store.ts';
import type { LogLevel } from '../../src/jobs/job.ts';
import { createRunLog, logLinesMax } from '../../src/jobs/run-log.ts';
import { waitFor } from '../support/wait-for.ts';
import { setupRig } from '../support/worker-rig.ts';

async function setup() {
  const rig = await setupRig();
  const database = openDatabase({ url: rig.url, connectionsMax: 2, name: 'log', onFault: () => undefined });
  let closed = false;
  const cutOff = async () => {
    if (!closed) await database.close();
    closed = true;
  };
  onTestFinished(cutOff);
  const faults: unknown[] = [];
  const runLog = createRunLog({
    db: database.db,
    clock: createClock(),
    onFault: (error) => faults.push(error),
  });
  const { id } = await rig.trigger('nothing');
  const read = async (runId = id) =>
    (await listLogLines(rig.db, runId, { limit: 20_000, after: null })).items;
  return { rig, runLog, id, read, faults, cutOff };
}

it('keeps the lines of an attempt in the order in which they were written', async () => {
  const { runLog, id, read } = await setup();
  const written = runLog.open({ id, attempt: 1 });
  written.log('info', 'one');
  written.log('warn', 'two');
  written.log('error', '');
  written.log('debug', 'several\nlines\twith tabs');
  await written.flush();
  expect((await read()).map(({ attempt, seq, level, message }) => [attempt, seq, level, message])).toEqual([
    [1, 1, 'info', 'one'],
    [1, 2, 'warn', 'two'],
    [1, 3, 'error', ''],
    [1, 4, 'debug', 'several\nlines\twith tabs'],
  ]);
});

it('shows lines of a run that still runs, without being asked to', async () => {
  const { runLog, id, read } = await setup();
  runLog.open({ id, attempt: 1 }).log('info', 'here I am');
  expect(await waitFor(async () => (await read()).length > 0 && (await read()))).toHaveLength(1);
});

it('keeps the attempts apart, the earlier first', async () => {
  const { runLog, id, read } = await setup();
  const second = runLog.open({ id, attempt: 2 });
  const first = runLog.open({ id, attempt: 1 });
  second.log('info', 'second');
  first.log('info', 'first');
  await Promise.all([second.flush(), first.flush()]);
  expect((await read()).map((line) => [line.attempt, line.seq, line.message])).toEqual([
    [1, 1, 'first'],
    [2, 1, 'second'],
  ]);
});

it(`keeps ${logLinesMax} lines of an attempt, and a last one that says so`, async () => {
  const { runLog, id, read, faults } = await setup();
  const written = runLog.open({ id, attempt: 1 });
  for (let line = 1; line <= logLinesMax + 500; line += 1) written.log('info', `line ${line}`);
  await written.flush();
  const lines = await waitFor(async () => {
    const found = await read();
    return found.length > logLinesMax && found;
  });
  expect(lines).toHaveLength(logLinesMax + 1);
  expect(lines[logLinesMax - 1]?.message).toBe(`line ${logLinesMax}`);
  expect(lines.at(-1)).toMatchObject({
    level: 'warn',
    message: 'Only 10000 lines are kept of an attempt; the rest is dropped.',
  });
  expect(faults).toEqual([]);
});

describe('a line that is odd', () => {
  it.each<[string, unknown, unknown, [string, string]]>([
    ['has null characters', 'info', 'a\0b', ['info', 'a\\0b']],
    ['has half a surrogate pair', 'info', 'a\udc00b', ['info', 'a\ufffdb']],
    ['has a level that there is not', 'loud', 'x', ['info', 'x']],
    ['has no level', null, 'x', ['info', 'x']],
    ['is no text', 'info', { a: 1 }, ['info', '[object Object]']],
    ['is undefined', 'warn', undefined, ['warn', 'undefined']],
    ['is endless', 'info', 'x'.repeat(5000), ['info', `${'x'.repeat(4000)}… (5000 characters)`]],
  ])('because it %s is kept as well as can be, and so are its neighbours', async (_name, level, message, kept) => {
    const { runLog, id, read, faults } = await setup();
    const written = runLog.open({ id, attempt: 1 });
    written.log('info', 'before');
    written.log(level as LogLevel, message as string);
    written.log('info', 'after');
    await written.flush();
    expect((await read()).map((line) => [line.level, line.message])).toEqual([
      ['info', 'before'],
      kept,
      ['info', 'after'],
    ]);
    expect(faults).toEqual([]);
  });
});

it('drops the lines of a run that is gone, and keeps those that were written together with them', async () => {
  const { rig, runLog, id, read } = await setup();
  const { id: gone } = await rig.trigger('nothing');
  await rig.sql.rows('delete from runs where id = $1', [gone]);
  const lost = runLog.open({ id: gone, attempt: 1 });
  const kept = runLog.open({ id, attempt: 1 });
  lost.log('info', 'nobody will read this');
  kept.log('info', 'but this');
  await Promise.all([lost.flush(), kept.flush()]);
  expect(await read(gone)).toEqual([]);
  expect((await read()).map((line) => line.message)).toEqual(['but this']);
});

it('writes a line once when it is written again', async () => {
  const { runLog, id, read } = await setup();
  for (const message of ['as it was', 'as somebody else has it']) {
    const written = runLog.open({ id, attempt: 1 });
    written.log('info', message);
    await written.flush();
  }
  expect((await read()).map((line) => line.message)).toEqual(['as it was']);
});

it('tells of lines that it could not write, and goes on', async () => {
  const { runLog, id, cutOff, faults } = await setup();
  await cutOff();
  const written = runLog.open({ id, attempt: 1 });
  written.log('info', 'into the void');
  await expect(written.flush()).rejects.toThrow();
  written.log('info', 'once more');
  await waitFor(() => faults.length === 1);
  await expect(written.flush()).resolves.toBeUndefined();
});

it('has nothing to write for a job that said nothing', async () => {
  const { runLog, id, cutOff } = await setup();
  await cutOff();
  await expect(runLog.open({ id, attempt: 1 }).flush()).resolves.toBeUndefined();
});
