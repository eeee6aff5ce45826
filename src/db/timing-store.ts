/** The times of many schedules, for who looks at all of them. */
import type { Timing } from '../schedules/schedule.ts';
import type { Db, Tx } from './client.ts';
import { sql } from './drizzle.ts';
import { epochMs } from './epoch-ms.ts';
import { type TimingColumns, toTiming } from './schedule-row.ts';

export type NamedTiming = { id: string; name: string; timing: Timing };

/** Active schedules by id, ascending, after `afterId` (null: from the first). */
export async function listActiveTimings(
  db: Db | Tx,
  afterId: string | null,
  limit: number,
): Promise<NamedTiming[]> {
  const { rows } = await db.execute<{ id: string; name: string } & TimingColumns>(sql`
    select id, name, trigger, timezone, dst, exclusions,
      ${epochMs('start_at')} as "startAtMs",
      ${epochMs('end_at')} as "endAtMs"
    from schedules where status = 'active' ${afterId === null ? sql`` : sql`and id > ${afterId}`}
    order by id limit ${limit}`);
  return rows.map((row) => ({ id: row.id, name: row.name, timing: toTiming(row) }));
}

/** How many schedules are due from `fromMs` to before `untilMs`, counted up to `limit`. */
export async function countDue(db: Db | Tx, fromMs: number, untilMs: number, limit: number): Promise<number> {
  const { rows } = await db.execute<{ n: number }>(sql`
    select count(*)::int as n from (
      select from schedule_states
      where due_at >= to_timestamp(${fromMs}::float8 / 1000) and due_at < to_timestamp(${untilMs}::float8 / 1000)
      limit ${limit}
    ) s`);
  return rows[0]!.n;
}
