/**
 * A peer in a process of its own, as Carillon is in one. It gets ready, says so with a line of JSON (what the line holds is
 * its own affair), and then works until it is killed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export type PeerProgram<Told> = { pid: number; told: Told; stop(): Promise<void> };

/** `file` stands in `bench/peers`. It gets `args` as JSON, its one argument. */
export async function startPeer<Told>(file: string, args: object): Promise<PeerProgram<Told>> {
  const entry = fileURLToPath(new URL(`../peers/${file}`, import.meta.url));
  // The young generation that Carillon is started with is good for all that makes many short-lived objects.
  const child = spawn(process.execPath, ['--max-semi-space-size=16', entry, JSON.stringify(args)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const told = await Promise.race([
    firstObject(createInterface({ input: child.stdout })),
    ended.then(() => {
      throw new Error(`${file} ended before it was ready`);
    }),
  ]);
  return {
    pid: child.pid!,
    told: told as Told,
    async stop() {
      // Nothing is lost with it: what counts was read from its database.
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Peers write logs there too. */
async function firstObject(lines: Interface): Promise<unknown> {
  return await new Promise((resolve) => {
    lines.on('line', (line) => {
      if (line.startsWith('{')) resolve(JSON.parse(line));
    });
  });
}
