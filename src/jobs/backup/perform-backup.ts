/**
 * The first step of a backup: source → archive → target, in constant memory.
 *
 * What happens on kill -9: before the row is there, nothing; after it the row says `writing`, and what was being stored
 * has a temporary name that the target sweeps. The next attempt of the run takes the same row and writes the same names
 * anew; if there is none, the next backup's cleanup deletes row and objects.
 */
import { createHash } from 'node:crypto';
import { PassThrough, type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { backupsOf, beginBackup, finishBackup, type WrittenBackup } from '../../db/backup-store.ts';
import { type Backup, chainOf, type NewBackup } from '../../runs/backup.ts';
import { type JobContext, JobError } from '../job.ts';
import { readConnection } from '../postgres/pg-connection.ts';
import type { StorageTarget } from '../storage/storage-target.ts';
import { invalidConfiguration } from '../storage/target-faults.ts';
import type { BackupInput } from './backup-input.ts';
import type { BackupTools } from './backup-tools.ts';
import { dumpDatabase } from './pg-dump.ts';
import { opened, sealed } from './sealed-stream.ts';
import { packTree } from './tree-pack.ts';

export type PerformedBackup = { id: string; kind: 'full' | 'incremental'; bytes: number; sha256: string };

export async function performBackup(
  context: JobContext,
  signal: AbortSignal,
  input: BackupInput,
  tools: BackupTools,
): Promise<PerformedBackup> {
  const target = tools.target(input.targetLocation);
  await target.check(signal);
  return input.source?.startsWith('file:')
    ? await backUpDirectory(context, signal, input, tools, target)
    : await backUpDatabase(context, signal, input, tools, target);
}

async function backUpDirectory(
  context: JobContext,
  signal: AbortSignal,
  input: BackupInput,
  tools: BackupTools,
  target: StorageTarget,
): Promise<PerformedBackup> {
  const root = fileURLToPath(input.source!);
  const base =
    input.backupType === 'full' ? null : await baseOf(context, tools, target.location, input.source!);
  if (input.backupType === 'incremental' && base === null) {
    context.log('there is no good backup to go on from, so this one is full');
  }
  const stem = stemOf(context);
  const id = await begin(context, tools, {
    ...ofRun(context),
    kind: base === null ? 'full' : 'incremental',
    sourceKind: 'directory',
    source: input.source!,
    location: target.location,
    object: `${stem}.tar.zst`,
    manifest: `${stem}.manifest.zst`,
    baseId: base?.id ?? null,
  });
  const names = { object: `${stem}.tar.zst`, manifest: `${stem}.manifest.zst` };
  const lines = new PassThrough();
  const baseLines = base === null ? null : opened(await target.get(base.manifest!, { signal }), signal);
  const { tar, finished } = packTree({
    root,
    manifest: lines,
    createdAt: new Date(Math.floor(context.now())).toISOString(),
    ...(base !== null && { base: { id: base.id, manifest: baseLines!.source } }),
    signal,
    onProgress: ({ entries }) => context.progress(entries, null, 'entries'),
    note: ({ what, path, reason }) => context.log(`${what}: ${path}: ${reason}`, 'warn'),
  });
  const archive = sealed(tar, signal);
  const manifest = sealed(lines, signal);
  // Side by side: the manifest is written at the pace of the archive.
  const stored = await allOrFirstFault([
    target.put(names.object, archive.content, { signal }),
    target.put(names.manifest, manifest.content, { signal }),
    finished,
  ]);
  const summary = stored[2] as Awaited<typeof finished>;
  const [seal, manifestSeal] = await Promise.all([archive.finished, manifest.finished]);
  context.log(
    `${summary.kind}: ${summary.packed} of ${summary.entries} entries packed, ${summary.deleted} deleted since, ${seal.bytes} bytes`,
  );
  await finish(context, tools, id, { ...seal, manifestSha256: manifestSeal.sha256 });
  return { id, kind: summary.kind, bytes: seal.bytes, sha256: seal.sha256 };
}

/** The last good backup of this schedule that an incremental one can go on from. */
async function baseOf(
  context: JobContext,
  tools: BackupTools,
  location: string,
  source: string,
): Promise<Backup | null> {
  const all = await backupsOf(tools.db, context.scheduleId);
  const byId = new Map(all.map((backup) => [backup.id, backup]));
  const fits = (backup: Backup) =>
    backup.status === 'valid' &&
    backup.sourceKind === 'directory' &&
    backup.source === source &&
    backup.location === location &&
    backup.runId !== context.runId &&
    chainOf(backup.id, byId) !== null;
  return all.filter(fits).at(-1) ?? null;
}

async function backUpDatabase(
  context: JobContext,
  signal: AbortSignal,
  input: BackupInput,
  tools: BackupTools,
  target: StorageTarget,
): Promise<PerformedBackup> {
  if (input.backupType === 'incremental') {
    throw invalidConfiguration('A database cannot be backed up incrementally; use backupType "full".');
  }
  const url = input.source ?? tools.ownUrl;
  const client = await tools.client('pg_dump', url, signal);
  const object = `${stemOf(context)}.dump`;
  const id = await begin(context, tools, {
    ...ofRun(context),
    kind: 'full',
    sourceKind: 'postgres',
    source: readConnection(url).label,
    location: target.location,
    object,
    manifest: null,
    baseId: null,
  });
  const { content, finished } = dumpDatabase({
    url,
    client,
    signal,
    note: (text) => context.log(text, 'warn'),
  });
  const meter = createMeter((bytes) => context.progress(bytes, null, 'bytes'));
  await allOrFirstFault([
    pipeline(content, meter, { signal }),
    target.put(object, meter as Readable, { signal }),
    finished,
  ]);
  const seal = meter.seal();
  context.log(`full: ${seal.bytes} bytes by ${client.path} ${client.version}`);
  await finish(context, tools, id, { ...seal, manifestSha256: null });
  return { id, kind: 'full', ...seal };
}

/** Unique in a folder that many schedules share, and the same for all attempts of a run. */
function stemOf(context: JobContext): string {
  const time = new Date(context.scheduledForMs).toISOString().replaceAll(/\D/g, '').slice(0, 14);
  return `${context.scheduleName}-${time}-${context.runId.slice(-8)}`;
}

function ofRun(context: JobContext): Pick<NewBackup, 'scheduleId' | 'scheduleName' | 'runId'> {
  return { scheduleId: context.scheduleId, scheduleName: context.scheduleName, runId: context.runId };
}

function begin(context: JobContext, tools: BackupTools, backup: NewBackup): Promise<string> {
  return beginBackup(tools.db, backup, Math.floor(context.now()));
}

function finish(context: JobContext, tools: BackupTools, id: string, written: WrittenBackup): Promise<void> {
  return finishBackup(tools.db, id, written, Math.floor(context.now()));
}

/**
 * All of them have ended when this does. Of their faults one that says what to do is thrown, else the first: the others are
 * mostly of its making, and a stream whose reader gave up may tell so before the reader has told why.
 */
async function allOrFirstFault(works: readonly Promise<unknown>[]): Promise<unknown[]> {
  const faults: unknown[] = [];
  const results = await Promise.all(works.map((work) => work.catch((fault) => void faults.push(fault))));
  if (faults.length > 0) throw faults.find((fault) => fault instanceof JobError) ?? faults[0];
  return results;
}

/** Counts and hashes what passes. */
function createMeter(
  onBytes: (bytes: number) => void,
): Transform & { seal(): { bytes: number; sha256: string } } {
  const hash = createHash('sha256');
  let bytes = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      onBytes(bytes);
      done(null, chunk);
    },
  });
  return Object.assign(meter, { seal: () => ({ bytes, sha256: hash.digest('hex') }) });
}
