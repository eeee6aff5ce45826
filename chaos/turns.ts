/**
 * Where the machine had no turn to give: this very process did not get its timer, or a node waited for a core though it
 * could have run (which Linux counts). Whoever is late then is not to blame.
 */
import { readFile } from 'node:fs/promises';
import type { FaultWindow } from './evidence.ts';

const lookEveryMs = 100;
/** Of the harness beyond that. */
const stallMs = 300;
const nodesEveryMs = 500;
/** A node's main thread that waited for so much of the time between two looks. */
const waitedMsMin = 250;
const recoveryMs = 2000;

export type Turns = {
  windows: readonly FaultWindow[];
  /** Without a turn for the harness, or for a node. */
  totalMs(): number;
  stop(): void;
};

export function watchTurns(pids: () => readonly number[]): Turns {
  const windows: FaultWindow[] = [];
  const note = (fromMs: number, healedMs: number) => {
    const last = windows.at(-1);
    if (last !== undefined && fromMs <= last.healedMs) last.healedMs = Math.max(last.healedMs, healedMs);
    else windows.push({ label: 'stall of the machine', fromMs, healedMs, recoveryMs, isStall: true });
  };
  let lastMs = Date.now();
  const own = setInterval(() => {
    const nowMs = Date.now();
    if (nowMs - lastMs - lookEveryMs > stallMs) note(lastMs, nowMs);
    lastMs = nowMs;
  }, lookEveryMs);

  const waited = new Map<number, number>();
  let lookedMs = Date.now();
  const others = setInterval(async () => {
    const fromMs = lookedMs;
    const known = await Promise.all(pids().map(async (pid) => [pid, await readWaitedMs(pid)] as const));
    lookedMs = Date.now();
    for (const [pid, totalMs] of known) {
      if (totalMs === null) continue;
      if (totalMs - (waited.get(pid) ?? totalMs) > waitedMsMin) note(fromMs, lookedMs);
      waited.set(pid, totalMs);
    }
  }, nodesEveryMs);
  return {
    windows,
    totalMs: () => windows.reduce((sum, window) => sum + window.healedMs - window.fromMs, 0),
    stop() {
      clearInterval(own);
      clearInterval(others);
    },
  };
}

/** How long its main thread has waited for a core in all; null where the system does not say. */
async function readWaitedMs(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/schedstat`, 'utf8').catch(() => null);
  const waitedNs = text?.split(' ')[1];
  return waitedNs === undefined ? null : Number(waitedNs) / 1e6;
}
