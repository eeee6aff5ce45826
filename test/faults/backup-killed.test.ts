/**
 * kill -9 of a worker and the process of its backup, at each boundary, for a folder and a bucket at once: what is on
 * record is not done again, nothing half-written shows, and what results restores.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';
import { setupScene } from '../support/fault-scene.ts';
import { type HeldStatement, holdStatement } from '../support/held-statement.ts';
import { startS3Server } from '../support/s3-server.ts';
import type { SqlSession } from '../support/sql-session.ts';
import { differences, plant, stateOf, tempFolder } from '../support/tree-scene.ts';
import { waitFor } from '../support/wait-for.ts';

vi.setConfig({ testTimeout: 120_000 });

/** More than one part of an upload, long in the writing, and nothing that zstd could shorten. */
const largeBytes = 40 * 1024 * 1024;
const smallBytes = 256 * 1024;

type Backup = { object: string; manifest: string; status: string; sha256: string; id: string };
type Step = { name: string; status: string; attempts: number };
type Ended = { attempt: number; output: { backupId: string; deletedBackups: number }; steps: Step[] };

/** What each step was tried, in the order of the steps. */
type Tries = [perform: number, validate: number, cleanUp: number, notify: number];

async function setup(bytes: number) {
  const scene = await setupScene();
  const store = await startS3Server('vault');
  onTestFinished(() => store.close());
  const folder = await tempFolder();
  const [root, vault] = [join(folder, 'tree'), join(folder, 'vault')];
  await mkdir(root);
  await mkdir(vault);
  await plant(root, { 'first.txt': 'one', 'd/': '', 'd/ü 名': 'two', content: randomBytes(bytes) });
  const env = {
    CARILLON_S3_ENDPOINT: store.endpoint,
    CARILLON_S3_REGION: 'eu',
    CARILLON_S3_PATH_STYLE: 'true',
    AWS_ACCESS_KEY_ID: 'key',
    AWS_SECRET_ACCESS_KEY: 'canary-secret',
  };
  const worker = () => scene.node({ roles: 'worker', workers: 'default:4', env });
  const [doomed, other] = await Promise.all([worker(), scene.node({ roles: 'api,dispatcher', env })]);
  const keep = (targetLocation: string) =>
    scene.create(other, {
      job: {
        type: 'backup',
        taskQueue: 'default',
        input: { backupType: 'full', source: pathToFileURL(root).href, targetLocation, retentionDays: 1 },
      },
    });
  const schedules = [await keep(`${pathToFileURL(vault).href}/`), await keep('s3://vault/daily/')];
  const backUp = (which: 0 | 1) => scene.trigger(other, schedules[which]!.name);
  const ended = (runs: string[]) =>
    Promise.all(runs.map((run) => scene.reaches(other, run, 'succeeded', 60_000))) as unknown as Promise<
      Ended[]
    >;

  /** What a reader of each place sees, without what has a passing name. */
  const visible = () => [
    readdirSync(vault)
      .filter((name) => !name.startsWith('.'))
      .sort(),
    [...store.buckets.get('vault')!.keys()]
      .map((key) => key.slice('daily/'.length))
      .filter((name) => !name.startsWith('.'))
      .sort(),
  ];
  return { ...scene, doomed, other, worker, root, vault, store, folder, schedules, backUp, ended, visible };
}

type Scene = Awaited<ReturnType<typeof setup>>;

/** Whether all that shows there is whole: a backup's object as long as it is, or nothing. */
async function sizes({ vault, store }: Scene): Promise<number[]> {
  const files = readdirSync(vault).filter((name) => name.endsWith('.tar.zst'));
  const keys = [...store.buckets.get('vault')!].filter(([key]) => key.endsWith('.tar.zst'));
  return [
    ...(await Promise.all(files.map(async (name) => (await readFile(join(vault, name))).length))),
    ...keys.map(([, { body }]) => body.length),
  ];
}

/** Begins both runs, and resolves when they stand at the boundary. */
type Reach = (scene: Scene, hold: HeldStatement | null) => Promise<string[]>;

const begun = ({ backUp }: Scene) => Promise.all([backUp(0), backUp(1)]);

const bothWait: Reach = async (scene, hold) => {
  const runs = await begun(scene);
  await hold!.reached(2);
  return runs;
};

/** The bucket's first: it waits for the store's answer while the folder's is caught writing. */
const inTheUpload: Reach = async ({ vault, store, backUp }) => {
  const part = store.failNext(/^PUT .*partNumber=2/, 'hold');
  const toBucket = await backUp(1);
  await part;
  const toFolder = await backUp(0);
  const isWriting = () =>
    readdirSync(vault).some((name) => name.endsWith('.part') && statSync(join(vault, name)).size > 1e6);
  await waitFor(isWriting, { what: 'a file to be written', timeoutMs: 30_000 });
  return [toFolder, toBucket];
};

const step = (name: string, status: string) =>
  ['insert or update on run_steps', `new.name = '${name}' and new.status = '${status}'`] as const;

it.each<{
  where: string;
  hold: readonly [on: string, when: string] | null;
  reach: Reach;
  /** Whether whole objects are there when the process is killed. */
  stored: boolean;
  tries: Tries;
}>([
  {
    where: 'before perform-backup',
    hold: step('perform-backup', 'running'),
    reach: bothWait,
    stored: false,
    tries: [1, 1, 1, 1],
  },
  { where: 'inside the upload', hold: null, reach: inTheUpload, stored: false, tries: [2, 1, 1, 1] },
  {
    where: 'after the object appeared and before the catalogue has it',
    hold: ['update on backups', `new.status = 'written'`],
    reach: bothWait,
    stored: true,
    tries: [2, 1, 1, 1],
  },
  {
    where: 'after the catalogue has it and before the step is on record',
    hold: step('perform-backup', 'succeeded'),
    reach: bothWait,
    stored: true,
    tries: [2, 1, 1, 1],
  },
  {
    where: 'after the record',
    hold: step('validate-backup', 'running'),
    reach: bothWait,
    stored: true,
    tries: [1, 1, 1, 1],
  },
  {
    where: 'in the cleanup, when the objects are gone and the row is not',
    hold: ['delete on backups', 'true'],
    reach: bothWait,
    stored: true,
    tries: [1, 1, 2, 1],
  },
])('killed $where', async ({ where, hold, reach, stored, tries }) => {
  const bytes = hold === null ? largeBytes : smallBytes;
  const scene = await setup(bytes);
  const { other, doomed, silence, schedules, visible, root, folder, sql } = scene;
  const isCleanup = where.startsWith('in the cleanup');
  if (isCleanup) {
    await scene.ended(await begun(scene));
    await sql.rows(`update backups set created_at = created_at - interval '3 days'`);
  }
  const held = hold === null ? null : await holdStatement(sql, ...hold);
  const runs = await reach(scene, held);
  doomed.kill('SIGKILL', 'group');
  await doomed.exited;
  const shown = visible();
  // The list of what is in it may be whole before the archive is.
  const archives = shown.flat().filter((name) => name.endsWith('.tar.zst'));
  if (!stored) expect(archives).toEqual([]);
  else expect(shown.map((names) => names.length)).toEqual([2, 2]);
  for (const size of await sizes(scene)) expect(size).toBeGreaterThan(bytes);
  await held?.release();
  await silence(doomed.pid);
  await scene.worker();

  const ends = await scene.ended(runs);
  for (const [index, ended] of ends.entries()) {
    expect(ended, `${where}, ${index}`).toMatchObject({
      attempt: 2,
      output: { deletedBackups: isCleanup ? 1 : 0 },
      steps: ['perform-backup', 'validate-backup', 'cleanup-old-backups', 'send-notification'].map(
        (name, at) => ({ name, status: 'succeeded', attempts: tries[at] }),
      ),
    });
  }
  // What is in the catalogue is what is there, and nothing else is.
  const catalogue = await Promise.all(schedules.map(({ id }) => backupsIn(sql, id)));
  expect(catalogue.map((backups) => backups.map(({ status }) => status))).toEqual([['valid'], ['valid']]);
  expect(visible()).toEqual(
    catalogue.map((backups) => backups.flatMap(({ object, manifest }) => [object, manifest]).sort()),
  );
  for (const [index, ended] of ends.entries()) {
    const into = join(folder, `restored-${index}`);
    const { name } = await scene.create(other, {
      job: {
        type: 'restore',
        taskQueue: 'default',
        input: { backupId: ended.output.backupId, to: pathToFileURL(into).href },
      },
    });
    await scene.reaches(other, await scene.trigger(other, name), 'succeeded', 60_000);
    expect(differences(stateOf(root), stateOf(into))).toEqual([]);
  }
});

function backupsIn(sql: SqlSession, scheduleId: string): Promise<Backup[]> {
  return sql.rows<Backup>('select * from backups where schedule_id = $1 order by id', [scheduleId]);
}
