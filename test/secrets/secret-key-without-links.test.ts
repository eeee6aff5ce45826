/** File systems without hard links, as exFAT and some network mounts are. */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { loadSecretKey } from '../../src/secrets/secret-key.ts';

vi.mock('node:fs/promises', async (original) => ({
  ...(await original<typeof import('node:fs/promises')>()),
  link: () => Promise.reject(Object.assign(new Error('no links here'), { code: 'EPERM' })),
}));

it('all who make the key at once end with one, for its owner alone', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'carillon-key-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const keys = await Promise.all(Array.from({ length: 32 }, () => loadSecretKey(directory)));
  expect(new Set(keys.map((key) => key.id)).size).toBe(1);
  expect(await readdir(directory)).toEqual(['secret.key']);
  expect((await stat(join(directory, 'secret.key'))).mode & 0o777).toBe(0o600);
});
