/** /schedules/{id}/notifications: what a schedule's receivers were told, and what they could not be. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import type { NotificationService } from '../notifications/notification-service.ts';
import { describeTarget, type Notification, notificationStatuses, notifyKinds } from '../schedules/notify.ts';
import { problems, scheduleRef } from './documented.ts';
import { presentInstant } from './instant-wire.ts';
import { pageOf, pageQuery, presentPage, toPageRequest } from './page-wire.ts';
import { toRef } from './schedule-name.ts';
import type { ZodApp } from './zod-validation.ts';

const time = z.string().meta({ format: 'date-time' });

export const notificationAnswer = z
  .object({
    id: z.string().meta({ format: 'uuid', description: 'Also its `webhook-id`.' }),
    scheduleId: z.string().meta({ format: 'uuid' }),
    scheduleName: z.string(),
    runId: z.string().nullable().describe('Null when it is about none, or about one that is not there yet.'),
    on: z.enum(notifyKinds),
    channel: z.enum(['webhook', 'email']),
    target: z.string().describe('Where to, with references in place of secrets.'),
    status: z.enum(notificationStatuses).describe('`dead` was given up.'),
    attempts: z.int(),
    nextAttemptAt: time.nullable().describe('While one is being made: when it is taken for lost.'),
    lastError: z.string().nullable(),
    createdAt: time,
    finishedAt: time.nullable(),
  })
  .meta({ id: 'Notification', description: 'A message to one receiver, and how far it is.' });

export function notificationRoutes(app: ZodApp, notifications: NotificationService): void {
  app.get(
    '/schedules/:id/notifications',
    {
      schema: {
        tags: ['schedules'],
        operationId: 'listNotifications',
        summary: "List a schedule's notifications",
        description: 'Newest first, in pages: to whom, how often it was tried, and what came back.',
        params: scheduleRef,
        querystring: z.strictObject({ status: z.enum(notificationStatuses).optional(), ...pageQuery }),
        response: { 200: pageOf(notificationAnswer), ...problems(400, 404) },
      },
    },
    async (request, reply) => {
      const { status, ...page } = request.query;
      const found = await notifications.list(
        toRef(request.params.id),
        status === undefined ? {} : { status },
        toPageRequest('notifications', page),
      );
      return presentPage('notifications', found, presentNotification, request, reply);
    },
  );
}

function presentNotification(each: Notification): z.output<typeof notificationAnswer> {
  return {
    id: each.id,
    scheduleId: each.scheduleId,
    scheduleName: each.scheduleName,
    runId: each.runId,
    on: each.kind,
    channel: each.channel,
    target: describeTarget(each.target),
    status: each.status,
    attempts: each.attempts,
    nextAttemptAt: presentInstant(each.nextAttemptAtMs),
    lastError: each.lastError,
    createdAt: toIso(each.createdAtMs),
    finishedAt: presentInstant(each.finishedAtMs),
  };
}
