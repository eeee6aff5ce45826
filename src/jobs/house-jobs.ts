/** The job types that Carillon comes with. Being named here makes a type creatable, documented and visible. */
import { createBackupJob } from './backup/backup-job.ts';
import type { BackupSettings } from './backup/backup-tools.ts';
import { createRestoreJob } from './backup/restore-job.ts';
import type { JobType } from './job.ts';
import { createQueueJob, type QueueJobParts } from './queue/queue-job.ts';
import { createSyncJob } from './sync/sync-job.ts';
import type { CommandSettings } from './task/command-allowed.ts';
import { createTaskDispatcher } from './task/http-dispatcher.ts';
import { runHttpTask } from './task/http-task.ts';
import { createTaskJob, type TaskJobOptions } from './task/task-job.ts';

/** What job types are made from. Plain JSON, as it goes to the processes of isolated runs. */
export type HouseJobSettings = {
  version: string;
  backup: BackupSettings;
  /** Default: none are allowed. */
  commands?: CommandSettings;
};

export type HouseJobsOptions = HouseJobSettings &
  Pick<TaskJobOptions, 'dispatcher'> & {
    /** Without it there is no job type `queue`: in the process of an isolated run, which has no connection for it. */
    queue?: Omit<QueueJobParts, 'call'>;
  };

export function houseJobs({
  dispatcher = createTaskDispatcher(),
  version,
  backup,
  commands,
  queue,
}: HouseJobsOptions): readonly JobType[] {
  const http = { dispatcher, userAgent: `carillon/${version}` };
  return [
    createTaskJob({ dispatcher, version, ...(commands !== undefined && { commands }) }),
    createBackupJob(backup),
    createRestoreJob(backup),
    ...(queue === undefined
      ? []
      : [createQueueJob({ ...queue, call: (context, input) => runHttpTask(http, context, input) })]),
    createSyncJob({ version, databaseUrl: backup.databaseUrl, s3: backup.s3 }),
  ];
}

/** The same in the process of an isolated run. */
export function jobs(settings: HouseJobSettings): readonly JobType[] {
  return houseJobs(settings);
}
