/** Backups and restores as runs of a worker, from and to real places. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'vitest';
import type { ScheduleView } from '../../src/schedules/schedule.ts';
import { at, ms } from './timings.ts';
import { tempFolder } from './tree-scene.ts';
import { setupRig, type WorkerRig } from './worker-rig.ts';

const soon = 60_000;
export const noRetry = {
  maxAttempts: 1,
  initialIntervalMs: 1,
  maxIntervalMs: 1,
  backoffCoefficient: 1,
  nonRetryableErrorTypes: ['InvalidConfiguration'],
};

/** A directory `root` to back up, and one, `vault`, to keep backups in. */
export async function setupBackups(s3: object = {}) {
  const rig = await setupRig({ backup: { pgBin: null, path: process.env.PATH ?? null, s3 } });
  await rig.worker({ workers: { default: 2 } });
  const folder = await tempFolder();
  const root = join(folder, 'tree');
  const vault = join(folder, 'vault');
  await mkdir(root);
  await mkdir(vault);
  const url = (path: string) => pathToFileURL(path).href;
  return {
    rig,
    root,
    vault,
    url,
    /** A schedule that backs `root` up to `vault`, in full unless `input` says otherwise. */
    keep: (input: object = {}) =>
      schedule(rig, 'backup', {
        backupType: 'full',
        source: url(root),
        targetLocation: `${url(vault)}/`,
        ...input,
      }),
  };
}

/** A schedule of the job that never fires by itself. */
export async function schedule(
  rig: WorkerRig,
  type: string,
  input: object,
  retry = noRetry,
): Promise<ScheduleView> {
  const { spec } = await rig.schedules.get((await rig.trigger('nothing')).scheduleId);
  return await rig.schedules.create({
    ...spec,
    name: `${type}-${Math.random().toString(36).slice(2)}`,
    timing: at(ms('2999-01-01T00:00:00Z')),
    job: { ...spec.job, type, input, taskQueue: 'default', timeoutMs: 60_000, retry },
  });
}

export const run = async (rig: WorkerRig, id: string) =>
  rig.ended((await rig.schedules.trigger(id, {})).id, soon);
export const backUp = async (rig: WorkerRig, id: string) => {
  const ended = await run(rig, id);
  expect(ended, JSON.stringify(ended.error)).toMatchObject({ status: 'succeeded' });
  return ended.output as { backupId: string; backupType: string; backupSize: number; deletedBackups: number };
};
