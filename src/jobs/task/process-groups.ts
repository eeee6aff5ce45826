/**
 * Process groups that this process has started, and their end, also when this process is killed: a guard beside it
 * (group-guard.ts) hears of each group. The guard starts with the first group and ends with this process.
 *
 * What kill -9 leaves: a group that was started in the same instant, before the guard was told of it (one write to a
 * pipe), goes on.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('./group-guard.ts', import.meta.url));

export type ProcessGroups = {
  /** Before one is started: what takes its time is done then. */
  prepare(): void;
  /** From here on it ends with this process. */
  watch(group: number): void;
  /** It is over. */
  forget(group: number): void;
};

export function createProcessGroups(): ProcessGroups {
  const groups = new Set<number>();
  let guard: ChildProcess | null = null;

  function start(): ChildProcess {
    const child = spawn(process.execPath, ['--max-old-space-size=32', program], {
      stdio: ['pipe', 'ignore', 'ignore'],
      // A group of its own: what ends this process' group must not end the guard before it has done its work.
      detached: true,
      env: {},
    });
    const over = () => {
      if (guard === child) guard = null;
    };
    child.on('error', over);
    child.on('exit', over);
    child.stdin!.on('error', over);
    child.unref();
    (child.stdin as Socket).unref();
    for (const group of groups) child.stdin!.write(`+${group}\n`);
    return child;
  }

  return {
    prepare() {
      guard ??= start();
    },
    watch(group) {
      guard ??= start();
      groups.add(group);
      guard.stdin?.write(`+${group}\n`);
    },
    forget(group) {
      groups.delete(group);
      guard?.stdin?.write(`-${group}\n`);
    },
  };
}

/** False: there is no process left in the group. */
export function signalGroup(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-group, signal);
    return true;
  } catch {
    return false;
  }
}
