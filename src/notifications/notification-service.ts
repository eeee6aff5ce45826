/** Reading what was sent, and what could not be. */
import type { Db } from '../db/client.ts';
import { listNotifications } from '../db/notification-store.ts';
import { findSchedule } from '../db/schedule-store.ts';
import { notFound } from '../errors.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import { isUuid } from '../runs/run-id.ts';
import type { Notification, NotificationStatus } from '../schedules/notify.ts';

export interface NotificationService {
  /** Newest first. `schedule`: an id, also of one that was deleted, or a name; unknown: DomainError `not_found`. */
  list(
    schedule: string,
    filter: { status?: NotificationStatus },
    page: PageRequest,
  ): Promise<Page<Notification>>;
}

export function createNotificationService({ db }: { db: Db }): NotificationService {
  return {
    async list(schedule, filter, page) {
      const scheduleId = isUuid(schedule) ? schedule : (await findSchedule(db, schedule))?.id;
      if (scheduleId === undefined) {
        throw notFound(
          `There is no schedule "${schedule}". GET /schedules lists them; the notifications of a deleted one are found by its id.`,
        );
      }
      return await listNotifications(db, { scheduleId, ...filter }, page);
    },
  };
}
