/** Versions of schedules, for readers: who changed what. It only reads. */
import type { Db } from '../db/client.ts';
import { findSchedule } from '../db/schedule-store.ts';
import { findVersion, listVersions } from '../db/schedule-version-store.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import { isUuid } from '../runs/run-id.ts';
import { unknownSchedule } from './schedule-refusals.ts';
import type { ScheduleVersion } from './schedule-version.ts';

/** A version and the one before it, which is null for the first one that is on record. */
export type HistoryEntry = { version: ScheduleVersion; before: ScheduleVersion | null };

export interface HistoryService {
  /** Newest first. Of a deleted schedule too, by its id. DomainError `not_found` for what never was, or is forgotten. */
  list(ref: string, page: PageRequest): Promise<Page<HistoryEntry>>;
}

export function createHistoryService({ db }: { db: Db }): HistoryService {
  return {
    async list(ref, page) {
      const found = await findSchedule(db, ref);
      if (found === null && !isUuid(ref)) throw unknownSchedule(ref);
      const { items, next } = await listVersions(db, found?.id ?? ref, page);
      // A page may be empty because there is nothing before its cursor.
      if (found === null && items.length === 0 && page.after === null) throw unknownSchedule(ref);
      const last = items.at(-1);
      const before = last === undefined ? null : await findVersion(db, last.scheduleId, last.version - 1);
      return {
        items: items.map((version, index) => ({ version, before: items[index + 1] ?? before })),
        next,
      };
    },
  };
}
