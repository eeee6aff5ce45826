/** The job types that Carillon comes with. Being named here makes a type creatable, documented and visible. */
import type { JobType } from './job.ts';
import { createTaskJob, type TaskJobOptions } from './task/task-job.ts';

export type HouseJobsOptions = TaskJobOptions;

export function houseJobs({ dispatcher, version }: HouseJobsOptions): readonly JobType[] {
  return [createTaskJob({ dispatcher, version })];
}
