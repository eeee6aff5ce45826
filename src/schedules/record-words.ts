/** What the record of a nominal time says: the verdict, and its words. Pure. */
import { formatDuration } from '../duration.ts';
import type { Run } from '../runs/run.ts';
import type { ExplanationFacts } from './explanation.ts';
import { heldReason } from './overlap-turn.ts';
import { noted, pausedWords, type Said, type Tell, type Verdict } from './verdict.ts';

export function explainRecord(facts: ExplanationFacts, run: Run, tell: Tell): Said {
  switch (run.status) {
    case 'queued':
      return run.reason === heldReason ? held(facts, tell) : queued(run, facts, tell);
    case 'running':
      return { verdict: 'running', detail: `It runs since ${tell(run.startedAtMs!)}, as ${named(run)}.` };
    case 'retrying': {
      const next = tell(run.nextAttemptAtMs!);
      return { verdict: 'running', detail: `It has begun, as ${named(run)}, and goes on at ${next}.` };
    }
    case 'succeeded':
    case 'failed':
    case 'timed_out':
      return ran(run, facts, tell);
    case 'cancelled':
      return run.startedAtMs === null ? taken(facts, run, tell) : ran(run, facts, tell);
    case 'skipped':
      return taken(facts, run, tell);
    case 'missed':
      return missed(facts, run, tell);
  }
}

const endWords = {
  succeeded: 'succeeded',
  failed: 'failed',
  timed_out: 'timed out',
  cancelled: 'was cancelled',
} as const;

function named(run: Run): string {
  return `run ${run.id}`;
}

function ran(run: Run, { outage }: ExplanationFacts, tell: Tell): Said {
  const end = endWords[run.status as keyof typeof endWords];
  const error = run.error === null ? '' : `: ${run.error.type}, ${run.error.message}`;
  const late = run.cause === 'catch_up' ? ` It was made up for${caughtUp(outage, tell)}.` : '';
  const detail = `It ran at ${tell(run.startedAtMs!)}, as ${named(run)}, which ${end} at ${tell(run.finishedAtMs!)}${error}.${late}`;
  return { verdict: 'ran', detail };
}

function caughtUp(outage: ExplanationFacts['outage'], tell: Tell): string {
  return outage === null
    ? ', since its time had passed undispatched or in a pause'
    : `, since nobody dispatched from ${tell(outage.fromMs)} until ${tell(outage.untilMs)}`;
}

function held({ byRun }: ExplanationFacts, tell: Tell): Said {
  const what = byRun === null ? 'the runs before it' : `${named(byRun)}, ${activeSince(byRun, tell)},`;
  return { verdict: 'waiting', detail: `It waits until ${what} has ended, as \`overlap\` has it.` };
}

function activeSince(run: Run, tell: Tell): string {
  return run.startedAtMs === null
    ? `in the queue since ${tell(run.createdAtMs)}`
    : `begun at ${tell(run.startedAtMs)}`;
}

function queued(run: Run, { nowMs }: ExplanationFacts, tell: Tell): Said {
  const waits = formatDuration(Math.max(0, nowMs - run.createdAtMs));
  const detail = `It is in the task queue "${run.taskQueue}" since ${tell(run.createdAtMs)} (${waits}) and no worker has taken it yet.`;
  return { verdict: 'waiting', detail };
}

/** Recorded as skipped, or a run that was taken away before it started. */
function taken(facts: ExplanationFacts, run: Run, tell: Tell): Said {
  const { byRun, version, taking } = facts;
  const overlap = version === null ? '' : ` (\`overlap\` "${version.spec.overlap}")`;
  const before = run.status === 'skipped' ? 'while it waited out its jitter' : 'before a worker took it';
  const after = changeOf(taking, run, tell);
  switch (run.reason) {
    case 'overlap': {
      const why =
        byRun === null
          ? 'another run of the schedule was still active'
          : `${named(byRun)}, ${activeSince(byRun, tell)}, was still active`;
      return skipped(run, `${why}${overlap}`, tell);
    }
    case 'queue_full':
      return skipped(run, `as many runs as may were waiting already${overlap}`, tell);
    case 'superseded':
    case 'cancelled_by_overlap': {
      const by = byRun === null ? 'a newer one' : `${named(byRun)} of ${tell(byRun.scheduledForMs)}`;
      return skipped(run, `${by} took its place${overlap}`, tell);
    }
    case 'paused': {
      const pauses = taking?.pauses ?? [];
      const detail = `Its time had come, but ${before} the schedule was paused. ${pauses.length === 0 ? '' : pausedWords(pauses, tell)}`;
      return { verdict: 'paused', detail: detail.trimEnd(), pauses };
    }
    case 'rescheduled':
      return of(
        'withdrawn',
        `It was withdrawn ${before}, since the times of the schedule were changed${after}.`,
      );
    case 'stopped':
      return of('stopped', `It was taken away ${before}, since the schedule was stopped${after}.`);
    case 'schedule_deleted':
      return of('deleted', `It was taken away ${before}, since the schedule was deleted${after}.`);
    default:
      return of('cancelled', `As ${named(run)} it was cancelled before it started${noted(run.reason)}.`);
  }
}

function of(verdict: Verdict, detail: string): Said {
  return { verdict, detail };
}

function changeOf(taking: ExplanationFacts['taking'], run: Run, tell: Tell): string {
  return taking === null
    ? ` at ${tell(run.finishedAtMs!)}`
    : ` at ${tell(taking.atMs)} by ${taking.actor} (version ${taking.version})`;
}

function skipped(run: Run, why: string, tell: Tell): Said {
  return { verdict: 'skipped', detail: `It was skipped: ${why}.${together(run, tell)}` };
}

/** A record that stands for more than this time. */
function together(run: Run, tell: Tell): string {
  if (run.missed === null || run.missed.count === 1) return '';
  return ` It is one of ${run.missed.count} times, from ${tell(run.scheduledForMs)} to ${tell(run.missed.untilMs)}, which are on record as one.`;
}

function missed({ version, byRun, outage }: ExplanationFacts, run: Run, tell: Tell): Said {
  const down =
    outage === null
      ? 'Nobody dispatched then (the outage itself is not on record any more)'
      : `Nobody dispatched from ${tell(outage.fromMs)} until ${tell(outage.untilMs)}`;
  const window = version === null ? '' : ` of ${formatDuration(version.spec.catchUpWindowMs)}`;
  const policies: Record<string, string> = {
    catch_up_none: 'by `catchUp` "none" nothing is made up for',
    outside_catch_up_window: `it was older than the \`catchUpWindow\`${window}`,
    not_latest: `by \`catchUp\` "latest" only the newest runs${byRun === null ? '' : `, which is ${named(byRun)} of ${tell(byRun.scheduledForMs)}`}`,
  };
  const why = policies[run.reason ?? ''] ?? `it was not made up for (${run.reason})`;
  return { verdict: 'missed', detail: `${down}, and ${why}.${together(run, tell)}` };
}
