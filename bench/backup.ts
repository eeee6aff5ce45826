/** A large directory, backed up and read back: how fast, and in how much memory. */
import { randomFillSync } from 'node:crypto';
import { mkdir, mkdtemp, open, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pause, rssMb, startDatabase, startNode } from './support/bench-service.ts';

export type BackupResult = {
  mebibytes: number;
  seconds: number;
  /** Packed, stored, hashed twice and checked entry by entry. */
  mebibytesPerSecond: number;
  /** Of the process of the run, at its most. */
  rssMb: number;
  storedMb: number;
};

const blockBytes = 8 * 2 ** 20;

export async function backup(options: { mebibytes: number }): Promise<BackupResult> {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-backup-'));
  const database = await startDatabase();
  try {
    await mkdir(join(folder, 'tree'));
    await mkdir(join(folder, 'vault'));
    await fill(join(folder, 'tree', 'noise'), options.mebibytes);
    const node = await startNode(database.url);
    try {
      const url = (name: string) => `${pathToFileURL(join(folder, name)).href}/`;
      const input = { backupType: 'full', source: url('tree'), targetLocation: url('vault') };
      await call(`${node.address}/schedules`, {
        name: 'b',
        at: '2999-01-01T00:00:00Z',
        job: { type: 'backup', input },
      });
      const startedAt = performance.now();
      const { id } = await call(`${node.address}/schedules/b/trigger`, {});
      let most = 0;
      for (;;) {
        for (const pid of await childrenOf(node.pid)) most = Math.max(most, await rssMb(pid).catch(() => 0));
        const run = await call(`${node.address}/runs/${id}`);
        if (run.status === 'failed') throw new Error(JSON.stringify(run.error));
        if (run.status === 'succeeded') {
          const seconds = (performance.now() - startedAt) / 1000;
          const { size } = await stat(join(folder, 'tree', 'noise'));
          const mebibytes = size / 2 ** 20;
          const storedMb = run.output.backupSize / 2 ** 20;
          return { mebibytes, seconds, mebibytesPerSecond: mebibytes / seconds, rssMb: most, storedMb };
        }
        await pause(50);
      }
    } finally {
      await node.stop();
    }
  } finally {
    await database.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Noise, which nothing can compress. */
async function fill(path: string, mebibytes: number): Promise<void> {
  const file = await open(path, 'w');
  const block = Buffer.alloc(blockBytes);
  for (let done = 0; done < mebibytes * 2 ** 20; done += blockBytes) {
    randomFillSync(block);
    await file.write(block);
  }
  await file.close();
}

type RunAnswer = { id: string; status: string; error: unknown; output: { backupSize: number } };

async function call(url: string, body?: object): Promise<RunAnswer> {
  const response = await fetch(url, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as RunAnswer;
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

if (import.meta.main) {
  const [mebibytes = '2048'] = process.argv.slice(2);
  console.log(await backup({ mebibytes: Number(mebibytes) }));
}
