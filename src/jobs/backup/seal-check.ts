/** Whether an object is what was stored: the step before it is trusted, by a backup's validation and by a restore. */
import { createHash } from 'node:crypto';
import { type Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { StorageTarget } from '../storage/storage-target.ts';
import { backupDamaged } from '../storage/target-faults.ts';

/** Reads all of it. Throws JobError `BackupDamaged` for another SHA-256 (lower-case hex), `BackupMissing` without it. */
export async function checkSeal(
  target: StorageTarget,
  name: string,
  sha256: string,
  signal: AbortSignal,
): Promise<void> {
  const found = await hashOf(await target.get(name, { signal }), signal);
  if (found !== sha256)
    throw backupDamaged(`${name} has the SHA-256 ${found}, and was stored with ${sha256}.`);
}

async function hashOf(content: Readable, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done();
    },
  });
  await pipeline(content, sink, { signal });
  return hash.digest('hex');
}
