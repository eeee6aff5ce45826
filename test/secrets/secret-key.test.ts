import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  loadSecretKey,
  readSecretKey,
  secretKeySource,
  UnusableSecretKey,
} from '../../src/secrets/secret-key.ts';
import { spawnIn } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';

async function emptyDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'carillon-key-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
const exported = (key: { key: { export(): Buffer } }) => key.key.export().toString('hex');
const key32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));

describe('a key as text', () => {
  it('is the same in base64, base64url and hexadecimal, with padding and without, in capitals and not', () => {
    fc.assert(
      fc.property(key32, (bytes) => {
        const base64 = bytes.toString('base64');
        const url = bytes.toString('base64url');
        const hex = bytes.toString('hex');
        const id = createHash('sha256').update(bytes).digest('hex').slice(0, 8);
        const forms = [base64, base64.slice(0, -1), url, `${url}=`, hex, hex.toUpperCase(), ` ${base64}\n`];
        for (const text of forms) {
          const key = readSecretKey(text);
          expect([exported(key), key.id]).toEqual([hex, id]);
        }
      }),
    );
  });

  it.each([
    ['nothing', ''],
    ['a passphrase', 'correct horse battery staple'],
    ['32 characters', 'abcdefghijklmnopqrstuvwxyz012345'],
    ['31 bytes', randomBytes(31).toString('base64')],
    ['33 bytes', randomBytes(33).toString('base64')],
    ['31 bytes, hexadecimal', randomBytes(31).toString('hex')],
    ['64 bytes', randomBytes(64).toString('base64')],
    ['bits that no byte has', `${'A'.repeat(42)}B=`],
    ['both alphabets', `${'A'.repeat(40)}+_A=`],
    ['too much padding', `${Buffer.alloc(32).toString('base64')}=`],
    ['quotation marks', `"${randomBytes(32).toString('base64')}"`],
    ['a blank inside', `${'A'.repeat(20)} ${'A'.repeat(23)}=`],
  ])('is not %s; the error says how to make one and does not repeat it', (_what, text) => {
    expect(() => readSecretKey(text)).toThrow(UnusableSecretKey);
    expect(() => readSecretKey(text)).toThrow('openssl rand -base64 32');
    if (text !== '') expect(() => readSecretKey(text)).not.toThrow(new RegExp(RegExp.escape(text)));
  });

  it('decides at once, and leaves no file', async () => {
    const directory = await emptyDirectory();
    const text = randomBytes(32).toString('base64');
    const source = secretKeySource(text, directory);
    expect((await source()).id).toBe(readSecretKey(text).id);
    expect(() => secretKeySource('hunter2', directory)).toThrow(UnusableSecretKey);
    expect(await readdir(directory)).toEqual([]);
  });
});

describe('a key in the data directory', () => {
  it('is made when it is first needed, for its owner alone, and then stays', async () => {
    const directory = join(await emptyDirectory(), 'data', 'deep');
    const source = secretKeySource(null, directory);
    await expect(stat(directory)).rejects.toThrow('ENOENT');
    const made = await source();
    const file = join(directory, 'secret.key');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(file)).nlink).toBe(1);
    expect(await readdir(directory)).toEqual(['secret.key']);
    expect(readSecretKey(await readFile(file, 'utf8')).id).toBe(made.id);
    expect(exported(await loadSecretKey(directory))).toBe(exported(made));
    expect(await source()).toBe(made);
    expect((await loadSecretKey(await emptyDirectory())).id).not.toBe(made.id);
  });

  it('is not wider than that under any umask', async () => {
    const directory = await emptyDirectory();
    const script = `process.umask(0); const {loadSecretKey} = await import('./src/secrets/secret-key.ts'); await loadSecretKey(process.argv[1]);`;
    const child = spawnIn({
      command: process.execPath,
      args: ['--input-type=module', '-e', script, directory],
      env: {},
    });
    expect(await child.exited, child.output()).toMatchObject({ code: 0 });
    expect((await stat(join(directory, 'secret.key'))).mode & 0o777).toBe(0o600);
  });

  it.each([0o640, 0o604, 0o644, 0o660, 0o602])('is refused with mode %o', async (mode) => {
    const directory = await emptyDirectory();
    const { id } = await loadSecretKey(directory);
    const file = join(directory, 'secret.key');
    const source = secretKeySource(null, directory);
    await chmod(file, mode);
    await expect(source()).rejects.toThrow(
      `${file} is open to other users of this machine (mode 0${mode.toString(8)}). If nobody has read it: chmod 600 ${file}`,
    );
    // And taken once that is done, without a restart.
    await chmod(file, 0o600);
    expect((await source()).id).toBe(id);
  });

  it.each([
    ['is empty', ''],
    ['is cut off', randomBytes(20).toString('base64')],
    ['is something else', 'hunter2-hunter2-hunter2'],
  ])('is not replaced when the file %s', async (_what, text) => {
    const directory = await emptyDirectory();
    const file = join(directory, 'secret.key');
    await writeFile(file, text, { mode: 0o600 });
    const error = await loadSecretKey(directory).catch((thrown: unknown) => thrown as Error);
    expect(error).toBeInstanceOf(UnusableSecretKey);
    expect((error as Error).message).toContain('Restore it from a backup');
    if (text !== '') expect((error as Error).message).not.toContain(text);
    expect(await readFile(file, 'utf8')).toBe(text);
  });

  it('that cannot be read is told, not made anew', async () => {
    const directory = await emptyDirectory();
    await mkdir(join(directory, 'secret.key'), { mode: 0o700 });
    await expect(loadSecretKey(directory)).rejects.toThrow(/EISDIR|cannot be read/);
  });

  it('is one for all who make it at once in one process', async () => {
    const directory = await emptyDirectory();
    const keys = await Promise.all(Array.from({ length: 32 }, () => loadSecretKey(directory)));
    expect(new Set(keys.map(exported)).size).toBe(1);
    expect(await readdir(directory)).toEqual(['secret.key']);
  });

  it('is one for all processes that make it at once', async () => {
    const directory = await emptyDirectory();
    const script = `
      const { existsSync } = await import('node:fs');
      const { loadSecretKey } = await import('./src/secrets/secret-key.ts');
      const { setTimeout: pause } = await import('node:timers/promises');
      process.stdout.write('ready\\n');
      while (!existsSync(process.argv[1] + '.go')) await pause(1);
      const keys = await Promise.all([1, 2, 3].map((n) => loadSecretKey(process.argv[1] + n)));
      for (const each of keys) process.stdout.write('key ' + each.id + ' ' + each.key.export().toString('hex') + '\\n');`;
    const data = join(directory, 'data');
    const children = Array.from({ length: 4 }, () =>
      spawnIn({
        command: process.execPath,
        args: ['--input-type=module', '-e', script, data],
        env: {},
      }),
    );
    await waitFor(() => children.every((child) => child.output().includes('ready')), {
      what: 'the processes to be ready',
    });
    await writeFile(`${data}.go`, '');
    const outputs = await Promise.all(
      children.map(async (child) => {
        expect(await child.exited, child.output()).toMatchObject({ code: 0 });
        return child.output().replace('ready\n', '');
      }),
    );
    expect(new Set(outputs).size).toBe(1);
    expect(outputs[0]!.match(/^key [0-9a-f]{8} [0-9a-f]{64}$/gm)).toHaveLength(3);
    for (const n of [1, 2, 3]) expect(await readdir(data + n)).toEqual(['secret.key']);
  });
});
