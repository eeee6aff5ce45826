/**
 * The outbox `notify_events`: what happened to a schedule that somebody wants to be told. An event is written in the
 * transaction that makes it so, or not at all; its key and kind make a second one of the same thing nothing.
 */
import { toIso } from '../clock.ts';
import type { NotifyEvent } from '../schedules/notify.ts';
import { arrayParam } from './array-literal.ts';
import type { Db, Tx } from './client.ts';
import { type SQL, sql } from './drizzle.ts';
import { epochMs } from './epoch-ms.ts';

/**
 * A part of the statement that ends runs (`run-end-store.ts`): from its `ended` and `special` it writes what is to be told.
 * Hot rows say whether anything is, so where nobody wants to be told it looks at nothing else. A success is a recovery when the run
 * before it that was not cancelled had failed, in this batch or by the hot row.
 */
export const tellRunEnds: SQL = sql`
  insert into notify_events (key, kind, run_id, schedule_id, schedule_name, at, notify)
  select e.id, k.kind, e.id, s.id, s.name, e.finished_at, s.notify
  from (
    select e.id, e.schedule_id, e.status, e.finished_at, p.hot->e.schedule_id::text as hot,
      lag(e.status) over (partition by e.schedule_id, e.status = 'cancelled' order by e.finished_at, e.id) as before
    from special p join ended e on p.hot ? e.schedule_id::text
  ) e
  join schedules s on s.id = e.schedule_id
  cross join lateral (values
    ('failure', e.status in ('failed', 'timed_out')),
    ('success', e.status = 'succeeded'),
    ('recovered', e.status = 'succeeded'
      and (coalesce(e.before, e.hot->>'lastStatus') in ('failed', 'timed_out') or (e.before is null and (e.hot->>'failures')::int > 0)))
  ) as k(kind, happened)
  where k.happened and e.hot->'notifyOn' ? k.kind and s.notify is not null
  on conflict (key, kind) do nothing`;

/**
 * Of these runs, those that were missed, or are late as they are made. The first of a range of times may have been told as
 * late before; the range is another thing.
 */
export async function tellMissedRuns(tx: Tx, runIds: readonly string[], nowMs: number): Promise<void> {
  await tx.execute(sql`
    insert into notify_events (key, kind, run_id, schedule_id, schedule_name, at, scheduled_for, notify)
    select case when r.missed_count > 1 then md5('range ' || r.id)::uuid else r.id end, 'missed', r.id, s.id, s.name,
      ${toIso(nowMs)}, r.scheduled_for, s.notify
    from runs r join schedule_states h on h.schedule_id = r.schedule_id join schedules s on s.id = r.schedule_id
    where r.id = any(${arrayParam(runIds)}::uuid[]) and (r.status = 'missed' or r.late_at <= ${toIso(nowMs)})
      and 'missed' = any(h.notify_on)
    on conflict (key, kind) do nothing`);
}

/** A schedule that was paused, if anyone wants to be told. */
export async function tellPaused(
  tx: Tx,
  scheduleId: string,
  pause: { key: string; note: string | null; atMs: number },
): Promise<void> {
  await tx.execute(sql`
    insert into notify_events (key, kind, schedule_id, schedule_name, at, note, notify)
    select ${pause.key}, 'paused', s.id, s.name, ${toIso(pause.atMs)}, ${pause.note}, s.notify
    from schedules s join schedule_states h on h.schedule_id = s.id
    where s.id = ${scheduleId} and 'paused' = any(h.notify_on)`);
}

/** The pending events, oldest first, locked; those that another process has are passed over. */
export async function claimEvents(tx: Tx, limit: number): Promise<NotifyEvent[]> {
  const { rows } = await tx.execute<NotifyEvent>(sql`
    select key, kind, run_id as "runId", schedule_id as "scheduleId", schedule_name as "scheduleName", note, notify,
      ${epochMs('at')} as "atMs",
      ${epochMs('scheduled_for')} as "scheduledForMs"
    from notify_events where told_at is null order by at limit ${limit}
    for update skip locked`);
  return rows;
}

export async function markTold(tx: Tx, events: readonly NotifyEvent[], nowMs: number): Promise<void> {
  await tx.execute(sql`
    update notify_events n set told_at = ${toIso(nowMs)}
    from unnest(${arrayParam(events.map(({ key }) => key))}::uuid[], ${arrayParam(events.map(({ kind }) => kind))}::text[]) as t(key, kind)
    where n.key = t.key and n.kind = t.kind`);
}

/** Deletes told ones from before `untilMs`, at most `limit`. Returns how many. */
export async function pruneEvents(db: Db | Tx, untilMs: number, limit: number): Promise<number> {
  const { rowCount } = await db.execute(sql`
    delete from notify_events where (key, kind) in (
      select key, kind from notify_events where told_at < ${toIso(untilMs)} order by told_at limit ${limit})`);
  return rowCount ?? 0;
}
