/** The invariants about what was acknowledged and about the processes: 1 and 17 of the list in checker.ts. Pure. */
import { createDeadlines } from './deadlines.ts';
import type { Ack, Evidence, MemorySample, ScheduleRow } from './evidence.ts';
import type { PlannedTrigger } from './plan.ts';

const iso = (ms: number) => new Date(ms).toISOString();
/** What a process may take to stop beyond the grace of its runs, as main.ts says, and for a busy machine. */
const stopSlackMs = 20_000;
/** Memory is looked at from so much of a process' life on. */
const memoryFromMs = 120_000;
const memoryGrowthMb = 80;
const memoryGrowthRatio = 1.4;

/** 1: what was acknowledged is there at the end. */
export function acknowledgedIsThere({ acks, runs, schedules, surprises }: Evidence): string[] {
  const faults = surprises.map(({ atMs, what }) => `at ${iso(atMs)}: ${what}`);
  const rows = new Map(schedules.map((row) => [row.id, row]));
  const runIds = new Set(runs.map((run) => run.id));
  for (const own of Map.groupBy(acks, (ack) => ack.scheduleId).values()) {
    const changes = own.filter((ack) => ack.kind !== 'trigger' && ack.kind !== 'cancel');
    if (changes.every((ack) => ack.ackMs !== null)) faults.push(...lastWord(changes, rows));
  }
  for (const ack of acks) {
    if (ack.kind !== 'trigger' || ack.ackMs === null || runIds.has(ack.runId!)) continue;
    faults.push(`${ack.name}'s run ${ack.runId}, triggered at ${iso(ack.ackMs)}, is gone`);
  }
  return faults;
}

function lastWord(changes: readonly Ack[], rows: ReadonlyMap<string, ScheduleRow>): string[] {
  const sorted = changes.toSorted((a, b) => a.ackMs! - b.ackMs!);
  const first = sorted[0];
  if (first === undefined) return [];
  const row = rows.get(first.scheduleId);
  const isDeleted = sorted.some((ack) => ack.kind === 'delete');
  if (isDeleted) return row === undefined ? [] : [`${first.name} was deleted and is there`];
  if (row === undefined) return [`${first.name} (${first.scheduleId}) is gone`];
  const faults: string[] = [];
  const status = sorted.findLast((ack) => ack.kind === 'pause' || ack.kind === 'resume')?.kind === 'pause';
  if (row.status !== (status ? 'paused' : 'active')) faults.push(`${first.name} is ${row.status}`);
  const { definition } = sorted.findLast((ack) => ack.definition !== undefined)!;
  if (!isTrigger(row.trigger, definition!.trigger)) {
    faults.push(
      `${first.name} has the trigger ${JSON.stringify(row.trigger)}, not ${JSON.stringify(definition!.trigger)}`,
    );
  }
  const label = sorted.findLast((ack) => ack.label !== undefined)?.label ?? null;
  if (row.label !== label) faults.push(`${first.name} has the label ${row.label}, not ${label}`);
  const version = Math.max(...sorted.map((ack) => ack.version ?? 0));
  if (row.version < version)
    faults.push(`${first.name} is at version ${row.version}; ${version} was acknowledged`);
  return faults;
}

function isTrigger(stored: ScheduleRow['trigger'], planned: PlannedTrigger): boolean {
  if ('cron' in planned) return stored.kind === 'cron' && stored.expressions?.join() === planned.cron;
  const ms = (text: string) => Number.parseInt(text, 10) * 1000;
  return (
    stored.kind === 'every' &&
    stored.everyMs === ms(planned.every) &&
    stored.offsetMs === ms(planned.offset ?? '0')
  );
}

/** 17: no process ended by itself or cried, and none grew without end. */
export function processesAreWell({ ends, cries, memory, graceMs, faults: windows }: Evidence): string[] {
  const faults = cries.map((line) => `a node wrote: ${line}`);
  const deadlines = createDeadlines(windows.filter((window) => window.isStall === true));
  for (const { node, pid, code, signal, atMs, asked, starting } of ends) {
    const who = `node ${node} (pid ${pid})`;
    const how = signal ?? `code ${code}`;
    // One that finds no database when it starts says so and ends.
    if (asked === null) {
      if (!starting) faults.push(`${who} ended by itself at ${iso(atMs)}: ${how}`);
    } else if (asked.signal === 'SIGTERM') {
      const tookMs = atMs - asked.atMs;
      if (atMs > deadlines.of(asked.atMs, graceMs + stopSlackMs))
        faults.push(`${who} took ${tookMs} ms to stop`);
      // One that had just been started had not learnt yet what the signal means.
      if (signal !== null && !starting) faults.push(`${who} did not stop in order: ${how}`);
    }
  }
  for (const [pid, samples] of Map.groupBy(memory, (sample) => sample.pid)) {
    const growth = grown(samples);
    if (growth !== null) faults.push(`process ${pid} grew from ${growth.from} to ${growth.to} MB`);
  }
  return faults;
}

/** The last third of a life against the second; the first is for warming up. */
function grown(samples: readonly MemorySample[]): { from: number; to: number } | null {
  const sorted = samples.toSorted((a, b) => a.atMs - b.atMs);
  if (sorted.length < 9 || sorted.at(-1)!.atMs - sorted[0]!.atMs < memoryFromMs) return null;
  const third = Math.floor(sorted.length / 3);
  const from = median(sorted.slice(third, 2 * third));
  const to = median(sorted.slice(2 * third));
  return to > from * memoryGrowthRatio && to > from + memoryGrowthMb ? { from, to } : null;
}

function median(samples: readonly MemorySample[]): number {
  return samples.map((sample) => sample.rssMb).toSorted((a, b) => a - b)[Math.floor(samples.length / 2)]!;
}
