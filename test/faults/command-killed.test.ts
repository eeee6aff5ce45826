/** kill -9 of a worker whose task runs a program: the program ends too, and the run goes on elsewhere. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { setupScene } from '../support/fault-scene.ts';
import { waitFor } from '../support/wait-for.ts';

vi.setConfig({ testTimeout: 60_000 });

const env = { CARILLON_COMMANDS: '/bin/sh', CARILLON_SECRET_KEY: 'A'.repeat(43) };

async function isGone(pid: number): Promise<boolean> {
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return state.split(') ')[1]!.startsWith('Z');
}

it.each(['process', 'group'] as const)('with SIGKILL to its %s', async (whom) => {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-killed-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'pids');
  const { node, trigger, reaches, silence, sql } = await setupScene();
  const [doomed, other] = await Promise.all([
    node({ roles: 'worker', env }),
    node({ roles: 'api,dispatcher', env }),
  ]);
  const script = `test "$CARILLON_ATTEMPT" = 1 || { echo again "$CARILLON_IDEMPOTENCY_KEY"; env; exit 0; }
    trap "" TERM; echo $$ >> ${file}; (trap "" TERM; sh -c 'echo $$ >> ${file}; sleep 600'; sleep 600) & wait; sleep 600`;
  await other.post('/schedules', {
    name: 'tool',
    at: '2999-01-01T00:00:00Z',
    job: { type: 'task', input: { command: ['/bin/sh', '-c', script] } },
  });
  const run = await trigger(other, 'tool');
  const pidsOf = async () =>
    (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean).map(Number);
  await waitFor(async () => (await pidsOf()).length === 2);
  doomed.kill('SIGKILL', whom);
  await doomed.exited;
  const pids = await pidsOf();
  await waitFor(async () => (await Promise.all(pids.map(isGone))).every(Boolean), {
    what: 'the program to end',
  });
  await silence(doomed.pid);
  await node({ roles: 'dispatcher,worker', env });
  const ended = await reaches(other, run, 'succeeded');
  expect(ended).toMatchObject({ attempt: 2, output: { exitCode: 0 } });
  const { stdout } = (ended as unknown as { output: { stdout: string } }).output;
  expect(stdout).toContain(`again ${run}\n`);
  expect(stdout).not.toMatch(/DATABASE_URL|SECRET_KEY|CARILLON_COMMANDS/);
  expect(await sql.row('select count(*)::int as n from runs')).toEqual({ n: 1 });
});

it('a node that may not run it says so, and it is not tried again', async () => {
  const { node, trigger, reaches } = await setupScene();
  const api = await node({ roles: 'api,dispatcher', env });
  await node({ roles: 'worker' });
  await api.post('/schedules', {
    name: 'tool',
    at: '2999-01-01T00:00:00Z',
    job: { type: 'task', input: { command: ['/bin/sh', '-c', 'true'] } },
  });
  const ended = await reaches(api, await trigger(api, 'tool'), 'failed');
  expect(ended).toMatchObject({ attempt: 1, error: { type: 'InvalidConfiguration' } });
  expect(ended.error!.message).toContain('CARILLON_COMMANDS');
});
