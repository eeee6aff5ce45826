/** The outer layer, memory, and ends before the end. */
import { execFile, spawnSync } from 'node:child_process';
import { createHash, randomBytes, randomFillSync } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { opened, sealed } from '../../../src/jobs/backup/sealed-stream.ts';
import { checkTree } from '../../../src/jobs/backup/tree-check.ts';
import { packTree } from '../../../src/jobs/backup/tree-pack.ts';
import { unpackTree } from '../../../src/jobs/backup/tree-unpack.ts';
import { backUp, createdAt, placeForMany, tempFolder } from '../../support/tree-scene.ts';
import { waitFor } from '../../support/wait-for.ts';

const noise = Buffer.concat([randomBytes(300_000), Buffer.alloc(500_000, 'text '), randomBytes(1000)]);

async function sealedBytes(content: Buffer) {
  const { content: stream, finished } = sealed(Readable.from([content]));
  const bytes = await buffer(stream);
  return { bytes, seal: await finished };
}

describe('a sealed stream', () => {
  it('is opened to what it was, and both sides know its hash and length', async () => {
    // Of nothing, of one frame, of some that are full, and of many with the last one begun.
    const contents = [
      Buffer.alloc(0),
      noise,
      Buffer.alloc(1),
      Buffer.alloc(3_000_000),
      randomBytes(4 * 2 ** 20),
      randomBytes(17 * 2 ** 20 + 5),
    ];
    for (const content of contents) {
      const { bytes, seal } = await sealedBytes(content);
      expect(seal).toEqual({ bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
      const { source, finished } = opened(Readable.from([bytes]));
      expect((await buffer(source)).equals(content)).toBe(true);
      expect(await finished).toEqual(seal);
    }
  });

  it.runIf(existsSync('/usr/bin/zstd'))('is an ordinary zstd file', async () => {
    const large = Buffer.concat([noise, randomBytes(5 * 2 ** 20)]);
    const { bytes } = await sealedBytes(large);
    expect(spawnSync('zstd', ['-dc'], { input: bytes, maxBuffer: 1e8 }).stdout.equals(large)).toBe(true);
  });

  it('that was damaged or cut is a fault with a type', async () => {
    const { bytes } = await sealedBytes(noise);
    const flipped = Buffer.from(bytes);
    flipped[150_000]! ^= 1;
    for (const wrong of [
      flipped,
      bytes.subarray(0, -1),
      bytes.subarray(0, 1000),
      Buffer.from('no zstd'),
      Buffer.alloc(0),
    ]) {
      const { source, finished } = opened(Readable.from([wrong]));
      await expect(buffer(source)).rejects.toMatchObject({ type: 'BackupDamaged', retryable: false });
      await expect(finished).rejects.toMatchObject({ type: 'BackupDamaged' });
    }
  });

  it('does not ask the source for more than the reader takes', async () => {
    let given = 0;
    const source = Readable.from(
      (function* () {
        for (; given < 1000; given++) yield randomBytes(65_536);
      })(),
      { objectMode: false },
    );
    const { content, finished } = sealed(source);
    await waitFor(() => content.readableLength > 0);
    const chunks = content[Symbol.asyncIterator]();
    await chunks.next();
    await new Promise((resolve) => setImmediate(resolve));
    // Some 2 MiB for each thread that compresses, and what they have made of it.
    expect(given).toBeLessThan(400);
    await chunks.return?.();
    await expect(finished).rejects.toThrow();
    expect(source.destroyed).toBe(true);
  });

  it('tells the fault of its source', async () => {
    const source = new PassThrough();
    const { content, finished } = sealed(source);
    source.write(noise);
    source.destroy(new Error('the disk is gone'));
    await expect(finished).rejects.toThrow('the disk is gone');
    await waitFor(() => content.destroyed);
  });
});

describe('an end before the end', () => {
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown) => void rejections.push(reason);
  beforeEach(() => void process.on('unhandledRejection', onRejection));
  afterEach(() => void process.off('unhandledRejection', onRejection));

  /** Files that this process has open in a directory. */
  const openIn = (folder: string) => {
    const look = `for f in /proc/${process.pid}/fd/*; do readlink "$f"; done`;
    const targets = spawnSync('sh', ['-c', look], { encoding: 'utf8' }).stdout.split('\n');
    return targets.filter((target) => target.startsWith(folder));
  };

  async function scene() {
    const root = await tempFolder();
    for (let i = 0; i < 300; i++) writeFileSync(join(root, `small-${i}`), randomBytes(1000));
    mkdirSync(join(root, 'z'));
    writeFileSync(join(root, 'z/large'), randomBytes(20_000_000));
    return root;
  }

  it.each([
    0, 1000, 400_000, 5_000_000,
  ])('by an abort after %d bytes leaves nothing open', async (atBytes) => {
    const root = await scene();
    const stop = new AbortController();
    const manifest = new PassThrough().resume();
    const { tar, finished } = packTree({ root, createdAt, manifest, signal: stop.signal });
    const { content, finished: whole } = sealed(tar, stop.signal);
    const reason = new Error('cancelled by a person');
    let got = 0;
    const reading = (async () => {
      if (atBytes === 0) stop.abort(reason);
      for await (const chunk of content) {
        got += chunk.length;
        if (got > atBytes) stop.abort(reason);
      }
    })();
    await expect(reading).rejects.toThrow();
    await expect(finished).rejects.toBe(reason);
    await expect(whole).rejects.toBe(reason);
    expect(manifest.destroyed).toBe(true);
    expect(openIn(root)).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(rejections).toEqual([]);
  });

  it('by an abort before the start, or by a reader that gives up, too', async () => {
    const root = await scene();
    const early = packTree({
      root,
      createdAt,
      manifest: new PassThrough(),
      signal: AbortSignal.abort(new Error('no')),
    });
    await expect(early.finished).rejects.toThrow('no');
    const { tar, finished } = packTree({ root, createdAt, manifest: new PassThrough().resume() });
    for await (const _ of tar) break;
    await expect(finished).rejects.toThrow();
    expect(openIn(root)).toEqual([]);
    // And nobody listens to these.
    const stop = new AbortController();
    sealed(packTree({ root, createdAt, manifest: new PassThrough(), signal: stop.signal }).tar, stop.signal);
    stop.abort();
    await new Promise((resolve) => setImmediate(resolve));
    expect(rejections).toEqual([]);
  });

  it('by a manifest that cannot be written is told', async () => {
    const root = await scene();
    const manifest = new Writable({
      write: (_chunk, _encoding, done) => done(new Error('no room for the manifest')),
    });
    const { tar, finished } = packTree({ root, createdAt, manifest });
    tar.resume();
    await expect(finished).rejects.toThrow('no room for the manifest');
    expect(openIn(root)).toEqual([]);
  });

  it('of restoring and checking leaves nothing open either', async () => {
    const { tarFile, manifestFile } = await backUp(await scene());
    for (const atEntries of [1, 100, 301]) {
      const stop = new AbortController();
      const into = await tempFolder();
      const onProgress = ({ entries }: { entries: number }) =>
        entries === atEntries && stop.abort(new Error('stop'));
      const tar = createReadStream(tarFile);
      await expect(unpackTree({ tar, into, signal: stop.signal, onProgress })).rejects.toThrow('stop');
      expect(openIn(into)).toEqual([]);
      expect(tar.destroyed).toBe(true);
    }
    // What was never begun is closed too.
    const unread = createReadStream(tarFile);
    const into = await tempFolder();
    writeFileSync(join(into, 'x'), '');
    await expect(unpackTree({ tar: unread, into })).rejects.toMatchObject({ type: 'TargetNotEmpty' });
    expect(unread.destroyed).toBe(true);
    const tar = createReadStream(tarFile);
    const check = checkTree(tar, createReadStream(manifestFile), AbortSignal.abort(new Error('stop')));
    await expect(check).rejects.toThrow('stop');
    expect(tar.destroyed).toBe(true);
    expect(rejections).toEqual([]);
  });

  it('is told for a root that is no directory', async () => {
    const file = join(await tempFolder(), 'file');
    writeFileSync(file, '');
    for (const root of [file, `${file}-not`]) {
      const { tar, finished } = packTree({ root, createdAt, manifest: new PassThrough() });
      tar.resume();
      await expect(finished).rejects.toMatchObject({ type: 'InvalidConfiguration', retryable: false });
    }
    expect(readdirSync(join(file, '..'))).toEqual(['file']);
  });
});

describe('memory', () => {
  const script = new URL('../../support/tree-memory.ts', import.meta.url).pathname;
  const measure = async (root: string) => {
    const { stdout } = await promisify(execFile)(process.execPath, [script, root]);
    return JSON.parse(stdout) as {
      grownBytes: number;
      bytes: number;
      entries: number;
      sealedBytes: number;
      ms: number;
    };
  };

  it('grows by less than 120 MB over 512 MiB of noise', async () => {
    const root = await tempFolder();
    const file = await open(join(root, 'noise'), 'w');
    const chunk = Buffer.alloc(8 << 20);
    for (let i = 0; i < 64; i++) await file.write(randomFillSync(chunk));
    await file.close();
    const told = await measure(root);
    expect(told.bytes).toBe(512 << 20);
    expect(told.sealedBytes).toBeGreaterThan(512 << 20);
    expect(told.grownBytes).toBeLessThan(120e6);
  }, 60_000);

  it('and over many entries', async () => {
    const root = await tempFolder(placeForMany());
    for (let d = 0; d < 20; d++) {
      mkdirSync(join(root, `${d}`));
      for (let f = 0; f < 1000; f++) writeFileSync(join(root, `${d}`, `${f}`), '');
    }
    const told = await measure(root);
    expect(told.entries).toBe(20_021);
    expect(told.grownBytes).toBeLessThan(120e6);
  }, 60_000);
});
