/**
 * The moves of the state machine (`runs/run-state.ts`) that end a run, with what each end means for its schedule:
 * counts, the last run, the circuit breaker.
 *
 * Lock order, here and everywhere: the hot rows of the schedules first, sorted, then the runs.
 */
import { sql } from 'drizzle-orm';
import type { RunError } from '../runs/run.ts';
import type { OutcomeStatus } from '../runs/run-state.ts';
import { type Db, executePrepared, type Tx } from './client.ts';
import { toJsonb } from './json.ts';
import { tellRunEnds } from './notify-event-store.ts';

const array = (values: readonly unknown[]) => sql.param([...values]);
const iso = (ms: number) => new Date(ms).toISOString();

export type RunEnd = {
  runId: string;
  attempt: number;
  scheduleId: string;
  status: OutcomeStatus;
  reason: string | null;
  output: unknown;
  error: RunError | null;
  finishedAtMs: number;
};

/**
 * running → an end, with the schedules' counts, in one statement. Answers the ids that ended; an old attempt's
 * end matches nothing. Schedules whose circuit breaker trips are paused in the same transaction.
 */
export async function endRuns(db: Db | Tx, ends: readonly RunEnd[]): Promise<Set<string>> {
  const failed = ends.filter((end) => end.status === 'failed' || end.status === 'timed_out');
  if (failed.length === 0) return await endRunsFrom(db, ends, ['running']);
  return await db.transaction(async (tx) => {
    const ended = await endRunsFrom(tx, ends, ['running']);
    const scheduleIds = [
      ...new Set(failed.filter((end) => ended.has(end.runId)).map((end) => end.scheduleId)),
    ];
    if (scheduleIds.length > 0)
      await pauseTripped(tx, scheduleIds, Math.max(...failed.map((end) => end.finishedAtMs)));
    return ended;
  });
}

/** The same move from any active state; for ends that no worker makes (cancel, stop, withdrawal). */
export async function endUnstartedRuns(tx: Tx, ends: readonly RunEnd[]): Promise<Set<string>> {
  return await endRunsFrom(tx, ends, ['queued', 'retrying']);
}

/** The statement of every end: from one of the statuses of `from`. */
export async function endRunsFrom(
  db: Db | Tx,
  ends: readonly RunEnd[],
  from: readonly string[],
): Promise<Set<string>> {
  const { rows } = await executePrepared<{ id: string }>(
    db,
    'end_runs',
    sql`
    with locked as materialized (
      select schedule_id, active_runs, next_run_at is null as unset, last_status, failures_in_a_row, notify_on
      from schedule_states
      where schedule_id = any(${array([...new Set(ends.map((end) => end.scheduleId))].sort())}::uuid[])
      order by schedule_id for update
    ),
    ended as (
      update runs r set status = e.status, reason = e.reason, output = e.output, signal = null,
        error = case when e.status = 'cancelled' then coalesce(e.error, r.error) else e.error end,
        finished_at = to_timestamp(e.finished_at / 1000), next_attempt_at = null,
        failures = r.failures + case when e.status in ('failed', 'timed_out') then 1 else 0 end
      from unnest(
        ${array(ends.map((e) => e.runId))}::uuid[], ${array(ends.map((e) => e.attempt))}::int[],
        ${array(ends.map((e) => e.status))}::text[], ${array(ends.map((e) => e.reason))}::text[],
        ${array(ends.map((e) => toJsonb(e.output)))}::jsonb[], ${array(ends.map((e) => toJsonb(e.error)))}::jsonb[],
        ${array(ends.map((e) => e.finishedAtMs))}::float8[]
      ) as e(id, attempt, status, reason, output, error, finished_at)
      -- Reading from locked makes Postgres take the hot rows before the runs.
      where r.id = e.id and r.attempt = e.attempt and r.status = any(${array(from)}::text[])
        and (select count(*) from locked) >= 0
      returning r.id, r.schedule_id, r.status, r.finished_at, r.started_at is not null as started
    ),
    ordered as (
      select *, max(finished_at) filter (where status = 'succeeded') over (partition by schedule_id) as last_success
      from ended
    ),
    tally as (
      select schedule_id, count(*) as n, max(finished_at) as last_end,
        count(*) filter (where status = 'succeeded') as succeeded,
        count(*) filter (where status in ('failed', 'timed_out')) as failed,
        count(*) filter (where status in ('failed', 'timed_out')
          and finished_at > coalesce(last_success, '-infinity')) as failed_since,
        (array_agg(id order by finished_at desc, id desc) filter (where started))[1] as last_id,
        (array_agg(status order by finished_at desc, id desc) filter (where started))[1] as last_status
      from ordered group by schedule_id
    ),
    -- The end of the only active run of a "delay" says when the next one is. Jitter and exclusions are looked at when
    -- that has come (fire-plan.ts).
    delayed as materialized (
      select l.schedule_id, l.active_runs, s.start_at, s.end_at,
        (s.trigger->>'delayMs')::float8 * interval '1 millisecond' as delay
      from locked l join schedules s on s.id = l.schedule_id
      where l.unset and s.status = 'active' and s.trigger->>'kind' = 'delay'
    ),
    timed as (
      select d.schedule_id, d.end_at, greatest(t.last_end + d.delay, d.start_at) as at
      from delayed d join tally t on t.schedule_id = d.schedule_id and t.n = d.active_runs
    ),
    over as (
      update schedules s set status = 'completed', version = s.version + 1, updated_at = t.now
      from (select schedule_id, end_at, at, (select max(finished_at) from ended) as now from timed) t
      where s.id = t.schedule_id and t.at > t.end_at
    ),
    counted as (
      update schedule_states h set
        active_runs = h.active_runs - t.n, succeeded = h.succeeded + t.succeeded, failed = h.failed + t.failed,
        failures_in_a_row = case when t.succeeded > 0 then 0 else h.failures_in_a_row end + t.failed_since,
        last_run_id = coalesce(t.last_id, h.last_run_id), last_status = coalesce(t.last_status, h.last_status),
        next_run_at = coalesce(d.at, h.next_run_at), due_at = coalesce(d.at, h.due_at)
      from tally t left join timed d on d.schedule_id = t.schedule_id and d.at <= coalesce(d.end_at, 'infinity')
      where h.schedule_id = t.schedule_id
    ),
    told as (${tellRunEnds})
    select id from ended`,
  );
  return new Set(rows.map((row) => row.id));
}

async function pauseTripped(tx: Tx, scheduleIds: readonly string[], nowMs: number): Promise<void> {
  await tx.execute(sql`
    with tripped as (
      update schedules s set status = 'paused', updated_at = ${iso(nowMs)},
        -- What is due already and has no disposition yet lies in the pause, as what follows does.
        paused_at = least(${iso(nowMs)}, h.next_run_at - interval '1 millisecond'),
        version = s.version + 1, note = 'paused after ' || h.failures_in_a_row || ' failures in a row'
      from schedule_states h
      where s.id = any(${array(scheduleIds)}::uuid[]) and h.schedule_id = s.id and s.status = 'active'
        and h.failures_in_a_row >= s.pause_after_failures
      returning s.id, s.name, s.note, s.notify, h.notify_on
    ),
    told as (
      insert into notify_events (key, kind, schedule_id, schedule_name, at, note, notify)
      select gen_random_uuid(), 'paused', id, name, ${iso(nowMs)}, note, notify from tripped where 'paused' = any(notify_on)
    )
    update schedule_states h set next_run_at = null, due_at = null from tripped t where h.schedule_id = t.id`);
}

/**
 * Ends runs of a locked schedule that wait: queued, and with `retrying` those that wait for a retry. `fresh` leaves
 * those alone that have been tried before or were asked for by hand. Returns how many.
 */
export async function withdrawWaiting(
  tx: Tx,
  scheduleId: string,
  options: { reason: string; retrying: boolean; fresh: boolean; nowMs: number },
): Promise<number> {
  const { rows } = await tx.execute<{ id: string; attempt: number }>(sql`
    select id, attempt from runs
    where schedule_id = ${scheduleId} and finished_at is null
      and status = any(${array(options.retrying ? ['queued', 'retrying'] : ['queued'])}::text[])
      ${options.fresh ? sql`and started_at is null and cause in ('schedule', 'catch_up')` : sql``}
    order by id for update`);
  if (rows.length === 0) return 0;
  const ended = await endUnstartedRuns(
    tx,
    rows.map((row) => ({
      runId: row.id,
      attempt: row.attempt,
      scheduleId,
      status: 'cancelled',
      reason: options.reason,
      output: null,
      error: null,
      finishedAtMs: options.nowMs,
    })),
  );
  return ended.size;
}
