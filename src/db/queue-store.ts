/** Queues as callers of the API see them: what they put in, read, cancel and try again. Drains: queue-task-store.ts. */
import { toIso } from '../clock.ts';
import type { EnqueuedTask, NewTask, Queue, QueueTask, TaskStatus } from '../queues/queue-task.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import { newId } from '../runs/run-id.ts';
import { arrayParam } from './array-literal.ts';
import type { Db, Tx } from './client.ts';
import { type SQL, sql } from './drizzle.ts';
import { epochMs } from './epoch-ms.ts';
import { toJsonb } from './json.ts';
import { pageOf } from './keyset-page.ts';

/** Rounds in which a task may be made, ended and pruned by others between two looks. Nobody is that fast. */
const roundsMax = 5;

/**
 * The tasks, in the order in which they are given and are to be taken, in one statement. A key that a task of the queue
 * has already, and one that comes twice, answers the task that is there.
 */
export async function insertTasks(
  db: Db | Tx,
  queue: string,
  tasks: readonly NewTask[],
  nowMs: number,
): Promise<EnqueuedTask[]> {
  // Tasks of one instant are taken by id.
  const ids = tasks.map(() => newId(nowMs)).sort();
  const given = tasks.map((task, index) => ({ ...task, id: ids[index]! }));
  const answers = new Map<string, EnqueuedTask>();
  const answerOf = ({ id, dedupeKey }: (typeof given)[number]) => answers.get(dedupeKey ?? id);
  for (let round = 1; ; round += 1) {
    const missing = given.filter((task) => answerOf(task) === undefined);
    if (missing.length === 0) return given.map((task) => answer(answerOf(task)!, task.id));
    // Made by somebody whose commit came after our look: the next round sees it.
    if (round > roundsMax) throw new Error(`tasks of queue ${queue} come and go too fast to be told`);
    for (const row of await insertOnce(db, queue, missing, nowMs)) answers.set(row.dedupeKey ?? row.id, row);
  }
}

/** Of two tasks with one key in a request the first is the one that was made. */
function answer(made: EnqueuedTask, id: string): EnqueuedTask {
  return { ...made, created: made.created && made.id === id };
}

async function insertOnce(
  db: Db | Tx,
  queue: string,
  tasks: readonly (NewTask & { id: string })[],
  nowMs: number,
): Promise<EnqueuedTask[]> {
  const { rows } = await db.execute<EnqueuedTask>(sql`
    with known as (
      insert into queues (id, name, created_at) values (${newId(nowMs)}, ${queue}, ${toIso(nowMs)})
      on conflict (name) do nothing
    ),
    given as (
      select * from unnest(
        ${arrayParam(tasks.map((t) => t.id))}::uuid[], ${arrayParam(tasks.map((t) => t.priority))}::smallint[],
        ${arrayParam(tasks.map((t) => toIso(Math.max(nowMs, t.notBeforeMs ?? 0))))}::timestamptz[],
        ${arrayParam(tasks.map((t) => t.maxAttempts))}::smallint[], ${arrayParam(tasks.map((t) => t.dedupeKey))}::text[],
        ${arrayParam(tasks.map((t) => toJsonb(t.input)))}::jsonb[]
      ) as g(id, priority, due_at, max_attempts, dedupe_key, input)
    ),
    inserted as (
      insert into queue_tasks (id, queue, status, priority, due_at, attempt, failures, max_attempts, dedupe_key,
        created_at, input)
      select id, ${queue}, case when due_at > ${toIso(nowMs)} then 'waiting' else 'pending' end, priority, due_at, 0, 0,
        max_attempts, dedupe_key, ${toIso(nowMs)}, input
      -- Keys in one order, whoever asks: two requests with the same keys would else wait for each other.
      from given order by dedupe_key, id
      on conflict (queue, dedupe_key) where dedupe_key is not null do nothing
      returning id, status, dedupe_key
    )
    select id, status, dedupe_key as "dedupeKey", true as created from inserted
    union all
    select t.id, t.status, t.dedupe_key, false from queue_tasks t
    where t.queue = ${queue} and t.dedupe_key in (select dedupe_key from given)`);
  return rows;
}

const told = sql`id, queue, status, priority, ${epochMs('due_at')} as "dueAtMs", attempt, failures::int as failures,
  max_attempts::int as "maxAttempts", dedupe_key as "dedupeKey", run_id as "runId", ${epochMs('created_at')} as "createdAtMs",
  ${epochMs('started_at')} as "startedAtMs", ${epochMs('finished_at')} as "finishedAtMs", input, output, error`;

export async function findTask(db: Db | Tx, queue: string, id: string): Promise<QueueTask | null> {
  const { rows } = await db.execute<QueueTask>(
    sql`select ${told} from queue_tasks where id = ${id} and queue = ${queue}`,
  );
  return rows[0] ?? null;
}

/** Newest first. Each status has its own place in the index, so that a page costs the same however many others there are. */
export async function listTasks(
  db: Db | Tx,
  queue: string,
  statuses: readonly TaskStatus[],
  page: PageRequest,
): Promise<Page<QueueTask>> {
  const after = page.after === null ? sql`` : sql`and t.id < ${page.after}`;
  const { rows } = await db.execute<QueueTask>(sql`
    select ${told} from queue_tasks where id in (
      select p.id from unnest(${arrayParam(statuses)}::text[]) as s(status), lateral (
        select t.id from queue_tasks t where t.queue = ${queue} and t.status = s.status ${after}
        order by t.id desc limit ${page.limit + 1}
      ) p order by p.id desc limit ${page.limit + 1}
    ) order by id desc`);
  return pageOf(rows, page, (row) => row);
}

type QueueRow = Omit<Queue, 'counts'> & Record<TaskStatus, number>;

/** What has ended well, which may be a million tasks, is counted on the queue; the others from their indexes. */
const counted = (chosen: SQL) => sql`
  select q.id, q.name, ${epochMs('q.created_at')} as "createdAtMs", q.succeeded::float8 as succeeded,
    q.cancelled::float8 as cancelled, p.n as pending, ${epochMs('p.oldest')} as "oldestPendingMs", w.n as waiting,
    r.n as running, d.n as dead
  from (${chosen}) q,
    lateral (select count(*)::float8 as n, min(due_at) as oldest from queue_tasks
      where queue = q.name and status = 'pending') p,
    lateral (select count(*)::float8 as n from queue_tasks where queue = q.name and status = 'waiting') w,
    lateral (select count(*)::float8 as n from queue_tasks where queue = q.name and status = 'running') r,
    lateral (select count(*)::float8 as n from queue_tasks where queue = q.name and status = 'dead') d
  order by q.id desc`;

function toQueue({ id, name, createdAtMs, oldestPendingMs, ...counts }: QueueRow): Queue {
  return { id, name, createdAtMs, oldestPendingMs, counts };
}

export async function findQueue(db: Db | Tx, name: string): Promise<Queue | null> {
  const { rows } = await db.execute<QueueRow>(counted(sql`select * from queues where name = ${name}`));
  return rows[0] === undefined ? null : toQueue(rows[0]);
}

/** Newest first. */
export async function listQueues(db: Db | Tx, page: PageRequest): Promise<Page<Queue>> {
  const after = page.after === null ? sql`` : sql`where id < ${page.after}`;
  const { rows } = await db.execute<QueueRow>(
    counted(sql`select * from queues ${after} order by id desc limit ${page.limit + 1}`),
  );
  return pageOf(rows, page, toQueue);
}

/** Live → cancelled. False: it has ended, or there is none. */
export async function cancelTask(db: Db | Tx, queue: string, id: string, nowMs: number): Promise<boolean> {
  const { rows } = await db.execute(sql`
    with moved as (
      update queue_tasks set status = 'cancelled', finished_at = ${toIso(nowMs)}
      where id = ${id} and queue = ${queue} and finished_at is null returning id
    ),
    counted as (
      update queues set cancelled = cancelled + 1 where name = ${queue} and exists (select from moved)
    )
    select id from moved`);
  return rows.length === 1;
}

/** dead → pending, as if never tried; its error stays until the next try. False: it is not dead, or there is none. */
export async function reviveTask(db: Db | Tx, queue: string, id: string, nowMs: number): Promise<boolean> {
  const result = await db.execute(sql`
    update queue_tasks set ${asNew(nowMs)} where id = ${id} and queue = ${queue} and status = 'dead'`);
  return result.rowCount === 1;
}

/** The same for up to `limit` that were dead at `nowMs`. Returns how many. */
export async function reviveTasks(db: Db | Tx, queue: string, limit: number, nowMs: number): Promise<number> {
  const result = await db.execute(sql`
    update queue_tasks set ${asNew(nowMs)} where id in (
      select id from queue_tasks where queue = ${queue} and status = 'dead' and finished_at <= ${toIso(nowMs)}
      order by id limit ${limit} for update skip locked
    )`);
  return result.rowCount ?? 0;
}

const asNew = (nowMs: number) =>
  sql`status = 'pending', due_at = ${toIso(nowMs)}, failures = 0, finished_at = null`;
