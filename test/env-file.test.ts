/** What the npm scripts preload (scripts/env-file.ts), in a process and a folder of its own. */
import { execFile } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, inject, it } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };

const preload = new URL('../scripts/env-file.ts', import.meta.url).href;
const program = 'console.log(process.env.PORT, process.env.HOST)';

/** In a folder with this `.env`, or with none. */
async function start(file: string | null) {
  const cwd = await mkdtemp(join(inject('runDirectory'), 'env-'));
  if (file !== null) await writeFile(join(cwd, '.env'), file);
  const env = { PATH: process.env.PATH, HOST: 'given' };
  return await promisify(execFile)(process.execPath, ['--import', preload, '-e', program], { cwd, env });
}

it('without a file .env nothing is said of it', async () => {
  expect(await start(null)).toEqual({ stdout: 'undefined given\n', stderr: '' });
});

it('with one its variables are set, but for those that the environment has', async () => {
  expect(await start('PORT=4000\nHOST=other\n')).toEqual({ stdout: '4000 given\n', stderr: '' });
});

it.each(['start', 'restore', 'dev'] as const)('npm run %s reads it', (script) => {
  expect(packageJson.scripts[script]).toContain('node --import ./scripts/env-file.ts ');
});
