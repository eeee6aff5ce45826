/**
 * The job type `backup`, after the reference workflow DailyBackup: perform-backup → validate-backup →
 * cleanup-old-backups → send-notification, each a durable step. Runs in a process of its own.
 */
import { backupsOf, deleteBackup, findBackup, markBackup } from '../../db/backup-store.ts';
import { findSchedule } from '../../db/schedule-store.ts';
import { messageOf } from '../../errors.ts';
import { type Backup, expired } from '../../runs/backup.ts';
import { houseBackoff } from '../../runs/retry-policy.ts';
import { receiversOf } from '../../schedules/notify.ts';
import { defineJob, type JobContext, JobError } from '../job.ts';
import type { StorageTarget } from '../storage/storage-target.ts';
import { backupDamaged } from '../storage/target-faults.ts';
import { type BackupInput, backupInput, backupOutput } from './backup-input.ts';
import { type BackupSettings, type BackupTools, withTools } from './backup-tools.ts';
import { performBackup } from './perform-backup.ts';
import { verifyDump } from './pg-restore.ts';
import { checkSeal } from './seal-check.ts';
import { opened } from './sealed-stream.ts';
import { checkTree } from './tree-check.ts';

const dayMs = 86_400_000;

export function createBackupJob(settings: BackupSettings) {
  return defineJob({
    type: 'backup',
    description:
      'Backs up a directory or a Postgres database to a folder or a bucket, reads it back, and deletes what is past its retention.',
    input: backupInput,
    output: backupOutput,
    taskQueue: 'backup',
    isolated: true,
    timeoutMs: 3_600_000,
    retry: { maxAttempts: 3, ...houseBackoff(60_000) },
    example: { backupType: 'full', source: 'file:///etc', targetLocation: 'file:///var/backups/carillon/' },
    run: (context, input) => withTools(settings, context, (tools) => backUp(context, input, tools)),
  });
}

async function backUp(context: JobContext, input: BackupInput, tools: BackupTools) {
  const startedAt = context.now();
  const made = await context.step('perform-backup', ({ signal }) =>
    performBackup(context, signal, input, tools),
  );
  await context.step('validate-backup', ({ signal }) => validate(made.id, signal, input, tools));
  const { deleted } = await context.step('cleanup-old-backups', ({ signal, log }) =>
    cleanUp(context, signal, input, tools, log),
  );
  const durationSeconds = Math.max(0, Math.round(context.now() - startedAt) / 1000);
  await context.step('send-notification', async ({ log }) => {
    log(
      `${made.id}: ${made.kind} backup of ${made.bytes} bytes is stored and was read back; ${deleted} old ones deleted`,
    );
    return await tellWhoWillBeTold(context, tools, log);
  });
  return {
    backupId: made.id,
    backupType: made.kind,
    backupSize: made.bytes,
    sha256: made.sha256,
    location: tools.target(input.targetLocation).location,
    durationSeconds,
    deletedBackups: deleted,
  };
}

/**
 * The run's own end is what its schedule's `notify` tells, in one transaction with it, of failures as of successes. A message
 * from here would be a second one, and of a run that may still fail; so this says what the end will send.
 */
async function tellWhoWillBeTold(
  context: JobContext,
  tools: BackupTools,
  log: (message: string) => void,
): Promise<{ notifies: string[] }> {
  const schedule = await findSchedule(tools.db, context.scheduleId);
  const notifies = receiversOf(schedule?.spec.notify, 'success');
  log(
    notifies.length === 0
      ? 'the schedule has no `notify` for a success, so nobody else is told'
      : `with the end of this run \`notify\` of the schedule tells ${notifies.join(', ')}`,
  );
  return { notifies };
}

/** Reads the stored objects back. What is damaged is marked so, and not tried again: another backup must be made. */
async function validate(
  id: string,
  signal: AbortSignal,
  input: BackupInput,
  tools: BackupTools,
): Promise<{ valid: true }> {
  const backup = (await findBackup(tools.db, id))!;
  const target = tools.target(backup.location);
  try {
    if (backup.bytes === null || backup.bytes === 0) throw backupDamaged(`${backup.object} is empty.`);
    await checkSeal(target, backup.object, backup.sha256!, signal);
    if (backup.sourceKind === 'directory') await checkArchive(target, backup, signal);
    else {
      const client = await tools.client('pg_restore', input.source ?? tools.ownUrl, signal);
      await verifyDump(await target.get(backup.object, { signal }), client, { signal });
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof JobError) || !['BackupDamaged', 'BackupMissing'].includes(error.type)) throw error;
    await markBackup(tools.db, id, 'damaged');
    throw new JobError('BackupValidationFailed', `Backup validation failed: ${messageOf(error)}`, {
      retryable: false,
      cause: error,
    });
  }
  await markBackup(tools.db, id, 'valid');
  return { valid: true };
}

async function checkArchive(target: StorageTarget, backup: Backup, signal: AbortSignal): Promise<void> {
  await checkSeal(target, backup.manifest!, backup.manifestSha256!, signal);
  const archive = opened(await target.get(backup.object, { signal }), signal);
  const manifest = opened(await target.get(backup.manifest!, { signal }), signal);
  await checkTree(archive.source, manifest.source, signal);
}

/** Objects first, then the row: what a kill leaves is looked at again by the next backup. */
async function cleanUp(
  context: JobContext,
  signal: AbortSignal,
  input: BackupInput,
  tools: BackupTools,
  log: (message: string) => void,
): Promise<{ deleted: number }> {
  const beforeMs = context.now() - input.retentionDays * dayMs;
  let deleted = 0;
  for (const backup of expired(await backupsOf(tools.db, context.scheduleId), beforeMs, context.runId)) {
    signal.throwIfAborted();
    const target = tools.target(backup.location);
    for (const name of [backup.object, backup.manifest])
      if (name !== null) await target.delete(name, { signal });
    if (await deleteBackup(tools.db, backup.id)) deleted += 1;
    log(`deleted ${backup.id}, which is past its ${input.retentionDays} days`);
  }
  return { deleted };
}
