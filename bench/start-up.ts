/** From the start of the process until it is ready, on a new data directory and on a used one; and what it holds at rest. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bench, sessionOf, us } from './measurement.ts';
import { cpuMs, pause, rssMb, shippedEnvironment, startFlags } from './support/bench-service.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const pollMs = 10;
const patienceMs = 60_000;

export const startUpBench: Bench = {
  name: 'start-up',
  about:
    'The program that `npm start` runs, with its own Postgres (npm itself comes on top): from its start until /readyz says yes, on a new data directory, then again on the same one; and its resident memory 3 s after that, Postgres not counted.',
  figures: {
    newSeconds: { title: 'ready, new data directory', unit: 's' },
    usedSeconds: { title: 'ready, used data directory', unit: 's' },
    usedCpuSeconds: { title: 'its CPU time until then, used data directory', unit: 's' },
    rssMb: { title: 'RSS at rest', unit: 'MB' },
  },
  goals: [
    { figure: 'newSeconds', most: 4 },
    { figure: 'usedSeconds', most: 2 },
  ],
  secondsAbout: 50,
  async open() {
    const round = async () => {
      const dataDir = await mkdtemp(join(tmpdir(), 'carillon-bench-start-'));
      try {
        const first = await startOnce(dataDir, 0);
        const second = await startOnce(dataDir, 3000);
        return {
          newSeconds: first.seconds,
          usedSeconds: second.seconds,
          usedCpuSeconds: second.cpuSeconds,
          rssMb: second.rssMb,
        };
      } finally {
        await rm(dataDir, { recursive: true, force: true });
      }
    };
    return sessionOf({ name: us, round });
  },
};

type Start = { seconds: number; cpuSeconds: number; rssMb: number };

async function startOnce(dataDir: string, restMs: number): Promise<Start> {
  const port = await freePort();
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...startFlags, main], {
    env: { ...shippedEnvironment(), PORT: String(port), DATA_DIR: dataDir, LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(child, 'exit');
  try {
    while (!(await isReady(port))) {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode} before it was ready`);
      if (performance.now() - startedAt > patienceMs) throw new Error('it was not ready within a minute');
      await pause(pollMs);
    }
    const seconds = (performance.now() - startedAt) / 1000;
    const cpuSeconds = (await cpuMs(child.pid!)) / 1000;
    await pause(restMs);
    return { seconds, cpuSeconds, rssMb: await rssMb(child.pid!) };
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

async function isReady(port: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(2000) });
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
