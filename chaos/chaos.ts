/**
 * `npm run chaos -- [--minutes 10] [--seed n] [--short] [--keep]`: does what it can to make the service lose or double something, and
 * tells whether it did. Exits with 1 when an invariant is broken; then, and with --keep, its logs are left where it says.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startChaosPostgres } from './chaos-postgres.ts';
import { checkAll, type Finding } from './checker.ts';
import { lookAtEnds, readDatabase, readRest, turnBack } from './database-log.ts';
import { createDeadlines } from './deadlines.ts';
import type { Evidence, FaultWindow, Rules, SeenEnd } from './evidence.ts';
import { createFaults, recoveryMs } from './faults.ts';
import { createFleet, graceSeconds } from './fleet.ts';
import { copyHouse, type Edit } from './house-copy.ts';
import { createLoad } from './load.ts';
import { mutations } from './mutations.ts';
import { type PlannedSchedule, planChaos } from './plan.ts';
import { startProxy } from './proxy.ts';
import { seeded } from './seeded.ts';
import type { WitnessLine } from './witness.ts';

export type ChaosOptions = {
  seed: number;
  minutes: number;
  short: boolean;
  keep: boolean;
  /** Defects that are put into the copy of the service that is run. */
  edits: readonly Edit[];
  tell(line: string): void;
};

export type ChaosReport = {
  findings: Finding[];
  evidence: Evidence;
  untried: readonly string[];
  lines: readonly string[];
  directory: string | null;
};

/** Promised is a second; the rest is for a machine of two cores on which everything runs, and others beside. */
export const rules: Rules = { clockMarginMs: 250, epsilonMs: 1500 };

const stallMs = 300;
const stallLookMs = 100;
const seenEveryMs = 2000;
/** A lost worker's runs are back after 45 s; then they take as long as they take. */
const restMsMax = 100_000;
const backlog = { schedules: 100, missedEach: 1000, everyMs: 60_000, prefix: 'backlog-' };
/** What no healthy program writes. */
const cry = /uncaught|unhandled|heap out of memory|"level":60|AssertionError/i;

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seed, short, tell } = options;
  const plan = planChaos(options);
  const directory = await mkdtemp(join(tmpdir(), 'carillon-chaos-'));
  // Started by root, the Postgres in it has an account of its own, which must get through.
  await chmod(directory, 0o711);
  const closing: (() => unknown)[] = [];
  try {
    const entry = await copyHouse(join(directory, 'house'), options.edits);
    const postgres = await startChaosPostgres(directory, !short);
    closing.push(() => postgres.close());
    const proxies = await Promise.all([0, 1, 2].map(() => startProxy(postgres.port)));
    closing.push(() => Promise.all(proxies.map((proxy) => proxy.close())));
    const witness = await startWitness(join(directory, 'witness.log'));
    closing.push(() => witness.stop());
    const fleet = createFleet({
      entry,
      directory,
      databaseUrl: postgres.url,
      proxies,
      preload: fileURLToPath(new URL('./node-preload.ts', import.meta.url)),
      blockMs: 60_000,
    });
    closing.push(() => fleet.stop());
    const faults = createFaults({ fleet, postgres, chances: seeded(seed, 'moments'), tell });
    witness.onHit = () => faults.onHit?.();
    const load = createLoad({ nodes: fleet.nodes, witnessUrl: witness.url });
    const stalls = watchStalls();
    closing.push(stalls.stop);
    const seen: SeenEnd[] = [];
    const looking = setInterval(
      () => void lookAtEnds(postgres.url).then((ends) => seen.push(...ends)),
      seenEveryMs,
    );
    closing.push(() => clearInterval(looking));

    let fromMs = Date.now();
    /** What was before is not of this run: it made the backlog. */
    let countsFromMs = fromMs;
    const starting: FaultWindow[] = [];
    await fleet.start();
    if (!short) {
      const made = await makeBacklog();
      fromMs = made.fromMs;
      countsFromMs = made.nobodyDispatched!.untilMs;
      starting.push(made);
    } else {
      // It shares its machine with other tests, so it does not judge how late is late while all is well.
      starting.push({ label: 'start', fromMs, healedMs: Date.now(), recoveryMs });
    }
    tell(
      `load for ${(plan.loadMs / 1000).toFixed(0)} s: ${plan.schedules.length} schedules, ${plan.calls.length} calls`,
    );
    const loadedAtMs = performance.now();
    await Promise.all([load.play(plan.schedules, plan.calls), faults.play(plan.faults), delay(plan.loadMs)]);
    tell(`load ended after ${((performance.now() - loadedAtMs) / 1000).toFixed(0)} s; all is paused`);
    const untilMs = Date.now();
    await load.pauseAll();
    const restFromMs = performance.now();
    for (;;) {
      const { active, doorbells } = await readRest(postgres.url);
      if ((active === 0 && doorbells === 0) || performance.now() - restFromMs > restMsMax) break;
      await delay(250);
    }
    tell(`at rest after ${((performance.now() - restFromMs) / 1000).toFixed(1)} s`);
    clearInterval(looking);
    const database = await readDatabase(postgres.url);
    const load1 = loadavg()[0]!;
    await fleet.stop();
    // A node that finds no database within its patience says so, fatally, and is started again: no cry.
    const cries: string[] = [];
    for (const { index } of fleet.nodes) {
      const text = await readFile(join(directory, `node-${index}.log`), 'utf8');
      cries.push(
        ...text
          .split('\n')
          .filter((line) => cry.test(line) && !line.includes('could not start'))
          .map((line) => `${index}: ${line.slice(0, 400)}`),
      );
    }
    const hits = (await readFile(join(directory, 'witness.log'), 'utf8').catch(() => ''))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as WitnessLine)
      .filter((hit) => hit.atMs >= countsFromMs);
    const evidence: Evidence = {
      fromMs,
      untilMs,
      acks: load.acks,
      surprises: load.surprises,
      hits,
      ...database,
      seen: [...seen, ...load.seen].filter((end) => end.seenMs >= countsFromMs),
      faults: [...starting, ...faults.windows, ...stalls.windows],
      ends: fleet.ends,
      cries,
      memory: fleet.memory,
      graceMs: graceSeconds * 1000,
    };
    const findings = checkAll(evidence, rules);
    const isBroken = findings.some(({ faults: broken }) => broken.length > 0);
    const lostAnswers = proxies.reduce((sum, proxy) => sum + proxy.lostAnswers, 0);
    const lines = describe(evidence, {
      load1,
      lostAnswers,
      stallMs: stalls.totalMs(),
      answers: load.answers,
    });
    if (isBroken || options.keep) {
      await writeFile(join(directory, 'evidence.json'), JSON.stringify(evidence));
      await writeFile(
        join(directory, 'findings.txt'),
        findings
          .flatMap(({ invariant, faults: broken }) => broken.map((line) => `${invariant.number} ${line}`))
          .join('\n'),
      );
    }
    return {
      findings,
      evidence,
      untried: faults.untried,
      lines,
      directory: isBroken || options.keep ? directory : null,
    };

    /** Nobody was there for most of a day: 100,000 times are due when the nodes come back. */
    async function makeBacklog(): Promise<FaultWindow> {
      const overlap = 'skip';
      const definitions = Array.from({ length: backlog.schedules }, (_, n): PlannedSchedule => {
        const catchUp = (['none', 'latest', 'all'] as const)[n % 3]!;
        const base = plan.schedules[0]!;
        const job = { ...base.job, type: 'task' as const, delayMs: 5, failsOneIn: 0, timeout: '40s' };
        const name = `${backlog.prefix}${n}`;
        return { name, trigger: { every: '60s' }, overlap, catchUp, jitter: null, job, createAtMs: 0 };
      });
      await load.play(definitions, []);
      for (const node of fleet.nodes) node.staysDown = true;
      await Promise.all(fleet.nodes.map((node) => node.end('SIGTERM')));
      const backMs = Date.now() - backlog.missedEach * backlog.everyMs;
      await turnBack(postgres.url, backlog.prefix, backMs, backlog.everyMs);
      load.turnBack(backMs);
      for (const node of fleet.nodes) node.staysDown = false;
      const upMs = Date.now();
      await fleet.start();
      const healedMs = Date.now();
      tell(`${backlog.schedules * backlog.missedEach} missed times at the start`);
      const nobodyDispatched = { fromMs: backMs, untilMs: upMs };
      return { label: '100,000 missed times', fromMs: backMs, healedMs, recoveryMs, nobodyDispatched };
    }
  } finally {
    for (const close of closing.reverse()) await close();
    if (!options.keep) await rm(join(directory, 'house'), { recursive: true, force: true });
    await rm(join(directory, 'disk'), { recursive: true, force: true });
    await rm(join(directory, 'compile-cache'), { recursive: true, force: true });
    // What is left when all went well is nothing.
    if (
      !(await readFile(join(directory, 'evidence.json')).then(
        () => true,
        () => false,
      ))
    ) {
      await rm(directory, { recursive: true, force: true });
    }
  }
}

async function startWitness(file: string) {
  const child = spawn(process.execPath, [fileURLToPath(new URL('./witness.ts', import.meta.url)), file], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const [url] = (await once(lines, 'line')) as [string];
  const witness = {
    url,
    onHit: () => {},
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
  lines.on('line', () => witness.onHit());
  return witness;
}

/** Where this very process had no turn, the machine had none to give: whoever is late then is not to blame. */
function watchStalls() {
  const windows: FaultWindow[] = [];
  let lastMs = Date.now();
  const timer = setInterval(() => {
    const nowMs = Date.now();
    const lostMs = nowMs - lastMs - stallLookMs;
    if (lostMs > stallMs)
      windows.push({ label: 'stall of the machine', fromMs: lastMs, healedMs: nowMs, recoveryMs: 2000 });
    lastMs = nowMs;
  }, stallLookMs);
  return {
    windows,
    totalMs: () => windows.reduce((sum, window) => sum + window.healedMs - window.fromMs, 0),
    stop: () => clearInterval(timer),
  };
}

type Circumstances = {
  load1: number;
  lostAnswers: number;
  stallMs: number;
  answers: ReadonlyMap<string, number>;
};

function describe(
  evidence: Evidence,
  { load1, lostAnswers, stallMs: stalled, answers }: Circumstances,
): string[] {
  const { runs, hits, acks, attempts, faults } = evidence;
  const deadlines = createDeadlines(faults);
  const overlaps = new Map(
    acks.map((ack) => [ack.scheduleId, ack.definition?.overlap]).filter(([, overlap]) => overlap) as [
      string,
      string,
    ][],
  );
  const late = runs
    .filter((run) => run.cause === 'schedule' && run.startedAtMs !== null)
    .filter((run) => deadlines.isHealthy(run.dueAtMs, run.dueAtMs + rules.epsilonMs))
    // Not where runs wait for the ones before them.
    .filter((run) => ['skip', 'allow'].includes(overlaps.get(run.scheduleId) ?? ''))
    .map((run) => run.startedAtMs! - run.dueAtMs)
    .toSorted((a, b) => a - b);
  const loadFromMs = Math.min(...evidence.hits.map((hit) => hit.atMs));
  let healthyS = 0;
  for (let at = loadFromMs; at < evidence.untilMs; at += 1000)
    if (deadlines.isHealthy(at, at + 1000)) healthyS += 1;
  const percentile = (p: number) =>
    (late[Math.min(late.length - 1, Math.floor(late.length * p))] ?? Number.NaN).toFixed(0);
  const statuses = [...Map.groupBy(runs, (run) => run.status)].map(
    ([status, of]) => `${of.length} ${status}`,
  );
  const ways = [...Map.groupBy(attempts, (each) => each.status)].map(
    ([status, of]) => `${of.length} ${status}`,
  );
  return [
    `${acks.length} changes acknowledged (answers: ${[...answers].map(([status, n]) => `${n} × ${status}`).join(', ')})`,
    `${runs.length} rows: ${statuses.join(', ')}; attempts that did not end their run: ${ways.join(', ') || 'none'}`,
    `${hits.filter((hit) => hit.phase === 'hit').length} hits at the witness; ${lostAnswers} answers of commits lost`,
    `${healthyS} of ${Math.round((evidence.untilMs - loadFromMs) / 1000)} s were free of faults and recoveries; lateness in them, ${late.length} starts: p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms, max ${percentile(1)} ms`,
    `machine: load average ${load1.toFixed(1)}, ${(stalled / 1000).toFixed(1)} s without a turn for the harness`,
  ];
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '10' },
      seed: { type: 'string' },
      short: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      mutation: { type: 'string' },
    },
  });
  const seed = values.seed === undefined ? Math.floor(Math.random() * 1e6) : Number(values.seed);
  const minutes = Number(values.minutes);
  if (!Number.isInteger(seed) || !(minutes > 0))
    throw new Error('--seed is a whole number, --minutes a number above 0');
  const edits = values.mutation === undefined ? [] : mutations[values.mutation];
  if (edits === undefined) throw new Error(`--mutation is one of ${Object.keys(mutations).join(', ')}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
  console.log(`seed ${seed}${values.short ? ', short' : `, ${minutes} minutes`}`);
  const startedAtMs = performance.now();
  const tell = (line: string) =>
    console.log(`${((performance.now() - startedAtMs) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  const report = await runChaos({ seed, minutes, short: values.short, keep: values.keep, edits, tell });
  for (const line of report.lines) console.log(line);
  for (const line of report.untried) console.log(`not tried: ${line}`);
  for (const { invariant, faults } of report.findings) {
    console.log(
      `${faults.length === 0 ? 'holds ' : 'BROKEN'} ${String(invariant.number).padStart(2)} ${invariant.promise}`,
    );
    for (const line of faults.slice(0, 10)) console.log(`          ${line}`);
    if (faults.length > 10) console.log(`          and ${faults.length - 10} more`);
  }
  if (report.directory !== null) console.log(`logs: ${report.directory}`);
  process.exitCode = report.findings.some(({ faults }) => faults.length > 0) ? 1 : 0;
}
