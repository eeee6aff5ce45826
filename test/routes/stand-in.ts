/**
 * The HTTP layer alone: the app over services that only record what they were asked. What the real services do with
 * it is tested elsewhere, against a real database.
 */
import type { FastifyInstance } from 'fastify';
import pino from 'pino';
import { type AppParts, buildApp } from '../../src/app.ts';
import type { QueueService } from '../../src/queues/queue-service.ts';
import type { Queue, QueueTask } from '../../src/queues/queue-task.ts';
import type { Page } from '../../src/runs/page.ts';
import type { Run, RunDetail, RunLogLine } from '../../src/runs/run.ts';
import type { RunService } from '../../src/runs/run-service.ts';
import type { ApplyService } from '../../src/schedules/apply-service.ts';
import type { BackfillView } from '../../src/schedules/backfill.ts';
import type { BackfillService } from '../../src/schedules/backfill-service.ts';
import type { CalendarService, CalendarView } from '../../src/schedules/calendar-service.ts';
import type { ExplainedInstant } from '../../src/schedules/explain-service.ts';
import type { GroupOutcome, GroupService } from '../../src/schedules/group-service.ts';
import type { HistoryService } from '../../src/schedules/history-service.ts';
import type { JobCatalog, JobTypeInfo } from '../../src/schedules/job-catalog.ts';
import type { OutlookService } from '../../src/schedules/outlook-service.ts';
import type { Schedule, ScheduleSpec, ScheduleView } from '../../src/schedules/schedule.ts';
import type { ScheduleService } from '../../src/schedules/schedule-service.ts';
import type { SecretService } from '../../src/secrets/secret-service.ts';

export const scheduleId = '018f2f6e-7a00-7000-8000-000000000001';
export const runId = '018f2f6e-7a00-7000-8000-0000000000aa';
export const nowMs = Date.parse('2027-01-15T12:00:00Z');

const retry = {
  maxAttempts: 3,
  initialIntervalMs: 5_000,
  maxIntervalMs: 60_000,
  backoffCoefficient: 2,
  nonRetryableErrorTypes: ['InvalidConfiguration'],
};

const echo: JobTypeInfo = {
  type: 'echo',
  description: 'Says it again.',
  taskQueue: 'default',
  timeoutMs: 30_000,
  retry,
  inputSchema: { $schema: 'x', type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
  outputSchema: { type: 'string' },
  example: { text: 'hello' },
};

export const jobCatalog: JobCatalog = {
  list: () => [echo],
  find: (type) => (type === echo.type ? echo : undefined),
  check: (_type, input) =>
    typeof (input as { text?: unknown }).text === 'string'
      ? []
      : [{ pointer: '/text', detail: '`input.text` is required.' }],
};

/** The least that a schedule needs, as a body. */
export const ping = { name: 'ping', every: '5s', job: { type: 'echo', input: { text: 'hi' } } };

const watermark = { scheduleId, watermark: '7', runId: null, updatedAtMs: nowMs };

export function specOf(changes: Partial<ScheduleSpec> = {}): ScheduleSpec {
  return {
    name: 'ping',
    description: '',
    labels: { team: 'data' },
    timing: { trigger: { kind: 'every', everyMs: 5_000, offsetMs: 0 }, startAtMs: null, endAtMs: null },
    timezone: 'UTC',
    dst: { gap: 'run', repeat: 'auto' },
    maxRuns: null,
    jitterMs: null,
    overlap: 'skip',
    catchUp: 'latest',
    catchUpWindowMs: 86_400_000,
    pauseAfterFailures: null,
    deleteAfterMs: null,
    job: { type: 'echo', input: { text: 'hi' }, taskQueue: 'default', timeoutMs: 30_000, retry },
    ...changes,
  };
}

export function viewOf(spec: ScheduleSpec = specOf(), changes: Partial<ScheduleView> = {}): ScheduleView {
  return {
    id: scheduleId,
    spec,
    status: 'active',
    note: null,
    version: 7,
    createdAtMs: nowMs - 60_000,
    updatedAtMs: nowMs,
    pausedAtMs: null,
    pauses: [],
    nextRunAtMs: nowMs + 5_000,
    counts: { fired: 4, succeeded: 2, failed: 1, skipped: 0, missed: 9 },
    activeRuns: 1,
    held: { all: 0, backfills: 0 },
    fault: null,
    upcomingMs: [nowMs + 5_000, nowMs + 10_000],
    lastRun: null,
    runningRuns: [],
    ...changes,
  };
}

export function runOf(changes: Partial<Run> = {}): Run {
  return {
    id: runId,
    scheduleId,
    scheduleName: 'ping',
    scheduleVersion: 7,
    jobType: 'echo',
    taskQueue: 'default',
    cause: 'schedule',
    scheduledForMs: nowMs,
    dueAtMs: nowMs + 250,
    createdAtMs: nowMs + 1,
    startedAtMs: nowMs + 300,
    finishedAtMs: nowMs + 1_550,
    status: 'succeeded',
    reason: null,
    attempt: 1,
    nextAttemptAtMs: null,
    input: { text: 'hi' },
    output: 'hi',
    error: null,
    timeoutMs: 30_000,
    retry,
    signal: null,
    backfillId: null,
    missed: null,
    ...changes,
  };
}

export type Call = [method: string, ...args: unknown[]];

/** The answers of the services; a test replaces those that it is about. */
export type Answers = {
  schedules: Partial<ScheduleService>;
  runs: Partial<RunService>;
  calendars: Partial<CalendarService>;
  outlook: Partial<OutlookService>;
  secrets: Partial<SecretService>;
} & Partial<Omit<AppParts, 'schedules' | 'runs' | 'calendars' | 'outlook' | 'secrets'>>;

export type StandIn = { app: FastifyInstance; calls: Call[] };

export async function standIn(answers: Partial<Answers> = {}): Promise<StandIn> {
  const calls: Call[] = [];
  const { schedules, runs, calendars, outlook, secrets, ...parts } = answers;
  const app = await buildApp({
    schedules: recording(calls, { ...scheduleAnswers, ...schedules } as ScheduleService),
    runs: recording(calls, { ...runAnswers, ...runs } as RunService),
    groups: recording(calls, groupAnswers),
    documents: recording(calls, documentAnswers),
    history: recording(calls, historyAnswers),
    explanations: { explain: async () => explained },
    calendars: recording(calls, { ...calendarAnswers, ...calendars } as CalendarService),
    backups: { list: async () => ({ items: [], next: null }) },
    backfills: recording(calls, backfillAnswers),
    queues: queueAnswers,
    notifications: { list: async () => ({ items: [], next: null }) },
    watermarks: { get: async () => watermark, set: async () => watermark },
    secrets: recording(calls, { ...secretAnswers, ...secrets } as SecretService),
    outlook: recording(calls, { ...outlookAnswers, ...outlook } as OutlookService),
    jobCatalog,
    health: { ready: async () => ({ ready: true, checks: { database: { ok: true, detail: 'reached' } } }) },
    metrics: { contentType: 'text/plain; version=0.0.4', render: async () => 'carillon_up 1\n' },
    clock: { now: () => nowMs, monotonic: () => 0 },
    apiKey: null,
    logger: pino({ level: 'silent' }),
    version: '9.9.9',
    serveApi: true,
    ...parts,
  });
  return { app, calls };
}

function recording<T extends object>(calls: Call[], service: T): T {
  return new Proxy(service, {
    get(target, name) {
      const method = Reflect.get(target, name);
      if (typeof method !== 'function') return method;
      return (...args: unknown[]) => {
        calls.push([String(name), ...args]);
        return method.apply(target, args);
      };
    },
  });
}

const scheduleAnswers: ScheduleService = {
  create: async (spec) => viewOf(spec),
  put: async (spec) => ({ created: true, schedule: viewOf(spec) }),
  get: async () => viewOf(),
  list: async () => ({ items: [viewOf()], next: null }),
  update: async (_ref, change) => viewOf(change(viewOf() as Schedule)),
  remove: async () => {},
  pause: async (_ref, note) => viewOf(specOf(), { status: 'paused', note }),
  resume: async () => viewOf(),
  stop: async (_ref, note) =>
    viewOf(specOf(), { status: 'stopped', note, nextRunAtMs: null, upcomingMs: [] }),
  reschedule: async (_ref, change) => viewOf({ ...specOf(), ...change(viewOf() as Schedule) }),
  rollback: async () => viewOf(),
  trigger: async () => runOf({ cause: 'manual', status: 'queued' }),
  upcoming: async () => ({ schedule: viewOf(), timesMs: [nowMs + 5_000] }),
};

const outcome: GroupOutcome = {
  matched: 0,
  changed: { count: 0, items: [] },
  unchanged: { count: 0, items: [] },
  refused: { count: 0, items: [] },
};

const groupAnswers: GroupService = {
  pause: async () => outcome,
  resume: async () => outcome,
  stop: async () => outcome,
};

const documentAnswers: ApplyService = { apply: async () => [], export: async () => [] };

const historyAnswers: HistoryService = {
  list: async () => ({ items: [], next: null }),
};

const explained: ExplainedInstant = {
  atMs: nowMs,
  scheduleId,
  scheduleName: 'ping',
  timezone: 'UTC',
  verdict: 'will_run',
  detail: 'It will run.',
  version: null,
  run: null,
  byRun: null,
  otherRuns: [],
  pauses: [],
  outage: null,
  rule: null,
  movedToMs: null,
  movedFromMs: null,
  previousMs: null,
  nextMs: nowMs + 5_000,
};

const calendarView: CalendarView = {
  id: '018f3c9e-7b00-7000-8000-00000000000c',
  name: 'holidays',
  description: '',
  spec: { timezone: 'UTC', entries: ['2026-12-25'], ical: null, untilMs: nowMs },
  version: 1,
  createdAtMs: nowMs,
  updatedAtMs: nowMs,
  usedBy: 0,
  events: 0,
  intervals: 1,
  firstMs: nowMs,
  lastMs: nowMs + 86_400_000,
};

const backfillView: BackfillView = {
  id: runId,
  scheduleId,
  scheduleName: 'ping',
  startMs: nowMs - 60_000,
  endMs: nowMs,
  overlap: 'allow',
  total: 0,
  createdAtMs: nowMs,
  cancelledAtMs: null,
  status: 'completed',
  progress: {
    held: 0,
    queued: 0,
    running: 0,
    retrying: 0,
    succeeded: 0,
    failed: 0,
    timedOut: 0,
    cancelled: 0,
    skipped: 0,
  },
};

const backfillAnswers: BackfillService = {
  start: async () => ({
    schedule: { id: scheduleId, name: 'ping' },
    overlap: 'allow',
    fires: [],
    backfill: backfillView,
  }),
  get: async () => backfillView,
  list: async () => ({ items: [backfillView], next: null }),
  cancel: async () => backfillView,
};

const calendarAnswers: CalendarService = {
  put: async ({ name }) => ({ created: true, calendar: { ...calendarView, name } }),
  get: async () => calendarView,
  list: async () => ({ items: [calendarView], next: null }),
  remove: async () => {},
  applyPass: async () => 0,
};

const secretView = {
  id: '018f3c9e-7b00-7000-8000-00000000000d',
  name: 'warehouse',
  description: '',
  version: 1,
  createdAtMs: nowMs,
  updatedAtMs: nowMs,
};

const secretAnswers: SecretService = {
  put: async (name) => ({ created: true, secret: { ...secretView, name } }),
  get: async () => secretView,
  list: async () => ({ items: [secretView], next: null }),
  remove: async () => {},
  check: async () => [],
  resolve: async (input) => ({ input, redact: (text) => text, values: new Map() }),
};

const outlookAnswers: OutlookService = {
  preview: async () => ({ timesMs: [nowMs + 5_000], warnings: [] }),
  forecast: async ({ fromMs, untilMs }) => ({
    fromMs: fromMs ?? nowMs,
    untilMs: untilMs ?? nowMs + 60_000,
    bucketMs: 60_000,
    buckets: [{ startMs: nowMs, fires: 3 }],
    truncated: false,
    estimatedFires: 0,
    schedulesCounted: 3,
    schedulesLeftOut: 0,
    schedulesUnknown: 0,
    warnings: [],
  }),
};

const queueTask: QueueTask = {
  id: runId,
  queue: 'mail',
  status: 'pending',
  priority: 0,
  dueAtMs: nowMs,
  attempt: 0,
  failures: 0,
  maxAttempts: 3,
  dedupeKey: null,
  runId: null,
  createdAtMs: nowMs,
  startedAtMs: null,
  finishedAtMs: null,
  input: { url: 'http://127.0.0.1:3000/' },
  output: null,
  error: null,
};
const queueView: Queue = {
  id: runId,
  name: 'mail',
  createdAtMs: nowMs,
  counts: { pending: 1, waiting: 0, running: 0, succeeded: 0, dead: 0, cancelled: 0 },
  oldestPendingMs: nowMs,
};

const queueAnswers: QueueService = {
  enqueue: async (_queue, tasks) =>
    tasks.map(({ dedupeKey }) => ({ id: runId, status: 'pending', dedupeKey, created: true })),
  list: async () => ({ items: [queueView], next: null }),
  get: async () => queueView,
  tasks: async () => ({ items: [queueTask], next: null }),
  task: async () => queueTask,
  cancel: async () => ({ ...queueTask, status: 'cancelled', finishedAtMs: nowMs }),
  retry: async () => queueTask,
  retryDead: async () => 1,
};

const runAnswers: RunService = {
  get: async (): Promise<RunDetail> => ({ ...runOf(), attempts: [], steps: [], progress: null }),
  list: async (): Promise<Page<Run>> => ({ items: [runOf()], next: null }),
  logs: async (): Promise<Page<RunLogLine>> => ({ items: [], next: null }),
  cancel: async () => runOf({ status: 'cancelled' }),
  retry: async () => runOf({ cause: 'retry', status: 'queued' }),
};
