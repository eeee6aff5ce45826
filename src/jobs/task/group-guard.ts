/**
 * The program that ends what a killed worker leaves running: it is told of process groups on its standard input, `+1234`
 * when one begins and `-1234` when it is over. When the input ends, the worker is gone, and what is left is ended.
 */
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

const graceMs = 3_000;
const groups = new Set<number>();

// It outlives its worker on purpose, also when a whole terminal is told to end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

function end(signal: NodeJS.Signals): void {
  for (const group of groups) {
    try {
      process.kill(-group, signal);
    } catch {
      groups.delete(group);
    }
  }
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const group = Number(line.slice(1));
  if (!Number.isInteger(group) || group <= 1) return;
  if (line.startsWith('+')) groups.add(group);
  else groups.delete(group);
});
lines.on('close', async () => {
  end('SIGTERM');
  for (let waitedMs = 0; groups.size > 0 && waitedMs < graceMs; waitedMs += 100) {
    await delay(100);
    end('SIGTERM');
  }
  end('SIGKILL');
  process.exit(0);
});
