/** Backups of a directory beside `tar | zstd`, and of a database beside `pg_dump`. */
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Bench, type Figures, openSession, us } from './measurement.ts';
import { type BenchNode, startDatabase, startNode } from './support/bench-service.ts';
import { startDumpSource } from './support/dump-source.ts';
import { hasPrograms } from './support/machine.ts';
import { call, runOnce, stepSeconds } from './support/run-call.ts';

const tarPeer = 'tar | zstd';
const dumpPeer = 'pg_dump -Fc';
const blockBytes = 2 ** 20;
const textFileBytes = 64 * 1024;

const figures = {
  storedPerSecond: { title: 'stored', unit: 'MiB/s' },
  checkedPerSecond: { title: 'stored and read back', unit: 'MiB/s' },
  rssMb: { title: 'RSS of the run, at its most', unit: 'MB' },
};

export const directoryBackupBench: Bench = {
  name: 'backup-directory',
  about:
    'A directory of 256 MiB, half of it one file of noise and half small files of text, to a file. "Stored" is the step perform-backup, on the disk when it ends, which the pipe does not wait for; "stored and read back" the whole run, the start of its process included, against the pipe and then `zstd -dc | tar -t`.',
  figures,
  goals: [{ figure: 'storedPerSecond', least: 0.8, against: tarPeer }],
  secondsAbout: 45,
  open({ isQuick }) {
    const mebibytes = isQuick ? 16 : 256;
    return openSession(async (opened) => {
      const { folder, node } = await openPlace(opened);
      const tree = join(folder, 'tree');
      await fillTree(tree, mebibytes);
      let turn = 0;
      const ours = async () => {
        turn += 1;
        const target = join(folder, `vault-${turn}`);
        await mkdir(target);
        const input = { backupType: 'full', source: urlOf(tree), targetLocation: urlOf(target) };
        const ran = await runOnce(node, `tree-${turn}`, { type: 'backup', input });
        await rm(target, { recursive: true });
        return backupFigures(mebibytes, ran);
      };
      const stored = join(folder, 'tree.tar.zst');
      const peer = async () => {
        const storing = await shell(`tar -C "$1" -cf - . | zstd -q -3 -f -o "$2"`, tree, stored);
        const checking = await shell(`zstd -q -dc "$2" | tar -tf - > /dev/null`, tree, stored);
        return { storedPerSecond: mebibytes / storing, checkedPerSecond: mebibytes / (storing + checking) };
      };
      const absent = hasPrograms('tar', 'zstd', 'bash') ? {} : { absent: 'there is no tar or no zstd here' };
      return [
        { name: us, round: ours },
        { name: tarPeer, round: peer, ...absent },
      ];
    });
  },
};

export const databaseBackupBench: Bench = {
  name: 'backup-database',
  about:
    'A database of one table with 400,000 rows, in the custom format of pg_dump, to a file; what is counted are the MiB of its table. "Stored" and "read back" as above, the latter by `pg_restore --list` for the peer.',
  figures,
  goals: [{ figure: 'storedPerSecond', least: 0.8, against: dumpPeer }],
  secondsAbout: 45,
  open: ({ isQuick }) =>
    openSession(async (opened) => {
      const source = await startDumpSource();
      if ('absent' in source) return [us, dumpPeer].map((name) => ({ name, absent: source.absent }));
      opened.defer(source.stop);
      const { folder, node } = await openPlace(opened, source.bin);
      const mebibytes = await source.fill(isQuick ? 10_000 : 400_000);
      const password = new URL(source.url).password;
      await call(node, '/secrets/source', { value: decodeURIComponent(password) }, 'PUT');
      const hidden = source.url.replace(`:${password}@`, `:\${secret:source}@`);
      let turn = 0;
      const ours = async () => {
        turn += 1;
        const target = join(folder, `vault-${turn}`);
        await mkdir(target);
        const input = { backupType: 'full', source: hidden, targetLocation: urlOf(target) };
        return backupFigures(mebibytes, await runOnce(node, `dump-${turn}`, { type: 'backup', input }));
      };
      const peer = async () => {
        const stored = join(folder, 'table.dump');
        const storing = await shell(`${source.bin}/pg_dump -Fc -f "$2" "$1"`, source.url, stored);
        const checking = await shell(`${source.bin}/pg_restore --list "$2" > /dev/null`, '', stored);
        return { storedPerSecond: mebibytes / storing, checkedPerSecond: mebibytes / (storing + checking) };
      };
      return [
        { name: us, round: ours },
        { name: dumpPeer, round: peer },
      ];
    }),
};

function backupFigures(mebibytes: number, ran: Awaited<ReturnType<typeof runOnce>>): Figures {
  return {
    storedPerSecond: mebibytes / stepSeconds(ran.run, 'perform-backup'),
    checkedPerSecond: mebibytes / ran.seconds,
    rssMb: ran.rssMb,
  };
}

/** A folder, and a node beside it. */
async function openPlace(
  opened: AsyncDisposableStack,
  pgBin?: string,
): Promise<{ folder: string; node: BenchNode }> {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-backup-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const database = await startDatabase();
  opened.defer(database.stop);
  const node = await startNode(database, pgBin === undefined ? {} : { CARILLON_PG_BIN: pgBin });
  opened.defer(node.stop);
  return { folder, node };
}

function urlOf(folder: string): string {
  return `${pathToFileURL(folder).href}/`;
}

async function fillTree(tree: string, mebibytes: number): Promise<void> {
  await mkdir(join(tree, 'text'), { recursive: true });
  const half = (mebibytes / 2) * 2 ** 20;
  const noise = await open(join(tree, 'noise'), 'w');
  const block = Buffer.alloc(blockBytes);
  for (let done = 0; done < half; done += blockBytes) await noise.write(randomFillSync(block));
  await noise.close();
  for (let file = 0; file * textFileBytes < half; file += 1) {
    let text = '';
    for (let line = 0; text.length < textFileBytes; line += 1)
      text += `${file}.${line} ${Math.imul(file * 7919 + line, 2_654_435_761) >>> 0} some words that come again and again\n`;
    await writeFile(join(tree, 'text', `${file}.txt`), text.slice(0, textFileBytes));
  }
}

/** Seconds that it took. A pipe fails when any part of it does. */
async function shell(script: string, ...args: string[]): Promise<number> {
  const startedAt = performance.now();
  const child = spawn('bash', ['-o', 'pipefail', '-c', script, 'bench', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${script} ended with ${code}`);
  return (performance.now() - startedAt) / 1000;
}
