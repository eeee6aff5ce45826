/** kill -9 of a worker whose run has a process of its own: that process ends too, whatever it is doing. */
import { expect, it, vi } from 'vitest';
import { setupScene } from '../support/fault-scene.ts';
import { waitFor } from '../support/wait-for.ts';

vi.setConfig({ testTimeout: 60_000 });

const entry = './test/support/node-with-jobs.ts';
const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

it('a process in an endless loop does not outlive its worker, and the run goes on elsewhere', async () => {
  const { node, create, trigger, silence } = await setupScene();
  const [doomed, other] = await Promise.all([
    node({ roles: 'worker', entry }),
    node({ roles: 'api,dispatcher', entry }),
  ]);
  const { name } = await create(other, {
    job: { type: 'isolated', input: { does: 'loop' }, timeout: '50s' },
  });
  const run = await trigger(other, name);
  const pidOf = async () => {
    const { steps } = await other.get<{ steps: { status: string; output: number }[] }>(`/runs/${run}`);
    return steps[0]?.status === 'succeeded' ? steps[0].output : undefined;
  };
  const pid = await waitFor(pidOf, { timeoutMs: 30_000, what: 'the process to have begun' });
  expect(isAlive(pid)).toBe(true);
  doomed.kill('SIGKILL');
  await doomed.exited;
  await waitFor(() => !isAlive(pid), { what: 'the process to end' });
  await silence(doomed.pid);
  await node({ roles: 'worker', entry });
  await waitFor(
    async () => (await other.get<{ attempt: number; status: string }>(`/runs/${run}`)).attempt === 2,
  );
  await other.post(`/runs/${run}/cancel`);
  await waitFor(async () => (await other.get<{ status: string }>(`/runs/${run}`)).status === 'cancelled');
});
