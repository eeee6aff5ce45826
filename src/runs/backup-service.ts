/** Reading what backup jobs stored. */
import { listBackups } from '../db/backup-store.ts';
import type { Db } from '../db/client.ts';
import type { Backup } from './backup.ts';
import type { Page, PageRequest } from './page.ts';
import { scheduleIdOf } from './schedule-id.ts';

export interface BackupService {
  /** Newest first. `schedule`: an id, also of one that was deleted, or a name; unknown: DomainError `not_found`. */
  list(filter: { schedule?: string }, page: PageRequest): Promise<Page<Backup>>;
}

export function createBackupService({ db }: { db: Db }): BackupService {
  return {
    async list({ schedule }, page) {
      if (schedule === undefined) return await listBackups(db, {}, page);
      return await listBackups(db, { scheduleId: await scheduleIdOf(db, schedule, 'backups') }, page);
    },
  };
}
