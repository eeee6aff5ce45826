/** What callers of the API may ask for: a service per resource, all over the same connections. */
import { inputIssues } from './jobs/input-issues.ts';
import { httpTaskInput } from './jobs/task/task-input.ts';
import { createNotificationService, type NotificationService } from './notifications/notification-service.ts';
import { createQueueService, type QueueService } from './queues/queue-service.ts';
import { type BackupService, createBackupService } from './runs/backup-service.ts';
import { createRunService, type RunService } from './runs/run-service.ts';
import { type ApplyService, createApplyService } from './schedules/apply-service.ts';
import { type BackfillService, createBackfillService } from './schedules/backfill-service.ts';
import { type CalendarService, createCalendarService } from './schedules/calendar-service.ts';
import { createExplainService, type ExplainService } from './schedules/explain-service.ts';
import { createGroupService, type GroupService } from './schedules/group-service.ts';
import { createHistoryService, type HistoryService } from './schedules/history-service.ts';
import { createOutlookService, type OutlookService } from './schedules/outlook-service.ts';
import {
  createScheduleService,
  type ScheduleService,
  type ScheduleServiceParts,
} from './schedules/schedule-service.ts';
import { createWatermarkService, type WatermarkService } from './schedules/watermark-service.ts';
import type { SecretService } from './secrets/secret-service.ts';

export type Services = {
  schedules: ScheduleService;
  groups: GroupService;
  documents: ApplyService;
  history: HistoryService;
  explanations: ExplainService;
  calendars: CalendarService;
  secrets: SecretService;
  backups: BackupService;
  backfills: BackfillService;
  queues: QueueService;
  notifications: NotificationService;
  outlook: OutlookService;
  runs: RunService;
  watermarks: WatermarkService;
};

export type ServicesParts = ScheduleServiceParts & { secrets: SecretService };

export function createServices(parts: ServicesParts): Services {
  const { secrets } = parts;
  return {
    schedules: createScheduleService(parts),
    groups: createGroupService(parts),
    documents: createApplyService(parts),
    history: createHistoryService(parts),
    explanations: createExplainService(parts),
    calendars: createCalendarService(parts),
    secrets,
    backups: createBackupService(parts),
    backfills: createBackfillService(parts),
    queues: createQueueService({
      ...parts,
      checkInput: (input) => inputIssues(httpTaskInput, input, []),
    }),
    notifications: createNotificationService(parts),
    outlook: createOutlookService(parts),
    runs: createRunService(parts),
    watermarks: createWatermarkService(parts),
  };
}
