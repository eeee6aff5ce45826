/**
 * Why a schedule ran, or did not, at an instant: from what is on record to a verdict and a sentence that a person
 * understands. Pure.
 *
 * A record of the instant says it all (`record-words.ts`). Without one the version tells that was in force: it had ended,
 * was paused, or has no such time. What is left is to come, is due and not dispatched, or has been forgotten.
 */
import { formatDuration } from '../duration.ts';
import type { Run } from '../runs/run.ts';
import type { Outage } from './due-times.ts';
import type { ExclusionRule } from './exclusion.ts';
import type { Place } from './nominal-time.ts';
import { explainRecord } from './record-words.ts';
import type { Pause } from './schedule.ts';
import type { ScheduleVersion } from './schedule-version.ts';
import { noted, pausedWords, type Said, type Tell, teller, type Verdict } from './verdict.ts';

export type ExplanationFacts = {
  atMs: number;
  nowMs: number;
  /** In force then; null before the first one on record. */
  version: ScheduleVersion | null;
  /** The oldest on record. */
  first: ScheduleVersion;
  /** What came after `version`; null when that is the present one. */
  following: ScheduleVersion | null;
  /** The change that took this time, or its run, away; null when no change did. */
  taking: ScheduleVersion | null;
  /** As it is now; null when it is deleted. */
  present: { nextRunAtMs: number | null; fault: string | null } | null;
  place: Place | { kind: 'fault'; why: string };
  /** With the jitter that it would have. */
  dueAtMs: number;
  /** The record of this nominal time, or of a range that has it. */
  run: Run | null;
  /** The run that was in its way, or took its place. */
  byRun: Run | null;
  outage: Outage | null;
  /** Whether later times, up to the following version, are on record. */
  laterOnRecord: boolean;
  /** Of a time to come: `maxRuns` will have been reached, if all times before it become runs. */
  usedUpBefore: boolean;
  previousMs: number | null;
  nextMs: number | null;
};

export type Explanation = {
  verdict: Verdict;
  detail: string;
  pauses: readonly Pause[];
  outage: Outage | null;
  rule: ExclusionRule | null;
  movedToMs: number | null;
  movedFromMs: number | null;
};

export function explain(facts: ExplanationFacts): Explanation {
  const tell = teller((facts.version ?? facts.first).spec.timezone);
  const { verdict, detail, ...rest } =
    facts.run === null ? withoutRecord(facts, tell) : explainRecord(facts, facts.run, tell);
  const { place, outage } = facts;
  const moved = place.kind === 'nominal' && place.movedFromMs !== null ? place.movedFromMs : null;
  const movedWords = moved === null ? '' : ` It stands for ${tell(moved)}, which is excluded and moved here.`;
  return {
    verdict,
    detail: detail + movedWords,
    pauses: rest.pauses ?? [],
    outage: verdict === 'missed' || verdict === 'waiting' || facts.run?.cause === 'catch_up' ? outage : null,
    rule: verdict === 'excluded' && place.kind === 'excluded' ? place.rule : null,
    movedToMs: verdict === 'excluded' && place.kind === 'excluded' ? place.movedToMs : null,
    movedFromMs: moved,
  };
}

function withoutRecord(facts: ExplanationFacts, tell: Tell): Said {
  const { version, first, atMs } = facts;
  if (version === null) return beforeAll(first, atMs, tell);
  const since = `since ${tell(version.atMs)} (version ${version.version}, by ${version.actor})`;
  if (version.action === 'deleted') return { verdict: 'deleted', detail: `It has been deleted ${since}.` };
  if (version.status === 'stopped') {
    return { verdict: 'stopped', detail: `It had been stopped for good ${since}${noted(version.note)}.` };
  }
  if (facts.place.kind === 'outside_window') return outsideWindow(version, tell);
  if (version.status === 'completed') {
    return { verdict: 'completed', detail: `It was completed ${since}: no time was left to fire.` };
  }
  switch (facts.place.kind) {
    case 'fault':
      return { verdict: 'unknown', detail: `Its times cannot be computed: ${facts.place.why}.` };
    case 'none':
      return notNominal(facts, version, tell);
    case 'excluded':
      return excluded(facts.place, version, tell);
    case 'nominal':
      return version.status === 'paused'
        ? { verdict: 'paused', detail: pausedWords(version.pauses, tell), pauses: version.pauses }
        : nominal(facts, version, tell);
  }
}

function beforeAll(first: ScheduleVersion, atMs: number, tell: Tell): Said {
  if (first.version === 1) {
    const detail = `The schedule was created at ${tell(first.atMs)} by ${first.actor}; only times after that are its own.`;
    return { verdict: 'before_creation', detail };
  }
  const detail = `What the schedule was at ${tell(atMs)} is not on record any more: versions and runs are kept for the retention, and its oldest version is of ${tell(first.atMs)}.`;
  return { verdict: 'unknown', detail };
}

function outsideWindow({ spec, version }: ScheduleVersion, tell: Tell): Said {
  const { startAtMs, endAtMs } = spec.timing;
  const bounds = [
    startAtMs === null ? '' : `from ${tell(startAtMs)}`,
    endAtMs === null ? '' : `until ${tell(endAtMs)}`,
  ].filter((text) => text !== '');
  const detail = `By version ${version} it fires only ${bounds.join(' ')} (\`startAt\`, \`endAt\`).`;
  return { verdict: 'outside_window', detail };
}

function notNominal({ previousMs, nextMs }: ExplanationFacts, version: ScheduleVersion, tell: Tell): Said {
  const nearest = [
    previousMs === null ? '' : `${tell(previousMs)} before`,
    nextMs === null ? '' : `${tell(nextMs)} after`,
  ].filter((text) => text !== '');
  const near =
    nearest.length === 0
      ? 'There is none next to it.'
      : `The nearest ${nearest.length === 1 ? 'is' : 'are'} ${nearest.join(' and ')} it.`;
  const held = version.status === 'paused' ? ` ${pausedWords(version.pauses, tell)}` : '';
  const delay =
    version.spec.timing.trigger.kind === 'delay' ? ' Those of a `delay` hang on the ends of its runs.' : '';
  const detail = `This is no nominal time of version ${version.version}.${delay} ${near}${held}`;
  return { verdict: 'not_a_nominal_time', detail };
}

function excluded(
  { rule, movedToMs }: Place & { kind: 'excluded' },
  { spec, version }: ScheduleVersion,
  tell: Tell,
): Said {
  const why =
    rule.list === 'exclude'
      ? `\`exclude\` of version ${version} leaves it out: ${JSON.stringify(rule.item)}`
      : `no item of \`only\` of version ${version} has it`;
  const policy = spec.timing.exclusions?.onExcluded ?? 'skip';
  const moved =
    movedToMs === null
      ? policy === 'skip'
        ? ''
        : ` \`onExcluded\` ("${policy}") found nowhere to move it to.`
      : ` \`onExcluded\` ("${policy}") moved it to ${tell(movedToMs)}.`;
  const item = rule.item?.startsWith('calendar:') ? ' (as the calendar is now)' : '';
  return { verdict: 'excluded', detail: `The trigger names this time, but ${why}${item}.${moved}` };
}

/** A time that an active schedule should have, and that nothing is on record of. */
function nominal(facts: ExplanationFacts, version: ScheduleVersion, tell: Tell): Said {
  const { atMs, nowMs, following, present } = facts;
  if (following !== null) return inBetween(facts, version, following, tell);
  if (atMs > nowMs) return toCome(facts, version, tell);
  const isOpen = present !== null && present.nextRunAtMs !== null && present.nextRunAtMs <= atMs;
  return isOpen ? due(facts, version, tell) : forgotten(version);
}

/** A version ended without it: by itself, which leaves out what is due and not dispatched, or long ago. */
function inBetween(
  facts: ExplanationFacts,
  version: ScheduleVersion,
  following: ScheduleVersion,
  tell: Tell,
): Said {
  if (!facts.laterOnRecord) {
    if (following.status === 'paused') {
      const detail = `It had not been dispatched when the pause began. ${pausedWords(following.pauses, tell)}`;
      return { verdict: 'paused', detail, pauses: following.pauses };
    }
    if (following.status === 'completed') {
      const detail = `It had had all its runs before this time, and was completed at ${tell(following.atMs)} (version ${following.version}).`;
      return { verdict: 'completed', detail };
    }
  }
  return forgotten(version);
}

function toCome(
  { dueAtMs, atMs, present, usedUpBefore }: ExplanationFacts,
  version: ScheduleVersion,
  tell: Tell,
): Said {
  if (usedUpBefore) {
    const detail = `By then it will have had all its runs (\`maxRuns\` ${version.spec.maxRuns}), unless some of the times before are skipped or missed.`;
    return { verdict: 'completed', detail };
  }
  if (present?.fault != null) return { verdict: 'unknown', detail: present.fault };
  const start = dueAtMs > atMs ? ` It will start at ${tell(dueAtMs)}, after its jitter.` : '';
  const detail = `It will run at ${tell(atMs)}, if nothing changes until then: version ${version.version} is in force.${start}`;
  return { verdict: 'will_run', detail };
}

function due(facts: ExplanationFacts, { spec }: ScheduleVersion, tell: Tell): Said {
  const { present, outage, dueAtMs, nowMs } = facts;
  if (present?.fault != null) return { verdict: 'unknown', detail: present.fault };
  if (dueAtMs > nowMs) {
    const detail = `Its time has come; it waits out its jitter (up to ${formatDuration(spec.jitterMs ?? 0)}) and is due at ${tell(dueAtMs)}.`;
    return { verdict: 'waiting', detail };
  }
  const silence =
    outage === null
      ? 'The dispatcher will take it in a moment.'
      : `Nobody has dispatched since ${tell(outage.fromMs)}; when somebody does, \`catchUp\` ("${spec.catchUp}") decides.`;
  return { verdict: 'waiting', detail: `It is due and has not been dispatched yet. ${silence}` };
}

function forgotten({ spec }: ScheduleVersion): Said {
  const calendars = [...(spec.timing.exclusions?.exclude ?? []), ...(spec.timing.exclusions?.only ?? [])];
  const other = calendars.some((item) => item.trim().startsWith('calendar:'))
    ? ', or a calendar was another one then'
    : '';
  const detail = `It was a nominal time, but what became of it is not on record any more: runs are pruned after the retention (CARILLON_RETENTION_DAYS, CARILLON_RETENTION_RUNS)${other}.`;
  return { verdict: 'unknown', detail };
}
