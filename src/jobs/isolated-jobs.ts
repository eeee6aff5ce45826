/**
 * The job types that Carillon comes with and that run in processes of their own. Apart from `house-jobs.ts`, so that such a
 * process loads what it may need and no HTTP client: a tenth of a second of each run.
 */
import { createBackupJob } from './backup/backup-job.ts';
import type { BackupSettings } from './backup/backup-tools.ts';
import { createRestoreJob } from './backup/restore-job.ts';
import type { JobType } from './job.ts';
import { createSyncJob } from './sync/sync-job.ts';

/** Plain JSON: it goes to the processes over their channel. */
export type IsolatedJobSettings = {
  version: string;
  backup: BackupSettings;
};

/** What an isolated run's process asks a module for (`JobModule`). */
export function jobs({ version, backup }: IsolatedJobSettings): readonly JobType[] {
  return [
    createBackupJob(backup),
    createRestoreJob(backup),
    createSyncJob({ version, databaseUrl: backup.databaseUrl, s3: backup.s3 }),
  ];
}
