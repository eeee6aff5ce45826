/** The `backups` table: what was stored, where, and whether it was found whole. */
import type { Backup, NewBackup } from '../runs/backup.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import type { Db, Tx } from './client.ts';
import { and, asc, desc, eq, lt, type SQL, sql } from './drizzle.ts';
import { pageOf } from './keyset-page.ts';
import { backups } from './schema.ts';

/**
 * The backup of a run: made when its first attempt begins it, and taken up again by later ones. Its id is the second of
 * `atMs`, or the next one that is free.
 */
export async function beginBackup(db: Db, backup: NewBackup, atMs: number): Promise<string> {
  const known = await findBackupOfRun(db, backup.runId);
  if (known !== null) {
    await db
      .update(backups)
      .set({
        ...backup,
        status: 'writing',
        bytes: null,
        sha256: null,
        manifestSha256: null,
        finishedAt: null,
      })
      .where(eq(backups.id, known.id));
    return known.id;
  }
  for (let second = Math.floor(atMs / 1000); ; second += 1) {
    const id = backupId(second * 1000);
    const inserted = await db
      .insert(backups)
      .values({ ...backup, id, status: 'writing', createdAt: new Date(atMs) })
      .onConflictDoNothing({ target: backups.id })
      .returning({ id: backups.id });
    if (inserted.length === 1) return id;
  }
}

function backupId(ms: number): string {
  return `backup-${new Date(ms).toISOString().replaceAll(/\D/g, '').slice(0, 14)}`;
}

export type WrittenBackup = { bytes: number; sha256: string; manifestSha256: string | null };

export async function finishBackup(
  db: Db | Tx,
  id: string,
  written: WrittenBackup,
  atMs: number,
): Promise<void> {
  await db
    .update(backups)
    .set({ ...written, status: 'written', finishedAt: new Date(atMs) })
    .where(eq(backups.id, id));
}

export async function markBackup(db: Db | Tx, id: string, status: 'valid' | 'damaged'): Promise<void> {
  await db.update(backups).set({ status }).where(eq(backups.id, id));
}

export async function findBackup(db: Db | Tx, id: string): Promise<Backup | null> {
  const [row] = await db.select().from(backups).where(eq(backups.id, id)).limit(1);
  return row === undefined ? null : toBackup(row);
}

async function findBackupOfRun(db: Db | Tx, runId: string): Promise<Backup | null> {
  const [row] = await db.select().from(backups).where(eq(backups.runId, runId)).limit(1);
  return row === undefined ? null : toBackup(row);
}

/** All of a schedule, oldest first. */
export async function backupsOf(db: Db | Tx, scheduleId: string): Promise<Backup[]> {
  const rows = await db
    .select()
    .from(backups)
    .where(eq(backups.scheduleId, scheduleId))
    .orderBy(asc(backups.id));
  return rows.map(toBackup);
}

/** Newest first. */
export async function listBackups(
  db: Db | Tx,
  filter: { scheduleId?: string },
  page: PageRequest,
): Promise<Page<Backup>> {
  const conditions: SQL[] = [];
  if (page.after !== null) conditions.push(lt(backups.id, page.after));
  if (filter.scheduleId !== undefined) conditions.push(eq(backups.scheduleId, filter.scheduleId));
  const rows = await db
    .select()
    .from(backups)
    .where(and(...conditions))
    .orderBy(desc(backups.id))
    .limit(page.limit + 1);
  return pageOf(rows, page, toBackup);
}

/** False when another backup goes on from it. */
export async function deleteBackup(db: Db | Tx, id: string): Promise<boolean> {
  const result = await db.execute(sql`
    delete from backups b where id = ${id} and not exists (select from backups n where n.base_id = b.id)`);
  return result.rowCount === 1;
}

function toBackup(row: typeof backups.$inferSelect): Backup {
  const { createdAt, finishedAt, kind, sourceKind, status, ...rest } = row;
  return {
    ...rest,
    kind: kind as Backup['kind'],
    sourceKind: sourceKind as Backup['sourceKind'],
    status: status as Backup['status'],
    createdAtMs: createdAt.getTime(),
    finishedAtMs: finishedAt?.getTime() ?? null,
  };
}
