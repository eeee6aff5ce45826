/** What happened in a run, counted: for people, in the same words on the terminal and in docs/reliability.md. Pure. */
import { createDeadlines } from './deadlines.ts';
import type { Evidence, Rules } from './evidence.ts';

/** Label and text, in the order of the table. */
export type Figures = ReadonlyMap<string, string>;

export type Circumstances = {
  load1: number;
  lostAnswers: number;
  stallMs: number;
  answers: ReadonlyMap<string, number>;
  tookMs: number;
  /** Attempts that began after the first update, by the version of their worker; null: there was none. */
  releases: { older: number; newer: number } | null;
  fullDiskLines: number;
};

export function figuresOf(evidence: Evidence, rules: Rules, about: Circumstances): Figures {
  const { runs, hits, acks, attempts, faults } = evidence;
  const { answers, releases } = about;
  const deadlines = createDeadlines(faults);
  const loadFromMs = Math.min(evidence.untilMs, ...hits.map((hit) => hit.atMs));
  let healthyS = 0;
  for (let at = loadFromMs; at < evidence.untilMs; at += 1000)
    if (deadlines.isHealthy(at, at + 1000)) healthyS += 1;
  const late = lateness(evidence, rules);
  const percentile = (p: number) =>
    `${(late[Math.min(late.length - 1, Math.floor(late.length * p))] ?? 0).toFixed(0)} ms`;
  const loadS = Math.round((evidence.untilMs - loadFromMs) / 1000);
  return new Map([
    ['length', `${seconds(about.tookMs)}, ${loadS} s of it under load`],
    [
      'clients',
      `${grouped(acks.length)} changes acknowledged; answers: ${counted([...answers].toSorted(([a], [b]) => (a < b ? -1 : 1)))}`,
    ],
    ['runs', `${grouped(runs.length)} rows: ${byStatus(runs)}`],
    ['attempts that did not end their run', byStatus(attempts)],
    ['calls at the witness', grouped(hits.filter((hit) => hit.phase === 'hit').length)],
    ['answers lost on purpose', grouped(about.lostAnswers)],
    [
      'attempts after the first update',
      releases === null
        ? 'no update'
        : `${grouped(releases.older)} by the older, ${grouped(releases.newer)} by the newer version`,
    ],
    ['lines of nodes about a full disk', grouped(about.fullDiskLines)],
    [
      'free of faults and recoveries',
      `${healthyS} s${late.length === 0 ? '' : `, with ${late.length} starts: p50 ${percentile(0.5)}, p99 ${percentile(0.99)}, at most ${percentile(1)} late`}`,
    ],
    [
      'the machine',
      `load average ${about.load1.toFixed(1)}; no turn for the harness or a node in ${seconds(about.stallMs)}`,
    ],
  ]);
}

/** How late runs started that began while all was well, ascending. */
function lateness({ runs, acks, faults }: Evidence, rules: Rules): number[] {
  const deadlines = createDeadlines(faults);
  const overlaps = new Map(acks.map((ack) => [ack.scheduleId, ack.definition?.overlap ?? null]));
  for (const ack of acks) if (ack.definition) overlaps.set(ack.scheduleId, ack.definition.overlap);
  return (
    runs
      .filter((run) => run.cause === 'schedule' && run.startedAtMs !== null)
      .filter((run) => deadlines.isHealthy(run.dueAtMs, run.dueAtMs + rules.epsilonMs))
      // Not where runs wait for the ones before them.
      .filter((run) => ['skip', 'allow'].includes(overlaps.get(run.scheduleId) ?? ''))
      .map((run) => run.startedAtMs! - run.dueAtMs)
      .toSorted((a, b) => a - b)
  );
}

const grouped = (n: number) => n.toLocaleString('en-US');
const seconds = (ms: number) => `${(ms / 1000).toFixed(0)} s`;
const counted = (items: readonly (readonly [string, number])[]) =>
  items.map(([what, n]) => `${grouped(n)} ${what}`).join(', ') || 'none';

function byStatus(items: readonly { status: string }[]): string {
  const groups = [...Map.groupBy(items, (item) => item.status)];
  return counted(
    groups
      .map(([status, of]) => [status.replaceAll('_', ' '), of.length] as const)
      .toSorted((a, b) => b[1] - a[1]),
  );
}
