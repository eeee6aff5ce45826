/** The invariants about nominal times: 2, 3, 4, 6, 14 and 15 of the list in checker.ts. Pure. */
import { createDeadlines } from './deadlines.ts';
import type { Evidence, OutageRow, Rules, RunRow } from './evidence.ts';
import { isNamed, type Life, livesOf, mustTimes } from './oracle.ts';

const iso = (ms: number) => new Date(ms).toISOString();
/** Silences of dispatching up to this are only lateness; it notices and ends one within the other. */
const outageFromMs = 2000;
const pulseMs = 1500;

/** Rows that stand for a nominal time that a trigger named. */
function fires({ runs }: Evidence): RunRow[] {
  return runs.filter((run) => run.cause === 'schedule' || run.cause === 'catch_up');
}

export function firesOf(evidence: Evidence): Map<string, RunRow[]> {
  return Map.groupBy(fires(evidence), (run) => run.scheduleId);
}

/** 2: each due time has exactly one disposition. */
export function oneDisposition(evidence: Evidence, rules: Rules): string[] {
  const faults: string[] = [];
  const byId = firesOf(evidence);
  for (const life of livesOf(evidence.acks, rules.clockMarginMs).values()) {
    const rows = byId.get(life.id) ?? [];
    const singles = Map.groupBy(
      rows.filter((row) => row.missedUntilMs === null),
      (row) => row.scheduledForMs,
    );
    const ranges = rows.filter((row) => row.missedUntilMs !== null);
    for (const at of mustTimes(life, evidence.fromMs, evidence.untilMs)) {
      const covering = ranges.filter((row) => row.scheduledForMs <= at && at <= row.missedUntilMs!);
      const told = (singles.get(at)?.length ?? 0) + covering.length;
      if (told !== 1) faults.push(`${life.name} at ${iso(at)} has ${told} dispositions`);
    }
    for (const row of ranges) {
      let least = 0;
      let most = 0;
      for (let at = row.scheduledForMs; at <= row.missedUntilMs!; at += 1000) {
        const verdict = life.verdict(at);
        if (verdict === 'must') least += 1;
        if (verdict !== 'not') most += 1;
      }
      if (row.missedCount! < least || row.missedCount! > most) {
        faults.push(
          `${life.name} from ${iso(row.scheduledForMs)} counts ${row.missedCount}, not ${least} to ${most}`,
        );
      }
    }
  }
  return faults;
}

/** 3: no fire for a time that was not due. */
export function nothingUndue(evidence: Evidence, rules: Rules): string[] {
  return undue(evidence, rules, (life, at) => !life.inPause(at));
}

/** 14: no fire for a time inside a pause. */
export function nothingInPauses(evidence: Evidence, rules: Rules): string[] {
  return undue(evidence, rules, (life, at) => life.inPause(at));
}

function undue(evidence: Evidence, rules: Rules, counts: (life: Life, at: number) => boolean): string[] {
  const lives = livesOf(evidence.acks, rules.clockMarginMs);
  return fires(evidence).flatMap((run) => {
    const life = lives.get(run.scheduleId);
    // Its creation was never acknowledged.
    if (life === undefined) return [];
    if (life.verdict(run.scheduledForMs) !== 'not' || !counts(life, run.scheduledForMs)) return [];
    return [`${life.name} has a ${run.status} ${run.cause} fire for ${iso(run.scheduledForMs)}`];
  });
}

/** 4: never two runs for one (schedule, nominal time). */
export function neverTwo(evidence: Evidence): string[] {
  const groups = Map.groupBy(fires(evidence), (run) => `${run.scheduleId} ${run.scheduledForMs}`);
  return [...groups.values()]
    .filter((rows) => rows.length > 1)
    .map((rows) => `${rows[0]!.scheduleName} has ${rows.length} runs for ${iso(rows[0]!.scheduledForMs)}`);
}

/** 6: never before its time, and not late: ε while all is well, else within the recovery after the last fault. */
export function onTime(evidence: Evidence, rules: Rules): string[] {
  const faults: string[] = [];
  const deadlines = createDeadlines(evidence.faults);
  const lives = livesOf(evidence.acks, rules.clockMarginMs);
  const firstHits = new Map<string, number>();
  for (const hit of evidence.hits) {
    if (hit.phase === 'hit')
      firstHits.set(hit.runId, Math.min(hit.atMs, firstHits.get(hit.runId) ?? Infinity));
  }
  for (const [scheduleId, runs] of Map.groupBy(evidence.runs, (run) => run.scheduleId)) {
    const life = lives.get(scheduleId);
    const overlap = life?.definition.overlap;
    const ended = runs
      .filter((run) => run.finishedAtMs !== null && run.startedAtMs !== null)
      .map((run) => run.finishedAtMs!)
      .toSorted((a, b) => a - b);
    for (const run of runs) {
      const name = `${run.scheduleName}'s run ${run.id} of ${iso(run.dueAtMs)}`;
      const begun = [run.startedAtMs, firstHits.get(run.id)].filter((at) => at != null);
      for (const startMs of begun) {
        if (startMs < run.dueAtMs - rules.clockMarginMs) faults.push(`${name} began at ${iso(startMs)}`);
      }
      if (run.cause !== 'schedule' && run.cause !== 'catch_up') continue;
      // What a resume caught up is as late as the pause was long.
      const at = run.scheduledForMs;
      if (life?.caughtPauses.some((pause) => pause.fromMs <= at && at <= pause.untilMs)) continue;
      if (run.createdAtMs > deadlines.of(run.dueAtMs, rules.epsilonMs)) {
        faults.push(`${name} was recorded only at ${iso(run.createdAtMs)}`);
      } else if (run.startedAtMs !== null) {
        // What overlap held could not start before the one ahead of it had ended.
        const isHeld = overlap !== 'skip' && overlap !== 'allow';
        const freed = isHeld ? ended.findLast((at) => at <= run.startedAtMs!) : undefined;
        const from = Math.max(run.dueAtMs, freed ?? 0);
        if (run.startedAtMs > deadlines.of(from, rules.epsilonMs)) {
          faults.push(`${name} started only at ${iso(run.startedAtMs)}`);
        }
      }
    }
  }
  return faults;
}

/** 15: after an outage, and after a resume, as many runs as the catch-up policy says. */
export function rightCatchUp(evidence: Evidence, rules: Rules): string[] {
  const faults: string[] = [];
  const byId = firesOf(evidence);
  const lives = [...livesOf(evidence.acks, rules.clockMarginMs).values()];
  for (const fault of evidence.faults) {
    const silence = fault.nobodyDispatched;
    if (silence === undefined || silence.untilMs - silence.fromMs < outageFromMs + 2 * pulseMs) continue;
    const outage = evidence.outages.find(
      (each) => each.fromMs <= silence.fromMs + pulseMs && each.untilMs >= silence.untilMs - pulseMs,
    );
    if (outage === undefined) {
      faults.push(`no outage tells of ${fault.label} at ${iso(silence.fromMs)}`);
      continue;
    }
    for (const life of lives) {
      // An outage begins with the last sign of life; what was dispatched between that and the silence ran as it should.
      const rows = (byId.get(life.id) ?? []).filter(
        (row) => row.cause !== 'schedule' || row.createdAtMs >= silence.fromMs,
      );
      faults.push(...afterOutage(life, rows, outage, evidence));
    }
  }
  for (const life of lives) faults.push(...afterPauses(life, byId.get(life.id) ?? []));
  return faults;
}

function afterOutage(life: Life, rows: readonly RunRow[], outage: OutageRow, evidence: Evidence): string[] {
  // A command within the outage is a point of its own at which times are settled; two outages close by are caught up together.
  if (!life.quietIn(outage.fromMs - 1000, outage.untilMs + 10_000)) return [];
  const isNear = (each: OutageRow) =>
    each !== outage && each.fromMs < outage.untilMs + 20_000 && each.untilMs > outage.fromMs - 20_000;
  const caught = rows.filter((row) => row.dueAtMs >= outage.fromMs && row.dueAtMs <= outage.untilMs);
  if (caught.length === 0) return [];
  const missed = caught.filter((row) => row.status === 'missed');
  const others = caught.length - missed.length;
  const { catchUp } = life.definition;
  const where = `${life.name} (${catchUp}) after the outage from ${iso(outage.fromMs)}`;
  if (catchUp === 'none' && others > 0) return [`${where} made ${others} runs`];
  if (catchUp === 'all' && missed.length > 0) return [`${where} missed ${missed.length}`];
  if (catchUp === 'latest' && others > 1) return [`${where} made ${others} runs`];
  if (catchUp === 'latest' && others < 1 && !evidence.outages.some(isNear)) return [`${where} made no run`];
  if (catchUp === 'latest' && others === 1) {
    const latest = caught.find((row) => row.status !== 'missed')!;
    const newer = missed.some((row) => (row.missedUntilMs ?? row.scheduledForMs) > latest.scheduledForMs);
    if (newer) return [`${where} ran one that is not the latest`];
  }
  return [];
}

function afterPauses(life: Life, rows: readonly RunRow[]): string[] {
  return life.caughtPauses.flatMap((pause) => {
    if (pause.changed || pause.untilMs >= life.unknownFromMs) return [];
    const { definition } = life.turns.findLast((turn) => turn.untilMs < pause.untilMs - 1)?.state ?? life;
    // With jitter, what was due before the pause may be dropped in it.
    if (definition === null || definition.jitter !== null) return [];
    const within = rows.filter(
      (row) => row.scheduledForMs > pause.surelyFromMs && row.scheduledForMs < pause.surelyUntilMs,
    );
    const where = `${life.name} resumed (${pause.catchUp}) at ${iso(pause.untilMs)}`;
    const sure: number[] = [];
    for (let at = Math.ceil(pause.surelyFromMs / 1000) * 1000; at < pause.surelyUntilMs; at += 1000) {
      if (at > pause.surelyFromMs && isNamed(definition.trigger, at)) sure.push(at);
    }
    const told = (at: number) =>
      rows.some((row) => row.scheduledForMs <= at && at <= (row.missedUntilMs ?? row.scheduledForMs));
    if (pause.catchUp === 'none' && within.length > 0) return [`${where} made ${within.length} runs`];
    if (pause.catchUp === 'latest' && within.length > 1) return [`${where} made ${within.length} runs`];
    if (pause.catchUp === 'all') {
      const left = sure.filter((at) => !told(at)).length;
      if (left > 0) return [`${where} left ${left} of ${sure.length} times out`];
    }
    return [];
  });
}
