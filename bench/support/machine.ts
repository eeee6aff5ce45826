/** What of this machine and of the packages bears on the figures. Nothing that tells whose machine it is. */
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import type { RunDescription } from '../report.ts';
import { startDatabase } from './bench-service.ts';

const packages = ['graphile-worker', 'pg-boss', 'bullmq', 'ioredis', 'fastify', 'pg', 'undici'];
const programs = ['tar', 'zstd', 'pg_dump', 'psql'];

export async function describeRun(options: { rounds: number; isQuick: boolean }): Promise<RunDescription> {
  const loadAtStart = loadavg()[0]!;
  const carillon = await versionIn('../../package.json');
  return {
    startedAt: new Date().toISOString(),
    rounds: options.rounds,
    isQuick: options.isQuick,
    machine: {
      CPU: cpus()[0]?.model.trim() ?? 'unknown',
      cores: String(availableParallelism()),
      memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
      system: `${type()} ${release().split('-')[0]}`,
    },
    versions: {
      Carillon: carillon,
      Node: process.version,
      Postgres: await postgresVersion(),
      ...Object.fromEntries(
        await Promise.all(
          packages.map(async (name) => [name, await versionIn(`../../node_modules/${name}/package.json`)]),
        ),
      ),
      ...Object.fromEntries(programs.map((name) => [name, programVersion(name)])),
    },
    loadAtStart,
    cores: availableParallelism(),
  };
}

async function versionIn(path: string): Promise<string> {
  return JSON.parse(await readFile(new URL(path, import.meta.url), 'utf8')).version;
}

async function postgresVersion(): Promise<string> {
  const database = await startDatabase();
  try {
    const { rows } = await database.pool.query('show server_version');
    return rows[0].server_version;
  } finally {
    await database.stop();
  }
}

/** Whether all of them can be run here. */
export function hasPrograms(...names: string[]): boolean {
  return names.every((name) => programVersion(name) !== 'not here');
}

function programVersion(name: string): string {
  const { status, stdout } = spawnSync(name, ['--version'], { encoding: 'utf8' });
  if (status !== 0) return 'not here';
  return /\d+(\.\d+)+/.exec(stdout)?.[0] ?? 'unknown';
}
