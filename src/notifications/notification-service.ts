/** Reading what was sent, and what could not be. */
import type { Db } from '../db/client.ts';
import { listNotifications } from '../db/notification-store.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import { scheduleIdOf } from '../runs/schedule-id.ts';
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
      const scheduleId = await scheduleIdOf(db, schedule, 'notifications');
      return await listNotifications(db, { scheduleId, ...filter }, page);
    },
  };
}
