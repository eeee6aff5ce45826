/** Reading what backup jobs stored. */
import { listBackups } from '../db/backup-store.ts';
import type { Db } from '../db/client.ts';
import { findSchedule } from '../db/schedule-store.ts';
import { notFound } from '../errors.ts';
import type { Backup } from './backup.ts';
import type { Page, PageRequest } from './page.ts';
import { isUuid } from './run-id.ts';

export interface BackupService {
  /** Newest first. `schedule`: an id, also of one that was deleted, or a name; unknown: DomainError `not_found`. */
  list(filter: { schedule?: string }, page: PageRequest): Promise<Page<Backup>>;
}

export function createBackupService({ db }: { db: Db }): BackupService {
  return {
    async list({ schedule }, page) {
      if (schedule === undefined) return await listBackups(db, {}, page);
      const scheduleId = isUuid(schedule) ? schedule : (await findSchedule(db, schedule))?.id;
      if (scheduleId === undefined) {
        throw notFound(
          `There is no schedule "${schedule}". GET /schedules lists them; the backups of a deleted one are found by its id.`,
        );
      }
      return await listBackups(db, { scheduleId }, page);
    },
  };
}
