/** Carillon as a newcomer meets it: `npm start`, the banner, the curl in it, Ctrl-C. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { banner } from '../src/banner.ts';
import { compileCacheName } from '../src/db/data-directory.ts';
import { createTestDatabase } from './support/database.ts';
import { addressOf, compileCache, type SpawnedProcess, spawnIn } from './support/node-process.ts';
import { waitFor } from './support/wait-for.ts';

// Several processes start in each, on a machine that may be busy; each wait in them has a limit of its own.
vi.setConfig({ testTimeout: 90_000 });

const run = promisify(execFile);
const shell = async (command: string, env: Record<string, string> = {}) =>
  (await run('/bin/sh', ['-c', command], { env: { ...process.env, ...env } })).stdout;

/** Removed with all that is in it, and whatever server still runs on it, when all tests have finished. */
const newDataDir = () => join(inject('runDirectory'), `boot-${randomBytes(5).toString('hex')}`);

const npmStart = (env: Record<string, string>) => spawnIn({ command: 'npm', args: ['start'], env });
const nodeMain = (env: Record<string, string>) =>
  spawnIn({ command: process.execPath, args: ['src/main.ts'], env: { ...compileCache(), ...env } });

/** The commands in the banner, as they stand there. */
const curls = (output: string) => [...output.matchAll(/^ {2}(curl .+)$/gm)].map((match) => match[1]!);

/** Processes that work on this directory: servers, and what initdb starts. */
async function processesOn(dataDir: string): Promise<string[]> {
  const lines = (await run('ps', ['-eo', 'pid,args'])).stdout.split('\n');
  return lines.filter((line) => line.includes(dataDir));
}

async function endsWithout(child: SpawnedProcess, dataDir: string) {
  const end = await child.exited;
  await waitFor(
    async () => {
      const left = await processesOn(dataDir);
      if (left.length > 0) throw new Error(`${left.join('\n')}\n${child.output()}`);
      return true;
    },
    // What was killed may take a moment to die; a server that was left behind would stay.
    { what: 'all processes to be gone', timeoutMs: 5000 },
  );
  return end;
}

describe('npm start', () => {
  it('starts in an empty directory, does what its banner says, stops without a trace, and knows it all the next time', async () => {
    const dataDir = newDataDir();
    const first = npmStart({ PORT: '0', DATA_DIR: dataDir });
    const address = await addressOf(first);
    expect(first.output()).toContain(
      `  API    ${address}\n  Docs   ${address}/docs\n  Data   ${dataDir} (embedded`,
    );
    expect((await fetch(`${address}/docs`)).status).toBe(200);
    expect(await processesOn(dataDir)).not.toEqual([]);

    const [create, look] = curls(first.output()) as [string, string];
    expect(JSON.parse(await shell(create))).toMatchObject({ name: 'ping', every: '5s', status: 'active' });
    const ran = await waitFor(
      async () => {
        const { items } = JSON.parse(await shell(look)) as {
          items: { id: string; status: string; output: unknown }[];
        };
        return items.find((item) => item.status === 'succeeded');
      },
      { what: 'the first ping' },
    );
    expect(ran.output).toMatchObject({ statusCode: 200 });

    // Ctrl-C in a terminal goes to everything that npm started.
    first.kill('SIGINT', 'group');
    await endsWithout(first, dataDir);
    expect(first.output()).toContain('"msg":"stopped"');
    // For the processes of isolated runs.
    expect(existsSync(join(dataDir, compileCacheName))).toBe(true);

    const second = npmStart({ PORT: '0', DATA_DIR: dataDir });
    const again = await addressOf(second);
    const ping = (await (await fetch(`${again}/schedules/ping`)).json()) as object;
    expect(ping).toMatchObject({ name: 'ping', status: 'active', counts: { failed: 0 } });
    expect((await fetch(`${again}/runs/${ran.id}`)).status).toBe(200);
    // The schedule has gone on calling where the first service was; its new address is for the user to tell.
    second.kill('SIGTERM', 'group');
    await endsWithout(second, dataDir);
    expect(second.output()).toContain('"msg":"stopped"');
  });

  it('ends in order and with 0 where the shell of npm makes one Ctrl-C arrive twice', async () => {
    const dataDir = newDataDir();
    // As bash does, which is /bin/sh on macOS and Fedora: npm then passes the signal on to us, who have it already.
    const replacing = `${dataDir}.sh`;
    await writeFile(replacing, '#!/bin/sh\nexec /bin/sh -c "exec $2"\n');
    await chmod(replacing, 0o755);
    const child = npmStart({ PORT: '0', DATA_DIR: dataDir, npm_config_script_shell: replacing });
    await addressOf(child);
    child.kill('SIGINT', 'group');
    expect(await endsWithout(child, dataDir)).toEqual({ code: 0, signal: null });
    expect(child.output()).not.toContain('again');
    expect(child.output()).toContain('"msg":"stopped"');
  });
});

describe('npm start that is killed alone', () => {
  it('takes the service along, and its Postgres', async () => {
    const dataDir = newDataDir();
    const child = npmStart({ PORT: '0', DATA_DIR: dataDir });
    const address = await addressOf(child);
    // To npm alone, as `kill` does: its shell ends with it, and tells the service nothing.
    child.kill('SIGTERM');
    await waitFor(
      async () => {
        if ((await processesOn(dataDir)).length > 0) throw new Error(child.output());
        return true;
      },
      { what: 'the service to follow', timeoutMs: 20_000 },
    );
    await expect(fetch(`${address}/healthz`)).rejects.toThrow();
  });
});

describe('a signal', () => {
  it('while the first start has only begun leaves no server behind, and the next start succeeds', async () => {
    const dataDir = newDataDir();
    const hasty = nodeMain({ PORT: '0', DATA_DIR: dataDir });
    await waitFor(() => existsSync(join(dataDir, 'postgres-password')), { what: 'the start to begin' });
    hasty.kill('SIGINT', 'group');
    expect(await endsWithout(hasty, dataDir)).toEqual({ code: 0, signal: null });
    const patient = nodeMain({ PORT: '0', DATA_DIR: dataDir });
    const address = await addressOf(patient);
    expect((await fetch(`${address}/healthz`)).status).toBe(200);
    patient.kill('SIGTERM');
    expect(await endsWithout(patient, dataDir)).toEqual({ code: 0, signal: null });
  });

  it('twice: it leaves at once whatever runs, and takes its Postgres with it', async () => {
    const dataDir = newDataDir();
    const child = nodeMain({ PORT: '0', DATA_DIR: dataDir, CARILLON_SHUTDOWN_GRACE_SECONDS: '600' });
    const address = await addressOf(child);
    const held = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(held, 'listening');
    onTestFinished(() => {
      held.closeAllConnections();
      held.close();
    });
    const called = once(held, 'request');
    const url = `http://127.0.0.1:${(held.address() as AddressInfo).port}/`;
    await shell(
      `curl -sSf ${address}/schedules -d '{"name": "held", "every": "1s", "job": {"type": "task", "input": {"url": "${url}"}}}'`,
    );
    await called;
    child.kill('SIGINT');
    await waitFor(() => child.output().includes('SIGINT: stopping'));
    await waitFor(() => {
      child.kill('SIGINT');
      return !child.running;
    });
    expect(await endsWithout(child, dataDir)).toEqual({ code: 1, signal: null });
    expect(child.output()).toContain('SIGINT again; leaving at once');
  });
});

describe('it does not start, and says why and what to do,', () => {
  it('when the port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as AddressInfo;
    const dataDir = newDataDir();
    const child = nodeMain({ PORT: String(port), DATA_DIR: dataDir });
    expect(await endsWithout(child, dataDir)).toEqual({ code: 1, signal: null });
    expect(child.output()).toContain(
      `could not start: port ${port} is taken, perhaps by a Carillon that still runs. Stop what listens there, or set PORT (PORT=0 finds a free one).`,
    );
  });

  it('when the environment makes no sense, naming each variable, before it touches anything', async () => {
    const dataDir = newDataDir();
    const child = nodeMain({
      DATA_DIR: dataDir,
      PORT: 'http',
      LOG_LEVEL: 'loud',
      CARILLON_ROLES: 'api,boss',
      CARILLON_WORKERS: 'default:0',
      CARILLON_SHUTDOWN_GRACE_SECONDS: '-1',
      CARILLON_WORKER: 'default:5',
    });
    expect(await child.exited).toEqual({ code: 78, signal: null });
    const lines = child.output().split('\n');
    expect(lines[0]).toBe('Carillon cannot start with this environment:');
    const named = lines.filter((line) => line.startsWith('  ')).map((line) => line.trim().split(':')[0]);
    expect(named.sort()).toEqual([
      'CARILLON_ROLES',
      'CARILLON_SHUTDOWN_GRACE_SECONDS',
      'CARILLON_WORKER',
      'CARILLON_WORKERS',
      'LOG_LEVEL',
      'PORT',
    ]);
    expect(child.output()).toContain('"boss" is not a role; roles are api, dispatcher, worker');
    expect(child.output()).toContain('See .env.example for every variable.');
    expect(existsSync(dataDir)).toBe(false);
  });

  it.each(['0.0.0.0', 'example.org'])('on %s without an API key', async (host) => {
    const child = nodeMain({ HOST: host, DATA_DIR: newDataDir() });
    expect(await child.exited).toEqual({ code: 78, signal: null });
    expect(child.output()).toContain(`CARILLON_API_KEY: must be set when HOST (${host}) is not a loopback`);
  });

  it('when the database refuses it', async () => {
    const { url, drop } = await createTestDatabase();
    onTestFinished(drop);
    const wrong = new URL(url);
    wrong.pathname = '/there_is_no_such_database';
    const child = nodeMain({ PORT: '0', DATABASE_URL: wrong.href });
    expect(await child.exited).toEqual({ code: 1, signal: null });
    expect(child.output()).toContain(
      'could not start: database \\"there_is_no_such_database\\" does not exist',
    );
  });
});

it('with an API key, the curl in the banner works for whoever has the key in the environment', async () => {
  const { url, drop } = await createTestDatabase();
  onTestFinished(drop);
  const key = { CARILLON_API_KEY: 'a-key-of-some-length' };
  const child = nodeMain({ PORT: '0', HOST: '0.0.0.0', DATABASE_URL: url, ...key });
  const address = await addressOf(child);
  expect(child.output()).toContain('  Data   Postgres at DATABASE_URL\n');
  expect((await fetch(`${address}/schedules`)).status).toBe(401);
  const [create, look] = curls(child.output()) as [string, string];
  expect(JSON.parse(await shell(create, key))).toMatchObject({ name: 'ping' });
  expect(JSON.parse(await shell(look, key))).toMatchObject({ items: expect.any(Array) });
  child.kill('SIGTERM');
  expect(await child.exited).toEqual({ code: 0, signal: null });
});

describe('the banner', () => {
  const facts = {
    address: 'http://127.0.0.1:3000',
    dataDir: './data',
    embedded: true,
    filesElsewhere: null,
    keyed: false,
    roles: ['api', 'dispatcher', 'worker'],
    version: '1.2.3',
  };

  it('is short', () => {
    expect(banner(facts)).toBe(`
  Carillon 1.2.3

  API    http://127.0.0.1:3000
  Docs   http://127.0.0.1:3000/docs
  Data   ./data (embedded Postgres)

  Try it: this calls an address every 5 seconds

  curl -X POST http://127.0.0.1:3000/schedules -d '{"name": "ping", "every": "5s", "job": {"type": "task", "input": {"url": "http://127.0.0.1:3000/healthz"}}}'
  curl http://127.0.0.1:3000/schedules/ping/runs

`);
  });

  it('says where the files lie when that is not the data directory', () => {
    expect(banner({ ...facts, filesElsewhere: '/var/lib/carillon/data-1f/postgres' })).toContain(
      '  Data   ./data (embedded Postgres, its files in /var/lib/carillon/data-1f/postgres)\n',
    );
  });

  it('does not show the key that its curl wants', () => {
    expect(banner({ ...facts, keyed: true })).toContain(
      '  curl -H "Authorization: Bearer $CARILLON_API_KEY" -X POST http://127.0.0.1:3000/schedules -d',
    );
  });

  it('names the roles of a process that has not all of them, and no curl where there is no API', () => {
    expect(banner({ ...facts, embedded: false, roles: ['worker'] })).toBe(`
  Carillon 1.2.3 (worker)

  Health http://127.0.0.1:3000/readyz
  Data   Postgres at DATABASE_URL

`);
  });
});
