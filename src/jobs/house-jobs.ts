/** The job types that Carillon comes with. Being named here makes a type creatable, documented and visible. */
import { type IsolatedJobSettings, jobs as isolatedJobs } from './isolated-jobs.ts';
import type { JobType } from './job.ts';
import { createQueueJob, type QueueJobParts } from './queue/queue-job.ts';
import type { CommandSettings } from './task/command-allowed.ts';
import { createTaskDispatcher } from './task/http-dispatcher.ts';
import { runHttpTask } from './task/http-task.ts';
import { createTaskJob, type TaskJobOptions } from './task/task-job.ts';

export type HouseJobsOptions = IsolatedJobSettings &
  Pick<TaskJobOptions, 'dispatcher'> & {
    /** Default: none are allowed. */
    commands?: CommandSettings;
    /** Without it there is no job type `queue`. */
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
    ...isolatedJobs({ version, backup }),
    ...(queue === undefined
      ? []
      : [createQueueJob({ ...queue, call: (context, input) => runHttpTask(http, context, input) })]),
  ];
}
