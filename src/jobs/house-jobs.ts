/** The job types that Carillon comes with. Being named here makes a type creatable, documented and visible. */
import { createBackupJob } from './backup/backup-job.ts';
import type { BackupSettings } from './backup/backup-tools.ts';
import { createRestoreJob } from './backup/restore-job.ts';
import type { JobType } from './job.ts';
import { createSyncJob } from './sync/sync-job.ts';
import { createTaskJob, type TaskJobOptions } from './task/task-job.ts';

/** What job types are made from. Plain JSON, as it goes to the processes of isolated runs. */
export type HouseJobSettings = { version: string; backup: BackupSettings };

export type HouseJobsOptions = HouseJobSettings & Pick<TaskJobOptions, 'dispatcher'>;

export function houseJobs({ dispatcher, version, backup }: HouseJobsOptions): readonly JobType[] {
  return [
    createTaskJob({ ...(dispatcher !== undefined && { dispatcher }), version }),
    createBackupJob(backup),
    createRestoreJob(backup),
    createSyncJob({ version, databaseUrl: backup.databaseUrl, s3: backup.s3 }),
  ];
}

/** The same in the process of an isolated run. */
export function jobs(settings: HouseJobSettings): readonly JobType[] {
  return houseJobs(settings);
}
