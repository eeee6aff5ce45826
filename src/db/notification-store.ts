/** The `notifications` table: messages to receivers, and their tries. */
import { toIso } from '../clock.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import { leastId } from '../runs/run-id.ts';
import type {
  NewNotification,
  Notification,
  NotificationStatus,
  NotifyChannel,
  NotifyKind,
} from '../schedules/notify.ts';
import { arrayParam } from './array-literal.ts';
import { type Db, executePrepared, type Tx } from './client.ts';
import { and, desc, eq, lt, type SQL, sql } from './drizzle.ts';
import { epochMs } from './epoch-ms.ts';
import { pageOf } from './keyset-page.ts';
import { notifications } from './schema.ts';

/** Due at once. A schedule that has `backlogMax` pending ones gets dead ones, which say so. */
export async function insertNotifications(
  tx: Tx,
  given: readonly NewNotification[],
  nowMs: number,
  backlogMax: number,
): Promise<void> {
  if (given.length === 0) return;
  const { rows } = await tx.execute<{ id: string; n: number }>(sql`
    select g.id, (
      select count(*)::int from (
        select from notifications n where n.schedule_id = g.id and n.status = 'pending' limit ${backlogMax}
      ) pending
    ) as n
    from unnest(${arrayParam([...new Set(given.map(({ scheduleId }) => scheduleId))])}::uuid[]) as g(id)`);
  const backlog = new Map(rows.map(({ id, n }) => [id, n]));
  const at = new Date(nowMs);
  const values = given.map((each) => {
    const before = backlog.get(each.scheduleId) ?? 0;
    backlog.set(each.scheduleId, before + 1);
    return before < backlogMax
      ? { ...each, status: 'pending', attempts: 0, nextAttemptAt: at, createdAt: at }
      : {
          ...each,
          status: 'dead',
          attempts: 0,
          createdAt: at,
          finishedAt: at,
          lastError: `Never sent: ${backlogMax} notifications of this schedule were waiting already.`,
        };
  });
  await tx.insert(notifications).values(values);
}

export type ClaimedNotification = Pick<
  Notification,
  'id' | 'kind' | 'target' | 'payload' | 'attempts' | 'receiver' | 'scheduleId' | 'scheduleName'
>;

export type ClaimOptions = {
  nowMs: number;
  /** Claimed ones are tried again after this long if nothing more was heard of them. */
  leaseMs: number;
  limit: number;
  channels: readonly NotifyChannel[];
  /** Receivers that have enough to do. */
  busy: readonly string[];
  perReceiverMax: number;
};

/** How many due ones are looked at, at most, for receivers that have nothing to do. */
const lookedAtMax = 500;

/** Due ones, the longest due first, a few of each receiver; what another process has is passed over. */
export async function claimNotifications(db: Db | Tx, options: ClaimOptions): Promise<ClaimedNotification[]> {
  const now = toIso(options.nowMs);
  const { rows } = await db.execute<ClaimedNotification>(sql`
    with due as materialized (
      select id, receiver, next_attempt_at from notifications
      where status = 'pending' and next_attempt_at <= ${now}
        and channel = any(${arrayParam(options.channels)}::text[])
        and receiver <> all(${arrayParam(options.busy)}::text[])
      order by next_attempt_at limit ${lookedAtMax}
    ),
    ranked as (
      select id, next_attempt_at, row_number() over (partition by receiver order by next_attempt_at, id) as place from due
    ),
    chosen as (
      select id from ranked where place <= ${options.perReceiverMax} order by next_attempt_at, id limit ${options.limit}
    ),
    mine as materialized (
      select n.id from notifications n where n.id = any(array(select id from chosen))
        and n.status = 'pending' and n.next_attempt_at <= ${now}
      for update skip locked
    )
    update notifications n set attempts = n.attempts + 1, next_attempt_at = ${toIso(options.nowMs + options.leaseMs)}
    from mine where n.id = mine.id
    returning n.id, n.kind, n.target, n.payload, n.attempts, n.receiver, n.schedule_id as "scheduleId",
      n.schedule_name as "scheduleName"`);
  return rows;
}

export type TriedNotification =
  | { status: 'delivered' }
  | { status: 'pending'; error: string; nextAttemptAtMs: number }
  | { status: 'dead'; error: string };

/** False when it is at another attempt by now. */
export async function recordTry(
  db: Db | Tx,
  { id, attempts }: { id: string; attempts: number },
  tried: TriedNotification,
  nowMs: number,
): Promise<boolean> {
  const { rowCount } = await db
    .update(notifications)
    .set({
      status: tried.status,
      nextAttemptAt: tried.status === 'pending' ? new Date(tried.nextAttemptAtMs) : null,
      finishedAt: tried.status === 'pending' ? null : new Date(nowMs),
      ...(tried.status !== 'delivered' && { lastError: tried.error }),
    })
    .where(
      and(
        eq(notifications.id, id),
        eq(notifications.attempts, attempts),
        eq(notifications.status, 'pending'),
      ),
    );
  return rowCount === 1;
}

/** What there is to do, in one look: whether events wait, and when the next notification is due; null when none is pending. */
export async function pendingWork(db: Db | Tx): Promise<{ hasEvents: boolean; dueMs: number | null }> {
  const { rows } = await executePrepared<{ hasEvents: boolean; dueMs: number | null }>(
    db,
    'pending_work',
    sql`
    select exists (select from notify_events where told_at is null) as "hasEvents",
      (select ${epochMs('next_attempt_at')} from notifications
        where status = 'pending' order by next_attempt_at limit 1) as "dueMs"`,
  );
  return rows[0]!;
}

/** Of one schedule, newest first. */
export async function listNotifications(
  db: Db | Tx,
  filter: { scheduleId: string; status?: NotificationStatus },
  page: PageRequest,
): Promise<Page<Notification>> {
  const conditions: SQL[] = [eq(notifications.scheduleId, filter.scheduleId)];
  if (page.after !== null) conditions.push(lt(notifications.id, page.after));
  if (filter.status !== undefined) conditions.push(eq(notifications.status, filter.status));
  const rows = await db
    .select()
    .from(notifications)
    .where(and(...conditions))
    .orderBy(desc(notifications.id))
    .limit(page.limit + 1);
  return pageOf(rows, page, toNotification);
}

/** Deletes ended ones made before `untilMs`, at most `limit`. Returns how many. */
export async function pruneNotifications(db: Db | Tx, untilMs: number, limit: number): Promise<number> {
  const { rowCount } = await db.execute(sql`
    delete from notifications where id in (
      select id from notifications where id < ${leastId(untilMs)} and status <> 'pending' order by id limit ${limit})`);
  return rowCount ?? 0;
}

function toNotification(row: typeof notifications.$inferSelect): Notification {
  const { kind, channel, status, nextAttemptAt, createdAt, finishedAt, ...rest } = row;
  return {
    ...rest,
    kind: kind as NotifyKind,
    channel: channel as NotifyChannel,
    status: status as NotificationStatus,
    nextAttemptAtMs: nextAttemptAt?.getTime() ?? null,
    createdAtMs: createdAt.getTime(),
    finishedAtMs: finishedAt?.getTime() ?? null,
  };
}
