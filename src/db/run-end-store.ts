/**
 * The moves of the state machine (`runs/run-state.ts`) that end a run, with what each end means for its schedule:
 * counts, the last run, the circuit breaker.
 *
 * Lock order, here and everywhere: the hot rows of the schedules first, sorted, then the runs.
 */
import { toIso as iso } from '../clock.ts';
import type { RunError } from '../runs/run.ts';
import type { OutcomeStatus } from '../runs/run-state.ts';
import { arrayParam as array } from './array-literal.ts';
import { type Db, executePrepared, type Tx } from './client.ts';
import { sql } from './drizzle.ts';
import { toJsonb } from './json.ts';
import { tellRunEnds } from './notify-event-store.ts';
import { ring } from './queue.ts';

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
 *
 * Where runs are held until these have ended, it takes a transaction of two statements: the snapshot of the one that
 * waits for a hot row is older than a run that was held meanwhile, and would release nothing.
 */
export async function endRuns(
  db: Db | Tx,
  ends: readonly RunEnd[],
  served: readonly string[],
): Promise<Set<string>> {
  const failed = ends.filter((end) => end.status === 'failed' || end.status === 'timed_out');
  if (failed.length === 0) return await endFreeAndHolding(db, ends, served);
  return await db.transaction(async (tx) => {
    const ended = await endFreeAndHolding(tx, ends, served);
    const scheduleIds = [
      ...new Set(failed.filter((end) => ended.has(end.runId)).map((end) => end.scheduleId)),
    ];
    if (scheduleIds.length > 0)
      await pauseTripped(tx, scheduleIds, Math.max(...failed.map((end) => end.finishedAtMs)));
    return ended;
  });
}

async function endFreeAndHolding(
  db: Db | Tx,
  ends: readonly RunEnd[],
  served: readonly string[],
): Promise<Set<string>> {
  const { ended, holding } = await endStatement(db, ends, ['running'], null);
  if (holding.size === 0) return ended;
  const rest = ends.filter((end) => holding.has(end.scheduleId));
  const released = await db.transaction((tx) => endRunsFrom(tx, rest, ['running'], served));
  return ended.union(released);
}

/** The same move from any active state; for ends that no worker makes (cancel, stop, withdrawal). */
export async function endUnstartedRuns(
  tx: Tx,
  ends: readonly RunEnd[],
  served: readonly string[],
): Promise<Set<string>> {
  return await endRunsFrom(tx, ends, ['queued', 'retrying'], served);
}

/**
 * Ends runs from one of the statuses of `from`. Where these were the last active ones of a schedule, the run that has
 * been held there longest is released, those of a backfill last.
 */
export async function endRunsFrom(
  tx: Tx,
  ends: readonly RunEnd[],
  from: readonly string[],
  served: readonly string[],
): Promise<Set<string>> {
  if (ends.length === 0) return new Set();
  await lockStates(
    tx,
    ends.map((end) => end.scheduleId),
  );
  return (await endStatement(tx, ends, from, served)).ended;
}

/** Locks the hot rows of schedules, in the order of the house. */
export async function lockStates(tx: Tx, scheduleIds: readonly string[]): Promise<void> {
  await tx.execute(sql`
    select from schedule_states where schedule_id = any(${array([...new Set(scheduleIds)].sort())}::uuid[])
    order by schedule_id for update`);
}

/**
 * The statement of every end. Without `served` it leaves schedules with held runs alone and answers which those are;
 * with it their hot rows must be locked already, and the next run is released and rung for.
 */
async function endStatement(
  db: Db | Tx,
  ends: readonly RunEnd[],
  from: readonly string[],
  served: readonly string[] | null,
): Promise<{ ended: Set<string>; holding: Set<string> }> {
  const next = served === null ? noRelease : release(served);
  const { rows } = await executePrepared<{ id: string | null; holding: string | null }>(
    db,
    served === null ? 'end_runs' : 'end_runs_and_release',
    sql`
    with locked as materialized (
      select schedule_id, active_runs, held_runs, held_backfills, next_run_at is null as unset, last_status,
        failures_in_a_row, notify_on
      from schedule_states
      where schedule_id = any(${array([...new Set(ends.map((end) => end.scheduleId))].sort())}::uuid[])
      order by schedule_id for update
    ),
    -- Reading from locked makes Postgres take the hot rows before the runs.
    holding as materialized (
      select coalesce(array_agg(schedule_id) filter (where held_runs > 0), '{}') as ids from locked
    ),
    -- Hot rows that want more than counting, to be looked up by schedule: the planner, who knows no counts here, would
    -- join "locked" to what ends by looking at each row of one for each row of the other.
    special as materialized (
      select jsonb_object_agg(schedule_id, jsonb_build_object('active', active_runs, 'held', held_runs,
        'heldBackfills', held_backfills, 'unset', unset, 'notifyOn', notify_on, 'lastStatus', last_status,
        'failures', failures_in_a_row)) as hot
      from locked where held_runs > 0 or unset or notify_on is not null
    ),
    ended as (
      update runs r set status = e.status, output = e.output, signal = null,
        reason = case when e.status = 'cancelled' then coalesce(r.signal_reason, e.reason) else e.reason end,
        error = case when e.status = 'cancelled' then coalesce(e.error, r.error) else e.error end,
        finished_at = to_timestamp(e.finished_at / 1000), next_attempt_at = null,
        failures = r.failures + case when e.status in ('failed', 'timed_out') then 1 else 0 end
      from unnest(
        ${array(ends.map((e) => e.runId))}::uuid[], ${array(ends.map((e) => e.attempt))}::int[],
        ${array(ends.map((e) => e.status))}::text[], ${array(ends.map((e) => e.reason))}::text[],
        ${array(ends.map((e) => toJsonb(e.output)))}::jsonb[], ${array(ends.map((e) => toJsonb(e.error)))}::jsonb[],
        ${array(ends.map((e) => e.finishedAtMs))}::float8[]
      ) as e(id, attempt, status, reason, output, error, finished_at)
      where r.id = e.id and r.attempt = e.attempt and r.status = any(${array(from)}::text[])
        and ${next.which}
      returning r.id, r.schedule_id, r.status, r.finished_at, r.started_at is not null as started, r.held, r.cause
    ),
    ordered as (
      select *, max(finished_at) filter (where status = 'succeeded') over (partition by schedule_id) as last_success
      from ended
    ),
    tally as (
      select schedule_id, count(*) filter (where not held) as active, count(*) filter (where held) as held,
        count(*) filter (where held and cause = 'backfill') as held_backfills, max(finished_at) as last_end,
        count(*) filter (where status = 'succeeded') as succeeded,
        count(*) filter (where status in ('failed', 'timed_out')) as failed,
        count(*) filter (where status in ('failed', 'timed_out')
          and finished_at > coalesce(last_success, '-infinity')) as failed_since,
        (array_agg(id order by finished_at desc, id desc) filter (where started))[1] as last_id,
        (array_agg(status order by finished_at desc, id desc) filter (where started))[1] as last_status
      from ordered group by schedule_id
    ),
    ${next.released}
    -- The end of the only active run of a "delay" says when the next one is. Jitter and exclusions are looked at when
    -- that has come (fire-plan.ts).
    delayed as materialized (
      select t.schedule_id, s.end_at,
        greatest(t.last_end + (s.trigger->>'delayMs')::float8 * interval '1 millisecond', s.start_at) as at
      from ${specialTally} t
      join schedules s on s.id = t.schedule_id
      where (t.hot->>'unset')::bool and t.active = (t.hot->>'active')::int and t.held = (t.hot->>'held')::int
        and s.status = 'active' and s.trigger->>'kind' = 'delay'
    ),
    timed as materialized (
      select jsonb_object_agg(schedule_id, at) as at from delayed where at <= coalesce(end_at, 'infinity')
    ),
    over as (
      update schedules s set status = 'completed', version = s.version + 1, updated_at = t.now
      from (select schedule_id, (select max(finished_at) from ended) as now from delayed where at > end_at) t
      where s.id = t.schedule_id
    ),
    counted as (
      update schedule_states h set
        active_runs = h.active_runs - t.active ${next.counted}
        succeeded = h.succeeded + t.succeeded, failed = h.failed + t.failed,
        failures_in_a_row = case when t.succeeded > 0 then 0 else h.failures_in_a_row end + t.failed_since,
        last_run_id = coalesce(t.last_id, h.last_run_id), last_status = coalesce(t.last_status, h.last_status),
        next_run_at = coalesce((timed.at->>t.schedule_id::text)::timestamptz, h.next_run_at),
        due_at = coalesce((timed.at->>t.schedule_id::text)::timestamptz, h.due_at)
      from tally t, timed ${next.joined}
      where h.schedule_id = t.schedule_id
    ),
    told as (${tellRunEnds})
    select id, null::uuid as holding from ended
    ${next.told}`,
  );
  return {
    ended: new Set(rows.flatMap((row) => row.id ?? [])),
    holding: new Set(rows.flatMap((row) => row.holding ?? [])),
  };
}

/** Of the schedules that have a run ended: those whose hot row wants more than counting, with that row. */
const specialTally = sql`(
  select t.*, p.hot->t.schedule_id::text as hot from special p join tally t on p.hot ? t.schedule_id::text
)`;

/**
 * The parts of the statement of every end that are about what is held: where nothing is released …
 *
 * Nothing is held then, and that is written, not left as it is: Postgres looks at the CHECKs with the row as it was for
 * the snapshot before it finds that the row has changed since. There the last active run would end with others held.
 */
const noRelease = {
  which: sql`r.schedule_id <> all((select ids from holding)::uuid[])`,
  released: sql``,
  counted: sql`, held_runs = 0, held_backfills = 0,`,
  joined: sql``,
  told: sql`union all select null, unnest(ids) from holding`,
};

/**
 * … and where the next run of each schedule that has no active one left is. Those that end in this statement still look
 * held to it.
 */
function release(served: readonly string[]): typeof noRelease {
  return {
    which: sql`(select ids from holding) is not null`,
    released: sql`
    released as (
      update runs r set held = false, reason = null
      from (
        select (
          select w.id from runs w
          where w.schedule_id = t.schedule_id and w.finished_at is null and w.held and w.id not in (select id from ended)
            and (w.cause = 'backfill') =
              ((t.hot->>'held')::int - t.held = (t.hot->>'heldBackfills')::int - t.held_backfills)
          order by w.id limit 1
        ) as id
        from ${specialTally} t
        where t.active = (t.hot->>'active')::int and t.held < (t.hot->>'held')::int
      ) n
      where r.id = n.id
      returning r.id, r.schedule_id, r.attempt, r.task_queue, r.cause
    ),
    -- One of a schedule: whether it is of a backfill.
    next as materialized (
      select coalesce(jsonb_object_agg(schedule_id, cause = 'backfill'), '{}') as backfill from released
    ),`,
    counted: sql`+ (next.backfill ? t.schedule_id::text)::int,
        held_runs = h.held_runs - t.held - (next.backfill ? t.schedule_id::text)::int,
        held_backfills = h.held_backfills - t.held_backfills - coalesce((next.backfill->>t.schedule_id::text)::bool, false)::int,`,
    joined: sql`, next`,
    told: sql`union all select null, null
      where ${ring(sql`select id, attempt, task_queue, cause from released`, served)} < 0`,
  };
}

async function pauseTripped(tx: Tx, scheduleIds: readonly string[], nowMs: number): Promise<void> {
  await tx.execute(sql`
    with tripped as (
      update schedules s set status = 'paused', updated_at = ${iso(nowMs)},
        -- What is due already and has no disposition yet lies in the pause, as what follows does.
        paused_at = least(${iso(nowMs)}, h.next_run_at - interval '1 millisecond'),
        version = s.version + 1, note = 'paused after ' || h.failures_in_a_row || ' failures in a row',
        pauses = jsonb_build_array(jsonb_build_object('labels', null, 'sinceMs', ${Math.floor(nowMs)}::float8, 'actor', 'carillon',
          'note', 'paused after ' || h.failures_in_a_row || ' failures in a row'))
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
  options: { reason: string; retrying: boolean; fresh: boolean; nowMs: number; served: readonly string[] },
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
    options.served,
  );
  return ended.size;
}
