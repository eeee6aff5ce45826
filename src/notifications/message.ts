/** What a notification says: as JSON for webhooks, in words for mail. Never an input, an output or a secret. Pure. */
import { toIso } from '../clock.ts';
import type { Run } from '../runs/run.ts';
import type { NotifyEvent, NotifyKind } from '../schedules/notify.ts';

export const messageTypes: Readonly<Record<NotifyKind, string>> = {
  failure: 'run.failed',
  success: 'run.succeeded',
  recovered: 'run.recovered',
  missed: 'run.missed',
  paused: 'schedule.paused',
};

/** As Standard Webhooks has it: `type`, `timestamp`, `data`. */
export type Message = {
  type: string;
  /** When it happened. */
  timestamp: string;
  data: {
    schedule: { id: string; name: string };
    /** Null where there is none (yet). */
    run: MessageRun | null;
    /** The nominal time that this is about. */
    scheduledFor: string | null;
    /** Why it was paused. */
    note: string | null;
  };
};

export type MessageRun = {
  id: string;
  jobType: string;
  cause: string;
  status: string;
  reason: string | null;
  scheduledFor: string;
  startedAt: string | null;
  finishedAt: string | null;
  durationMs: number | null;
  attempt: number;
  maxAttempts: number;
  error: { type: string; message: string } | null;
  /** Of an entry for many missed times: how many, and the last of them. */
  missed: { count: number; until: string } | null;
};

/** `run`: as it is now; null when it is not there. */
export function messageOfEvent(event: NotifyEvent, run: Run | null): Message {
  const scheduledForMs = run?.scheduledForMs ?? event.scheduledForMs;
  return {
    type: messageTypes[event.kind],
    timestamp: toIso(event.atMs),
    data: {
      schedule: { id: event.scheduleId, name: event.scheduleName },
      run: run && presentRun(run),
      scheduledFor: scheduledForMs === null ? null : toIso(scheduledForMs),
      note: event.note,
    },
  };
}

function presentRun(run: Run): MessageRun {
  const { startedAtMs, finishedAtMs } = run;
  return {
    id: run.id,
    jobType: run.jobType,
    cause: run.cause,
    status: run.status,
    reason: run.reason,
    scheduledFor: toIso(run.scheduledForMs),
    startedAt: startedAtMs === null ? null : toIso(startedAtMs),
    finishedAt: finishedAtMs === null ? null : toIso(finishedAtMs),
    durationMs: startedAtMs === null || finishedAtMs === null ? null : Math.round(finishedAtMs - startedAtMs),
    attempt: run.attempt,
    maxAttempts: run.retry.maxAttempts,
    error: run.error && { type: run.error.type, message: run.error.message },
    missed: run.missed && { count: run.missed.count, until: toIso(run.missed.untilMs) },
  };
}

const titles: Readonly<Record<string, string>> = {
  'run.failed': 'failed',
  'run.succeeded': 'succeeded',
  'run.recovered': 'works again',
  'run.missed': 'missed its time',
  'schedule.paused': 'was paused',
};

export function inWords({ type, timestamp, data }: Message): { subject: string; text: string } {
  const { schedule, run, scheduledFor, note } = data;
  const title = `${schedule.name} ${titles[type] ?? type}`;
  const facts: [string, string | null | undefined][] = [
    ['Schedule', `${schedule.name} (${schedule.id})`],
    ['What', type],
    ['When', timestamp],
    ['Scheduled for', scheduledFor],
    ['Times', run?.missed && `${run.missed.count}, the last one ${run.missed.until}`],
    ['Run', run?.id],
    ['Status', run && [run.status, run.reason].filter(Boolean).join(': ')],
    ['Attempts', run?.startedAt && `${run.attempt} of at most ${run.maxAttempts}`],
    ['Took', run?.durationMs == null ? null : `${run.durationMs} ms`],
    ['Error', run?.error && `${run.error.type}: ${run.error.message}`],
    ['Note', note],
  ];
  const lines = facts.flatMap(([name, value]) => (value ? [`${name}: ${value}`] : []));
  return { subject: `[Carillon] ${title}`, text: `${lines.join('\n')}\n` };
}
