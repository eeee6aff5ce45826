/** A house with a notifier whose passes the test makes; receivers and the mail server are real. */
import { onTestFinished } from 'vitest';
import { listNotifications } from '../../src/db/notification-store.ts';
import { createTaskDispatcher } from '../../src/jobs/task/http-dispatcher.ts';
import { createMailSender, type MailSettings } from '../../src/notifications/mail.ts';
import { createNotifier, type Notifier, type NotifierParts } from '../../src/notifications/notifier.ts';
import { createWebhookSender } from '../../src/notifications/webhook.ts';
import type { Notification, Notify, NotifyKind } from '../../src/schedules/notify.ts';
import type { ScheduleView } from '../../src/schedules/schedule.ts';
import { type House, type PartialSpec, setupHouse, type TestWorker } from './house.ts';
import { testRetry } from './test-jobs.ts';
import { at, ms } from './timings.ts';

export const allKinds: NotifyKind[] = ['failure', 'success', 'recovered', 'missed', 'paused'];
export const once = { ...testRetry, maxAttempts: 1 };

export type NotifyRig = {
  house: House;
  worker: TestWorker;
  notifier: Notifier;
  outcomes: string[];
  /** Another one on the same database, as another process has it. */
  another(parts?: Partial<NotifierParts>): Notifier;
  /** Passes until nothing is due and nothing is being sent. */
  deliver(): Promise<void>;
  /** A schedule that never fires by itself, whose runs have one attempt. */
  create(notify: Notify[], partial?: PartialSpec): Promise<ScheduleView>;
  /** A run of it by hand, and how it ends. */
  run(schedule: ScheduleView, end: 'succeed' | 'fail' | 'time out'): Promise<void>;
  /** Oldest first. */
  of(schedule: ScheduleView): Promise<Notification[]>;
};

/**
 * The clock begins at the machine's time, since receivers refuse signatures of another. Everything is closed when the test has
 * finished.
 */
export async function setupNotifyRig(mail: MailSettings | null = null): Promise<NotifyRig> {
  const house = await setupHouse({ startMs: Math.floor(Date.now()), canMail: mail !== null });
  const worker = await house.worker();
  const dispatcher = createTaskDispatcher();
  const outcomes: string[] = [];
  const notifiers: Notifier[] = [];
  const sender = mail === null ? null : createMailSender(mail);
  const { db, clock, secrets } = house;
  const another = (parts: Partial<NotifierParts> = {}) => {
    const notifier = createNotifier({
      db,
      clock,
      secrets,
      webhook: createWebhookSender({ dispatcher, clock, version: '0' }),
      mail: sender,
      onOutcome: (channel, outcome) => outcomes.push(`${channel} ${outcome}`),
      onFree: () => undefined,
      onFault: (error) => {
        throw error;
      },
      ...parts,
    });
    notifiers.push(notifier);
    return notifier;
  };
  onTestFinished(async () => {
    await Promise.all(notifiers.map((each) => each.close(0)));
    sender?.close();
    await dispatcher.destroy();
    await house.close();
  });
  const notifier = another();
  await house.live(0);
  return {
    house,
    worker,
    notifier,
    outcomes,
    another,
    async deliver() {
      for (;;) {
        const { told, claimed } = await notifier.pass();
        await notifier.settled();
        if (told + claimed === 0) return;
      }
    },
    create: (notify, { job, ...partial } = {}) =>
      house.create({
        timing: at(ms('2999-01-01T00:00:00Z')),
        notify,
        ...partial,
        job: { retry: once, ...job },
      }),
    async run(schedule, end) {
      const { id } = await house.schedules.trigger(schedule.id, { overlap: 'allow' });
      const claimed = await worker.claim({ id, attempt: 1 });
      if (end === 'succeed') await worker.succeed(claimed!, { result: 'canary output' });
      else await worker.fail(claimed!, { timedOut: end === 'time out' });
      // So that ends have an order.
      house.clock.advance(1);
    },
    async of({ id }) {
      const { items } = await listNotifications(db, { scheduleId: id }, { limit: 200, after: null });
      return items.reverse();
    },
  };
}
