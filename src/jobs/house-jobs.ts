/** The job types that Carillon comes with. Being named here makes a type creatable, documented and visible. */
import type { JobType } from './job.ts';
import { createTaskJob, type TaskJobOptions } from './task/task-job.ts';

export type HouseJobsOptions = TaskJobOptions;

/** What the process of an isolated run builds its job types from: plain JSON. */
export type HouseJobSettings = { version: string };

/** The same job types in the process of an isolated run. */
export function jobs(settings: HouseJobSettings): readonly JobType[] {
  return houseJobs(settings);
}

export function houseJobs({ dispatcher, version }: HouseJobsOptions): readonly JobType[] {
  return [createTaskJob({ dispatcher, version })];
}
