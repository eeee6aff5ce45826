/** Claiming due schedules and recording their fires: the statements of the dispatch transaction. */
import { toIso } from '../clock.ts';
import type { DueSchedule } from '../schedules/due-times.ts';
import type { PlannedFire, PlannedState } from '../schedules/fire-plan.ts';
import type { CatchUpPolicy, OverlapPolicy } from '../schedules/schedule.ts';
import { arrayParam } from './array-literal.ts';
import { type Db, executePrepared, type Tx } from './client.ts';
import { sql } from './drizzle.ts';
import { epochMs } from './epoch-ms.ts';
import { toJsonb } from './json.ts';
import { tellMissedRuns } from './notify-event-store.ts';
import { replaceActive } from './overlap-store.ts';
import { ring } from './queue.ts';
import { toTiming } from './schedule-row.ts';

type HotRow = {
  id: string;
  next_run_at: number;
  active_runs: number;
  held_runs: number;
  held_backfills: number;
  fired: number;
};

type DefinitionRow = {
  id: string;
  name: string;
  trigger: unknown;
  timezone: string;
  dst: unknown;
  start_at: number | null;
  end_at: number | null;
  exclusions: unknown;
  max_runs: number | null;
  jitter_ms: number | null;
  overlap: string;
  catch_up: string;
  catch_up_window_ms: number;
};

/** Epoch milliseconds, which cost less to send in bulk than texts, as an instant. */
const instant = (column: string) => sql.raw(`to_timestamp(${column} / 1000)`);

/**
 * Locks up to `limit` schedules that are due at `nowMs`, longest due first, or with `newest` those that came due last.
 * Rows that another dispatcher (or a command, or an ending run) holds are passed over; they are seen in the next pass.
 */
export async function claimDue(
  tx: Tx,
  nowMs: number,
  limit: number,
  first: 'oldest' | 'newest' = 'oldest',
): Promise<DueSchedule[]> {
  const locked = await executePrepared<HotRow>(
    tx,
    `claim_due_${first}`,
    sql`
    select schedule_id as id, ${epochMs('next_run_at')} as next_run_at, active_runs, held_runs, held_backfills,
      fired::float8 as fired
    from schedule_states where due_at <= ${toIso(nowMs)}
    order by due_at ${first === 'oldest' ? sql`asc` : sql`desc`} limit ${limit}
    for update skip locked`,
  );
  if (locked.rows.length === 0) return [];
  // Read after the locks were taken, in a statement of its own: with the snapshot of the one above, a schedule that
  // was rescheduled at that moment would come with its new time and its old trigger.
  const { rows } = await executePrepared<DefinitionRow>(
    tx,
    'read_due',
    sql`
    select id, name, trigger, timezone, dst, ${epochMs('start_at')} as start_at, ${epochMs('end_at')} as end_at,
      exclusions, max_runs, jitter_ms::float8 as jitter_ms, overlap, catch_up, catch_up_window_ms::float8 as catch_up_window_ms
    from schedules where id = any(${arrayParam(locked.rows.map((row) => row.id))}::uuid[])`,
  );
  const definitions = new Map(rows.map((row) => [row.id, row]));
  return locked.rows.map((hot) => {
    const row = definitions.get(hot.id)!;
    return {
      id: row.id,
      name: row.name,
      timing: toTiming({ ...row, startAtMs: row.start_at, endAtMs: row.end_at }),
      jitterMs: row.jitter_ms,
      maxRuns: row.max_runs,
      overlap: row.overlap as OverlapPolicy,
      catchUp: row.catch_up as CatchUpPolicy,
      catchUpWindowMs: row.catch_up_window_ms,
      nextRunAtMs: hot.next_run_at,
      activeRuns: hot.active_runs,
      held: { all: hot.held_runs, backfills: hot.held_backfills },
      fired: hot.fired,
    };
  });
}

/**
 * A fire with an input of its own, as `trigger` makes it; null: the schedule's. `inPause`: its time was held back on
 * purpose, so that it cannot be late.
 */
export type RecordableFire = PlannedFire & { input?: unknown; backfillId?: string; inPause?: boolean };

/** `started` are in the queue, `held` are not yet. */
export type RecordedFires = { started: number; held: number; skipped: number; missed: number };

export type RecordablePlan = {
  fires: readonly RecordableFire[];
  states: readonly PlannedState[];
  /** Those of the fires that take the place of what their schedule has active and held. */
  replacing?: readonly string[];
};

/**
 * Inserts the fires, rings for those that start, counts them, and moves the schedules on: one statement. The
 * schedules must be locked by this transaction, and no two of the fires be the same run. A fire that is there already (same
 * run id) is passed over and counts for nothing. A state that is absent from `states` keeps its next time. What is replaced is ended or told after that.
 */
export async function recordFires(
  tx: Tx,
  plan: RecordablePlan,
  nowMs: number,
  served: readonly string[],
): Promise<RecordedFires> {
  const { fires, states } = plan;
  const now = toIso(nowMs);
  const column = <T, V extends string | number | boolean | null>(of: readonly T[], value: (each: T) => V) =>
    arrayParam(of.map(value));
  const { rows } = await executePrepared<RecordedFires & { tellable: boolean }>(
    tx,
    'record_fires',
    sql`
    with fire as (
      select * from unnest(
        ${column(fires, (f) => f.runId)}::uuid[], ${column(fires, (f) => f.scheduleId)}::uuid[],
        ${column(fires, (f) => f.cause)}::text[], ${column(fires, (f) => f.scheduledForMs)}::float8[],
        ${column(fires, (f) => f.dueAtMs)}::float8[], ${column(fires, (f) => f.status)}::text[],
        ${column(fires, (f) => f.reason)}::text[], ${column(fires, (f) => f.missedCount)}::int[],
        ${column(fires, (f) => f.missedUntilMs)}::float8[],
        ${column(fires, (f) => toJsonb(f.input))}::jsonb[], ${column(fires, (f) => f.backfillId ?? null)}::uuid[],
        ${column(fires, (f) => f.inPause === true)}::bool[]
      ) as f(id, schedule_id, cause, scheduled_for, due_at, status, reason, missed_count, missed_until, input, backfill_id,
        in_pause)
    ),
    inserted as (
      insert into runs (id, schedule_id, schedule_name, schedule_version, job_type, task_queue, cause, scheduled_for,
        due_at, late_at, created_at, finished_at, status, reason, attempt, failures, lost, timeout_ms, missed_count,
        missed_until, retry, input, held, backfill_id)
      select f.id, s.id, s.name, s.version, s.job_type, s.task_queue, f.cause,
        ${instant('f.scheduled_for')}, ${instant('f.due_at')},
        case when f.status in ('queued', 'held') and f.cause in ('schedule', 'catch_up') and not f.in_pause
          then ${instant('f.scheduled_for')} + s.late_after_ms * interval '1 millisecond' end,
        ${now}, case when f.status in ('skipped', 'missed') then ${now}::timestamptz end,
        case f.status when 'held' then 'queued' else f.status end, f.reason, 1, 0, 0,
        s.timeout_ms, f.missed_count, ${instant('f.missed_until')}, s.retry, coalesce(f.input, s.job_input),
        f.status = 'held', f.backfill_id
      from fire f join schedules s on s.id = f.schedule_id
      -- Nobody else inserts runs of these schedules now. "on conflict" would insert each run twice over, first as a guess.
      -- The schedule says no more than the id, but it lets no index be read from end to end: to a plan that was made when
      -- there were no runs, all indexes are alike.
      where (select r.id from runs r where r.schedule_id = f.schedule_id and r.id = f.id) is null
      returning id, schedule_id, attempt, task_queue, cause, status, held, late_at, coalesce(missed_count, 1) as times
    ),
    tally as (
      select schedule_id,
        count(*) filter (where status = 'queued' and not held) as started,
        count(*) filter (where held) as held,
        count(*) filter (where held and cause = 'backfill') as held_backfills,
        count(*) filter (where status = 'queued' and cause not in ('manual', 'backfill')) as fired,
        coalesce(sum(times) filter (where status = 'skipped'), 0) as skipped,
        coalesce(sum(times) filter (where status = 'missed'), 0) as missed
      from inserted group by schedule_id
    ),
    state as (
      select * from unnest(
        ${column(states, (s) => s.scheduleId)}::uuid[], ${column(states, (s) => s.nextRunAtMs)}::float8[],
        ${column(states, (s) => s.dueAtMs)}::float8[], ${column(states, (s) => s.fault)}::text[]
      ) as s(schedule_id, next_run_at, due_at, fault)
    ),
    moved as (
      update schedule_states h set
        next_run_at = case when m.moves then m.next_run_at else h.next_run_at end,
        due_at = case when m.moves then m.due_at else h.due_at end,
        fault = case when m.moves then m.fault else h.fault end,
        active_runs = h.active_runs + coalesce(m.started, 0), held_runs = h.held_runs + coalesce(m.held, 0),
        held_backfills = h.held_backfills + coalesce(m.held_backfills, 0), fired = h.fired + coalesce(m.fired, 0),
        skipped = h.skipped + coalesce(m.skipped, 0), missed = h.missed + coalesce(m.missed, 0),
        -- As it is. Without a column that it is made from, Postgres 18 parses the words of "last_failed" for each row.
        last_status = h.last_status
      from (
        select coalesce(s.schedule_id, t.schedule_id) as schedule_id, s.schedule_id is not null as moves,
          ${instant('s.next_run_at')} as next_run_at, ${instant('s.due_at')} as due_at, s.fault, t.started, t.held,
          t.held_backfills, t.fired, t.skipped, t.missed
        from state s full join tally t on t.schedule_id = s.schedule_id
      ) m
      where h.schedule_id = m.schedule_id
    ),
    rung as (select ${ring(sql`select id, attempt, task_queue, cause from inserted where status = 'queued' and not held`, served)} as n)
    select (select n from rung) as started, (select count(*)::int from inserted where held) as held,
      (select coalesce(sum(times), 0)::int from inserted where status = 'skipped') as skipped,
      (select coalesce(sum(times), 0)::int from inserted where status = 'missed') as missed,
      exists (select from inserted where status = 'missed' or late_at <= ${now}) as tellable`,
  );
  const { tellable, ...recorded } = rows[0]!;
  if (tellable)
    await tellMissedRuns(
      tx,
      fires.map((fire) => fire.runId),
      nowMs,
    );
  const completed = states.filter((state) => state.completed).map((state) => state.scheduleId);
  if (completed.length > 0) {
    await tx.execute(sql`
      update schedules set status = 'completed', version = version + 1, updated_at = ${now}
      where id = any(${arrayParam(completed)}::uuid[]) and status = 'active'`);
  }
  const replacing = new Set(plan.replacing);
  for (const { runId, scheduleId } of fires.filter((fire) => replacing.has(fire.runId))) {
    await replaceActive(tx, { scheduleId, runId, nowMs, served });
  }
  return recorded;
}

/** When the next schedule and the next retry are due, epoch milliseconds; null when nothing waits. */
export async function nextDue(db: Db | Tx): Promise<{ scheduleMs: number | null; retryMs: number | null }> {
  const { rows } = await executePrepared<{ schedule: number | null; retry: number | null }>(
    db,
    'next_due',
    sql`
    select
      (select ${epochMs('due_at')} from schedule_states where due_at is not null order by due_at limit 1) as schedule,
      (select ${epochMs('next_attempt_at')} from runs where next_attempt_at is not null order by next_attempt_at limit 1) as retry`,
  );
  return { scheduleMs: rows[0]!.schedule, retryMs: rows[0]!.retry };
}
