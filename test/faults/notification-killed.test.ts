/** Notifications of real processes: one that is killed between send and record, and the switch of a dead dispatcher. */
import { expect, it, vi } from 'vitest';
import { setupScene } from '../support/fault-scene.ts';
import { holdStatement } from '../support/held-statement.ts';
import { startReceiver } from '../support/receiver.ts';
import { waitFor } from '../support/wait-for.ts';

vi.setConfig({ testTimeout: 60_000 });

it('killed between send and record, it is sent again under the same id', async () => {
  const { node, create, trigger, sql } = await setupScene();
  const receiver = await startReceiver();
  const doomed = await node();
  const { name } = await create(doomed, {
    notify: [{ on: ['success'], webhook: { url: receiver.url } }],
  });
  const hold = await holdStatement(sql, 'update on notifications', `new.status = 'delivered'`);
  await trigger(doomed, name);
  await hold.reached(1);
  expect(receiver.types()).toEqual(['run.succeeded']);
  doomed.kill('SIGKILL');
  await doomed.exited;
  await hold.release();
  // As if its lease had been over for long.
  const aged = await sql.rows(
    `update notifications set next_attempt_at = next_attempt_at - interval '5 minutes' where status = 'pending' returning id`,
  );
  expect(aged).toHaveLength(1);
  const other = await node();
  await waitFor(
    async () => {
      const { items } = await other.get<{ items: object[] }>(`/schedules/${name}/notifications`);
      expect(items).toMatchObject([{ status: 'delivered', attempts: 2 }]);
      return true;
    },
    { what: 'the second try' },
  );
  expect(receiver.heard).toHaveLength(2);
  expect(receiver.heard[1]!.id).toBe(receiver.heard[0]!.id);
  expect(receiver.heard[1]!.body).toBe(receiver.heard[0]!.body);
  expect(await (await fetch(`${other.address}/metrics`)).text()).toContain(
    'carillon_notifications_total{channel="webhook",outcome="delivered"} 1',
  );
});

it('with the dispatcher off a time is missed, readyz turns red, and green when it is over', async () => {
  const { node } = await setupScene();
  const receiver = await startReceiver();
  const api = await node({ roles: 'api' });
  await api.post('/schedules', {
    name: 'heartbeat',
    at: new Date(Date.now() + 1_000).toISOString(),
    lateAfter: '1s',
    notify: [{ on: ['missed'], webhook: { url: receiver.url } }],
    job: { type: 'task', input: { url: receiver.url, method: 'GET' } },
  });
  const ready = async () => {
    const response = await fetch(`${api.address}/readyz`);
    return { status: response.status, text: await response.text() };
  };
  expect((await ready()).status).toBe(200);
  const red = await waitFor(async () => {
    const answer = await ready();
    return answer.status === 503 && answer;
  });
  expect(red.text).toContain('1 run has not started within lateAfter, the longest \\"heartbeat\\" of ');
  expect(await (await fetch(`${api.address}/metrics`)).text()).toContain('carillon_late_runs 1');
  // Nobody here sends; the outbox keeps it for who does.
  await node({ roles: 'dispatcher,worker' });
  await waitFor(() => receiver.heard.some(({ message }) => message.type === 'run.missed'), {
    what: 'the message',
  });
  await waitFor(async () => (await ready()).status === 200, { what: 'readyz to be green again' });
});
