/** The receiver of docs/notifications.md, as it is written there. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Webhook } from 'standardwebhooks';
import { expect, it, onTestFinished } from 'vitest';
import { spawnIn } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';

it('takes what is signed, once, and refuses what is not', async () => {
  const page = await readFile(fileURLToPath(new URL('../../docs/notifications.md', import.meta.url)), 'utf8');
  const [, program] = /```js\n(.*?)```/s.exec(page)!;
  const folder = await mkdtemp(join(tmpdir(), 'carillon-receiver-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'receiver.mjs');
  // Where it listens is told, since the port is any.
  await writeFile(
    file,
    `${program!.trimEnd().replace(/;$/, '')}.on('listening', function () { console.log('at', this.address().port) });`,
  );
  const key = `whsec_${Buffer.from('a key of thirty-two bytes, or so').toString('base64')}`;
  const receiver = spawnIn({ command: process.execPath, args: [file], env: { KEY: key, PORT: '0' } });
  const port = await waitFor(() => /at (\d+)/.exec(receiver.output())?.[1]);
  const body = JSON.stringify({ type: 'run.failed', data: { schedule: { name: 'papers' } } });
  const post = async (signature: string, at = new Date()) => {
    const response = await fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      body,
      headers: {
        'webhook-id': 'one',
        'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
        'webhook-signature': signature,
      },
    });
    return response.status;
  };
  const now = new Date();
  const good = new Webhook(key).sign('one', now, body);
  expect(await post(good, now)).toBe(204);
  expect(await post(good, now)).toBe(204);
  expect(await post(`v1,${Buffer.alloc(32).toString('base64')}`, now)).toBe(400);
  expect(await post('')).toBe(400);
  const old = new Date(now.getTime() - 600_000);
  expect(await post(new Webhook(key).sign('one', old, body), old)).toBe(400);
  expect(receiver.output().match(/run\.failed papers/g)).toHaveLength(1);
});
