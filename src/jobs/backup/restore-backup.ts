/** A backup, with what it goes on from, into a directory or a database: for a run, and for `npm run restore`. */
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import { backupsOf, findBackup } from '../../db/backup-store.ts';
import { type Backup, chainOf } from '../../runs/backup.ts';
import { type JobContext, JobError } from '../job.ts';
import { invalidConfiguration } from '../storage/target-faults.ts';
import type { RestoreInput, restoreOutput } from './backup-input.ts';
import type { BackupTools } from './backup-tools.ts';
import { restoreDump } from './pg-restore.ts';
import { checkSeal } from './seal-check.ts';
import { opened } from './sealed-stream.ts';
import { applyDeletions } from './tree-deletions.ts';
import { unpackTree } from './tree-unpack.ts';

/** What it needs of a run. */
export type Restoring = Pick<JobContext, 'now' | 'log'> & {
  step<T>(name: string, fn: (context: { signal: AbortSignal }) => Promise<T>): Promise<T>;
};

/**
 * @throws JobError: `BackupMissing`, `InvalidConfiguration`, or what the target and the database say. Nothing was written
 *   when it is one of the first two.
 */
export async function restoreBackup(
  context: Restoring,
  input: RestoreInput,
  tools: BackupTools,
): Promise<z.output<typeof restoreOutput>> {
  const startedAt = context.now();
  const chain = await chainFor(input.backupId, tools);
  const [full] = chain;
  const isDirectory = full!.sourceKind === 'directory';
  if (isDirectory !== input.to.startsWith('file:')) {
    throw invalidConfiguration(
      `${input.backupId} is of a ${isDirectory ? 'directory' : 'database'}; restore it to ${isDirectory ? 'file:///…' : 'postgres://…'}.`,
    );
  }
  await context.step('check-backup', async ({ signal }) => {
    for (const backup of chain) {
      const target = tools.target(backup.location);
      await checkSeal(target, backup.object, backup.sha256!, signal);
      if (backup.manifest !== null) await checkSeal(target, backup.manifest, backup.manifestSha256!, signal);
    }
  });
  const { entries } = await context.step('restore-backup', ({ signal }) =>
    isDirectory
      ? unpack(context, chain, input.to, tools, signal)
      : load(context, full!, input.to, tools, signal),
  );
  return {
    backupId: input.backupId,
    backups: chain.length,
    entries,
    durationSeconds: Math.max(0, Math.round(context.now() - startedAt) / 1000),
  };
}

async function chainFor(id: string, tools: BackupTools): Promise<Backup[]> {
  const backup = await findBackup(tools.db, id);
  if (backup === null) throw noBackup(`There is no backup ${id}. GET /backups lists them.`);
  const all = await backupsOf(tools.db, backup.scheduleId);
  const chain = chainOf(id, new Map(all.map((each) => [each.id, each])));
  if (chain === null)
    throw noBackup(`${id}, or a backup that it goes on from, was never finished or is damaged.`);
  return chain;
}

function noBackup(message: string): JobError {
  return new JobError('BackupMissing', message, { retryable: false });
}

async function unpack(
  context: Restoring,
  chain: readonly Backup[],
  to: string,
  tools: BackupTools,
  signal: AbortSignal,
): Promise<{ entries: number | null }> {
  const into = fileURLToPath(to);
  let entries = 0;
  for (const [index, backup] of chain.entries()) {
    const target = tools.target(backup.location);
    if (index > 0) {
      const manifest = opened(await target.get(backup.manifest!, { signal }), signal);
      await applyDeletions(manifest.source, into, signal);
    }
    const archive = opened(await target.get(backup.object, { signal }), signal);
    const done = await unpackTree({ tar: archive.source, into, signal, over: index > 0 });
    entries += done.entries;
    context.log(`${backup.id}: ${done.entries} entries, ${done.bytes} bytes`);
  }
  return { entries };
}

async function load(
  context: Restoring,
  backup: Backup,
  to: string,
  tools: BackupTools,
  signal: AbortSignal,
): Promise<{ entries: number | null }> {
  const client = await tools.client('pg_restore', to, signal, 'target');
  const content = await tools.target(backup.location).get(backup.object, { signal });
  const { created } = await restoreDump({ content, url: to, client, signal });
  context.log(`${backup.id}: restored${created ? ' into a new database' : ''} by ${client.path}`);
  return { entries: null };
}
