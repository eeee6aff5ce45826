/** Lines that jobs wrote, in the order they were written. */
import { toIso } from '../clock.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import type { RunLogLine } from '../runs/run.ts';
import { type ArrayValue, arrayParam } from './array-literal.ts';
import type { Db, Tx } from './client.ts';
import { and, asc, eq, sql } from './drizzle.ts';
import { pageBy } from './keyset-page.ts';
import { runLogs } from './schema.ts';

export type NewLogLine = {
  runId: string;
  attempt: number;
  seq: number;
  atMs: number;
  level: string;
  message: string;
};

/** Writing a line again, or one of a run that was pruned meanwhile, is no error. */
export async function insertLogLines(db: Db | Tx, lines: readonly NewLogLine[]): Promise<void> {
  const column = (value: (line: NewLogLine) => ArrayValue) => arrayParam(lines.map(value));
  await db.execute(sql`
    insert into run_logs (run_id, attempt, seq, at, level, message)
    select l.* from unnest(
      ${column((l) => l.runId)}::uuid[], ${column((l) => l.attempt)}::int[], ${column((l) => l.seq)}::int[],
      ${column((l) => toIso(l.atMs))}::timestamptz[], ${column((l) => l.level)}::text[],
      ${column((l) => l.message)}::text[]
    ) as l(run_id, attempt, seq, at, level, message)
    where exists (select from runs r where r.id = l.run_id)
    on conflict do nothing`);
}

/** Oldest first. The page's cursor is `attempt.seq`. */
export async function listLogLines(db: Db | Tx, runId: string, page: PageRequest): Promise<Page<RunLogLine>> {
  const [attempt, seq] = (page.after ?? '0.0').split('.').map(Number);
  const rows = await db
    .select()
    .from(runLogs)
    .where(
      and(
        eq(runLogs.runId, runId),
        sql`(${runLogs.attempt}, ${runLogs.seq}) > (${attempt ?? 0}, ${seq ?? 0})`,
      ),
    )
    .orderBy(asc(runLogs.attempt), asc(runLogs.seq))
    .limit(page.limit + 1);
  return pageBy(rows, page, toLine, ({ attempt, seq }) => `${attempt}.${seq}`);
}

function toLine({ seq, attempt, at, level, message }: typeof runLogs.$inferSelect): RunLogLine {
  return { seq, attempt, atMs: at.getTime(), level, message };
}
