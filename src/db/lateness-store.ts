/** What is late by `lateAfter`: nominal times that nobody dispatched, and runs that wait. Each has an index by its instant. */
import { toIso } from '../clock.ts';
import { scheduledRunId } from '../runs/run-id.ts';
import { type ArrayValue, arrayParam } from './array-literal.ts';
import type { Db, Tx } from './client.ts';
import { sql } from './drizzle.ts';
import { epochMs } from './epoch-ms.ts';

/** `runId`: also of the run that is not there yet. */
export type LateTime = { runId: string; scheduleId: string; scheduleName: string; scheduledForMs: number };

/** At most `limit` of each kind, the longest late first. */
export async function listLate(db: Db | Tx, nowMs: number, limit: number): Promise<LateTime[]> {
  const now = toIso(nowMs);
  const { rows } = await db.execute<Omit<LateTime, 'runId'> & { runId: string | null }>(sql`
    (
      select null::uuid as "runId", h.schedule_id as "scheduleId", s.name as "scheduleName",
        ${epochMs('h.next_run_at')} as "scheduledForMs"
      from (
        select schedule_id, next_run_at from schedule_states
        where late_after_ms is not null and next_run_at is not null
          and (next_run_at at time zone 'UTC') + late_after_ms * interval '1 millisecond' <= (${now}::timestamptz at time zone 'UTC')
        order by (next_run_at at time zone 'UTC') + late_after_ms * interval '1 millisecond' limit ${limit}
      ) h join schedules s on s.id = h.schedule_id
    )
    union all
    (
      select id, schedule_id, schedule_name, ${epochMs('scheduled_for')}
      from runs
      where late_at <= ${now} and late_at is not null and finished_at is null and started_at is null
      order by late_at limit ${limit}
    )`);
  return rows.map((row) => ({
    ...row,
    runId: row.runId ?? scheduledRunId(row.scheduleId, row.scheduledForMs),
  }));
}

/** `lateAfter` of a locked schedule has changed: so has what it means for its runs that wait. Null takes it from them. */
export async function setLateAfter(tx: Tx, scheduleId: string, lateAfterMs: number | null): Promise<void> {
  await tx.execute(sql`
    update runs set late_at = scheduled_for + ${lateAfterMs}::float8 * interval '1 millisecond'
    where schedule_id = ${scheduleId} and finished_at is null and started_at is null and late_at is not null`);
}

/** Writes what somebody wants to be told of these. What was told before is passed over, also by another process. */
export async function tellLate(db: Db | Tx, late: readonly LateTime[], nowMs: number): Promise<number> {
  const column = (value: (each: LateTime) => ArrayValue) => arrayParam(late.map(value));
  const { rowCount } = await db.execute(sql`
    insert into notify_events (key, kind, run_id, schedule_id, schedule_name, at, scheduled_for, notify)
    select l.run_id, 'missed', l.run_id, s.id, s.name, ${toIso(nowMs)}, l.scheduled_for, s.notify
    from unnest(${column(({ runId }) => runId)}::uuid[], ${column(({ scheduleId }) => scheduleId)}::uuid[],
      ${column(({ scheduledForMs }) => toIso(scheduledForMs))}::timestamptz[]) as l(run_id, schedule_id, scheduled_for)
    join schedule_states h on h.schedule_id = l.schedule_id join schedules s on s.id = l.schedule_id
    where 'missed' = any(h.notify_on)
    on conflict (key, kind) do nothing`);
  return rowCount ?? 0;
}
