/** The job type `restore`: a backup, with what it goes on from, into a directory or a database. */
import { fileURLToPath } from 'node:url';
import { backupsOf, findBackup } from '../../db/backup-store.ts';
import { type Backup, chainOf } from '../../runs/backup.ts';
import { defineJob, type JobContext, JobError } from '../job.ts';
import { type RestoreInput, restoreInput, restoreOutput } from './backup-input.ts';
import { checkSeal } from './backup-job.ts';
import { type BackupSettings, type BackupTools, withTools } from './backup-tools.ts';
import { restoreDump } from './pg-restore.ts';
import { opened } from './sealed-stream.ts';
import { invalidConfiguration } from './target-faults.ts';
import { applyDeletions } from './tree-deletions.ts';
import { unpackTree } from './tree-unpack.ts';

export function createRestoreJob(settings: BackupSettings) {
  return defineJob({
    type: 'restore',
    description:
      'Restores a backup into an empty directory or a database without tables. Checks it before it writes.',
    input: restoreInput,
    output: restoreOutput,
    taskQueue: 'backup',
    isolated: true,
    timeoutMs: 6 * 3_600_000,
    retry: {
      maxAttempts: 1,
      initialIntervalMs: 60_000,
      maxIntervalMs: 300_000,
      backoffCoefficient: 2,
      nonRetryableErrorTypes: ['InvalidConfiguration'],
    },
    example: { backupId: 'backup-20260301020000', to: 'file:///var/restored' },
    run: (context, input) => withTools(settings, context, (tools) => restore(context, input, tools)),
  });
}

async function restore(context: JobContext, input: RestoreInput, tools: BackupTools) {
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
  context: JobContext,
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
  context: JobContext,
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
