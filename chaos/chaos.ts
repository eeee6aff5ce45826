/** One chaos run: does what it can to make the service lose or double something, and tells whether it did. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startChaosPostgres } from './chaos-postgres.ts';
import { checkAll, type Finding } from './checker.ts';
import { lookAtEnds, readDatabase, readReleases, readRest, turnBack } from './database-log.ts';
import type { Evidence, FaultWindow, Rules, SeenEnd } from './evidence.ts';
import type { FaultKind } from './fault-plan.ts';
import { createFaults, recoveryMs } from './faults.ts';
import { type Figures, figuresOf } from './figures.ts';
import { createFleet, graceSeconds } from './fleet.ts';
import { copyHouse, type Edit } from './house-copy.ts';
import { createLoad } from './load.ts';
import { type PlannedSchedule, planChaos } from './plan.ts';
import { startProxy } from './proxy.ts';
import { seeded } from './seeded.ts';
import { watchTurns } from './turns.ts';
import type { WitnessLine } from './witness.ts';

export type ChaosOptions = {
  seed: number;
  minutes: number;
  short: boolean;
  /** These faults alone; null: as the plan has them. */
  only?: readonly FaultKind[] | null;
  keep: boolean;
  /** No logs are left, also where an invariant is broken: it was meant to be. */
  discard?: boolean;
  /** Defects that are put into the copy of the service that is run. */
  edits: readonly Edit[];
  tell(line: string): void;
};

export type ChaosReport = {
  findings: Finding[];
  evidence: Evidence;
  untried: readonly string[];
  figures: Figures;
  /** The figures, each in a line. */
  lines: readonly string[];
  directory: string | null;
};

/** Promised is a second; the rest is for a machine of two cores on which everything runs, and others beside. */
export const rules: Rules = { clockMarginMs: 250, epsilonMs: 1500 };

const seenEveryMs = 2000;
/** A lost worker's runs are back after 45 s; then they take as long as they take. */
const restMsMax = 100_000;
const backlog = { schedules: 100, missedEach: 1000, everyMs: 60_000, prefix: 'backlog-' };
const fullDisk = /No space left|could not extend/i;
/** What no healthy program writes. */
const cry = /uncaught|unhandled|heap out of memory|"level":60|AssertionError/i;

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seed, short, only = null, tell } = options;
  const plan = planChaos({ ...options, only });
  const startedMs = Date.now();
  const directory = await mkdtemp(join(tmpdir(), 'carillon-chaos-'));
  // Started by root, the Postgres in it has an account of its own, which must get through.
  await chmod(directory, 0o711);
  const closing: (() => unknown)[] = [];
  try {
    const [entry, newerEntry] = await Promise.all([
      copyHouse(join(directory, 'house'), options.edits),
      copyHouse(join(directory, 'newer-house'), options.edits, { newer: true }),
    ]);
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
    const faults = createFaults({ fleet, postgres, newerEntry, chances: seeded(seed, 'moments'), tell });
    witness.onHit = () => faults.onHit?.();
    const load = createLoad({ nodes: fleet.nodes, witnessUrl: witness.url });
    const turns = watchTurns(() => fleet.nodes.flatMap(({ pid }) => pid ?? []));
    closing.push(turns.stop);
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
    if (!short && only === null) {
      const made = await makeBacklog();
      fromMs = made.fromMs;
      countsFromMs = made.nobodyDispatched!.untilMs;
      starting.push(made);
    } else if (short) {
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
    const updated = faults.windows.find((window) => window.label.startsWith('update'));
    const releases = updated && (await readReleases(postgres.url, updated.healedMs));
    const load1 = loadavg()[0]!;
    await fleet.stop();
    // A node that finds no database within its patience says so, fatally, and is started again: no cry.
    const cries: string[] = [];
    let fullDiskLines = 0;
    for (const { index } of fleet.nodes) {
      const text = await readFile(join(directory, `node-${index}.log`), 'utf8');
      fullDiskLines += text.split('\n').filter((line) => fullDisk.test(line)).length;
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
      faults: [...starting, ...faults.windows, ...turns.windows],
      ends: fleet.ends,
      cries,
      memory: fleet.memory,
      graceMs: graceSeconds * 1000,
    };
    const findings = checkAll(evidence, rules);
    const isKept =
      options.keep || (!options.discard && findings.some(({ faults: broken }) => broken.length > 0));
    const lostAnswers = proxies.reduce((sum, proxy) => sum + proxy.lostAnswers, 0);
    const untried = [...faults.untried];
    if (releases !== undefined && (releases.older === 0 || releases.newer === 0))
      untried.push(`two versions at work: after the update ${JSON.stringify(releases)} runs were theirs`);
    const tookMs = Date.now() - startedMs;
    const figures = figuresOf(evidence, rules, {
      load1,
      lostAnswers,
      stallMs: turns.totalMs(),
      answers: load.answers,
      tookMs,
      releases: releases ?? null,
      fullDiskLines,
    });
    if (isKept) {
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
      untried,
      figures,
      lines: [...figures].map(([label, text]) => `${label}: ${text}`),
      directory: isKept ? directory : null,
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
    if (!options.keep) {
      for (const house of ['house', 'newer-house'])
        await rm(join(directory, house), { recursive: true, force: true });
    }
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
