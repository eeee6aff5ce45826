/** What both kinds of targets keep. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { openTarget, type StorageTarget } from '../../../src/jobs/storage/storage-target.ts';
import { startS3Server } from '../../support/s3-server.ts';

const MiB = 1024 * 1024;
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

type Scene = {
  target: StorageTarget /** Of all that lies there, hidden things and parts included. */;
  leftovers(): Promise<string[]>;
};

async function folder(): Promise<Scene> {
  const path = await mkdtemp(join(tmpdir(), 'carillon-target-'));
  undo.push(() => rm(path, { recursive: true, force: true }));
  const target = openTarget(pathToFileURL(path).href, { now: () => Date.now() });
  return { target, leftovers: () => readdir(path) };
}

async function bucket(): Promise<Scene> {
  const server = await startS3Server('vault');
  const target = openTarget('s3://vault/daily', {
    now: () => 0,
    s3: { endpoint: server.endpoint, region: 'eu', credentials: { accessKeyId: 'k', secretAccessKey: 's' } },
  });
  undo.push(server.close, () => target.close());
  const keys = () => [...server.buckets.get('vault')!.keys()].map((key) => key.slice('daily/'.length));
  return { target, leftovers: async () => [...keys(), ...server.uploads.keys()].sort() };
}

async function names(target: StorageTarget, prefix?: string): Promise<string[]> {
  return (await Array.fromAsync(target.list(prefix))).map((each) => each.name);
}

/** Gives so much, and then waits for ever. */
function stalled(bytes: number): { content: Readable; stalls: Promise<void> } {
  const stalls = Promise.withResolvers<void>();
  let isGiven = false;
  const content = new Readable({
    read() {
      if (isGiven) stalls.resolve();
      else this.push(Buffer.alloc(bytes));
      isGiven = true;
    },
  });
  return { content, stalls: stalls.promise };
}

describe.each([
  ['a folder', folder],
  ['a bucket', bucket],
] as const)('%s', (_kind, setup) => {
  it.each([
    0,
    1,
    5 * MiB,
    8 * MiB,
    20 * MiB + 7,
  ])('gives back the %i bytes that it was given', async (length) => {
    const { target, leftovers } = await setup();
    const bytes = randomBytes(length);
    expect(await target.put('a.dump', Readable.from([bytes]))).toEqual({ bytes: length });
    expect(await target.stat('a.dump')).toEqual({ bytes: length });
    expect((await buffer(await target.get('a.dump'))).equals(bytes)).toBe(true);
    expect(await leftovers()).toEqual(['a.dump']);
  });

  it('is fine when it is checked, and the check leaves nothing', async () => {
    const { target, leftovers } = await setup();
    await target.check();
    expect(await leftovers()).toEqual([]);
  });

  it('puts a new content in place of the old one', async () => {
    const { target } = await setup();
    await target.put('a', Readable.from(['old and long']));
    await target.put('a', Readable.from(['new']));
    expect(String(await buffer(await target.get('a')))).toBe('new');
  });

  it('lists by the bytes of the names, over pages, with sizes and times', async () => {
    const { target } = await setup();
    const before = Date.now() - 2000;
    const all = ['b-10', 'B', 'b-2', 'ä', 'a b+c', 'b-1', 'z&<"', '100%'];
    for (const name of all) await target.put(name, Readable.from([name]));
    const sorted = all.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(await names(target)).toEqual(sorted);
    expect(await names(target, 'b-')).toEqual(['b-1', 'b-10', 'b-2']);
    expect(await names(target, 'nothing')).toEqual([]);
    for await (const { name, bytes, modifiedAtMs } of target.list()) {
      expect(bytes).toBe(Buffer.byteLength(name));
      expect(modifiedAtMs).toBeGreaterThan(before);
      expect(String(await buffer(await target.get(name)))).toBe(name);
    }
  });

  it('deletes, also what is not there', async () => {
    const { target } = await setup();
    await target.put('a', Readable.from(['x']));
    await target.delete('a');
    await target.delete('a');
    expect(await target.stat('a')).toBeNull();
    await expect(target.get('a')).rejects.toMatchObject({ type: 'BackupMissing', retryable: false });
  });

  it('refuses names that lead elsewhere or hide', async () => {
    const { target } = await setup();
    for (const name of ['', '.', '..', '../a', 'a/b', 'a\\b', '.hidden', 'a\0b', 'a\nb', 'x'.repeat(201)]) {
      const refused = { type: 'InvalidConfiguration', retryable: false };
      const content = Readable.from(['x']);
      await expect(target.put(name, content)).rejects.toMatchObject(refused);
      expect(content.destroyed).toBe(true);
      await expect(target.get(name)).rejects.toMatchObject(refused);
      await expect(target.stat(name)).rejects.toMatchObject(refused);
      await expect(target.delete(name)).rejects.toMatchObject(refused);
    }
  });

  it.each([
    100,
    20 * MiB,
  ])('keeps the old content, and no part, when the new one fails after %i bytes', async (length) => {
    const { target, leftovers } = await setup();
    await target.put('a', Readable.from(['old']));
    const fault = new Error('the source broke');
    const content = Readable.from(
      (async function* () {
        yield Buffer.alloc(length);
        throw fault;
      })(),
    );
    await expect(target.put('a', content)).rejects.toBe(fault);
    expect(String(await buffer(await target.get('a')))).toBe('old');
    expect(await leftovers()).toEqual(['a']);
  });

  it('does not take a destroyed content for a whole one', async () => {
    const { target, leftovers } = await setup();
    const gone = new Readable({ read() {} });
    gone.destroy();
    await expect(target.put('a', gone)).rejects.toThrow();
    const { content, stalls } = stalled(100);
    const put = target.put('a', content);
    void stalls.then(() => content.destroy());
    await expect(put).rejects.toThrow();
    expect(await leftovers()).toEqual([]);
  });

  it.each([100, 20 * MiB])('is ended by an abort after %i bytes, and leaves nothing', async (length) => {
    const { target, leftovers } = await setup();
    const { content, stalls } = stalled(length);
    const abort = new AbortController();
    const reason = new Error('shutdown');
    const put = target.put('a', content, { signal: abort.signal });
    void stalls.then(() => abort.abort(reason));
    await expect(put).rejects.toBe(reason);
    expect(content.destroyed).toBe(true);
    expect(await leftovers()).toEqual([]);
  });

  it('does nothing once aborted', async () => {
    const { target, leftovers } = await setup();
    const signal = AbortSignal.abort(new Error('over'));
    await expect(target.check(signal)).rejects.toThrow('over');
    await expect(target.put('a', Readable.from(['x']), { signal })).rejects.toThrow('over');
    await expect(target.get('a', { signal })).rejects.toThrow('over');
    expect(await leftovers()).toEqual([]);
  });

  it('ends a reading by an abort', async () => {
    const { target } = await setup();
    await target.put('a', Readable.from([Buffer.alloc(4 * MiB)]));
    const abort = new AbortController();
    const content = await target.get('a', { signal: abort.signal });
    const read = buffer(content);
    content.once('data', () => abort.abort(new Error('enough')));
    await expect(read).rejects.toThrow('enough');
  });

  it('lets a reader go that has read nothing', async () => {
    const { target } = await setup();
    await target.put('a', Readable.from([Buffer.alloc(4 * MiB)]));
    const content = await target.get('a');
    await new Promise((resolve) => content.on('close', resolve).destroy());
    expect(await target.stat('a')).toEqual({ bytes: 4 * MiB });
  });
});
