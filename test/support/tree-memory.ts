/**
 * Run as a process of its own: packs and seals a directory to nowhere, and prints how far its memory grew and how long
 * it took. Usage: tree-memory.ts DIRECTORY
 */
import { PassThrough, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { sealed } from '../../src/jobs/backup/sealed-stream.ts';
import { packTree } from '../../src/jobs/backup/tree-pack.ts';

const began = performance.now();
const before = process.memoryUsage().rss;
let most = before;
const look = () => {
  most = Math.max(most, process.memoryUsage().rss);
};
const { tar, finished } = packTree({
  root: process.argv[2]!,
  createdAt: '2026-03-01T02:00:00.000Z',
  manifest: new PassThrough().resume(),
  onProgress: look,
});
const { content, finished: whole } = sealed(tar);
const nowhere = new Writable({
  write: (_chunk, _encoding, done) => {
    look();
    done();
  },
});
await pipeline(content, nowhere);
const { bytes, entries } = await finished;
const ms = performance.now() - began;
const told = { grownBytes: most - before, bytes, entries, sealedBytes: (await whole).bytes, ms };
process.stdout.write(JSON.stringify(told));
