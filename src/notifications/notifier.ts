/**
 * The notifier: makes notifications of what happened, and sends them until they arrive or are given up. One pass:
 *
 * 1. Look whether there is anything to do: one statement, twice a second, in an idle house.
 * 2. In one transaction: claim pending events (locked ones are passed over), write a notification per receiver, mark the
 *    events as told.
 * 3. Claim due notifications, a few of each receiver, and begin to send them. The pass does not wait for that: what a
 *    slow receiver takes holds up no other.
 * 4. Answer how long to sleep. A send that ends wakes the loop.
 *
 * Any number of processes may do this at once. On kill -9 before a commit nothing has happened; between a claim and the
 * record of its outcome the lease runs out, and the message is sent again with the same id: at least once, and the
 * receiver can tell.
 */
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import {
  type ClaimedNotification,
  claimNotifications,
  insertNotifications,
  pendingWork,
  recordTry,
  type TriedNotification,
} from '../db/notification-store.ts';
import { claimEvents, markTold } from '../db/notify-event-store.ts';
import { findRuns } from '../db/run-history-store.ts';
import { messageOf } from '../errors.ts';
import { decideRetry, type RetryPolicy } from '../runs/retry-policy.ts';
import { newId } from '../runs/run-id.ts';
import type { NotifyChannel } from '../schedules/notify.ts';
import { redactUrls } from '../secrets/redaction.ts';
import type { SecretService } from '../secrets/secret-service.ts';
import { deliveriesOf } from './deliveries.ts';
import type { MailSender } from './mail.ts';
import type { Message } from './message.ts';
import type { Sent } from './sent.ts';
import type { OpenedWebhook, WebhookSender } from './webhook.ts';

/** 5 s, 15 s, 45 s, … up to an hour: about three and a half hours in all. */
export const notificationRetry: RetryPolicy = {
  maxAttempts: 10,
  initialIntervalMs: 5_000,
  maxIntervalMs: 3_600_000,
  backoffCoefficient: 3,
  nonRetryableErrorTypes: [],
};

/** Longer than the longest try. */
export const leaseMs = 90_000;
const eventsPerPassMax = 200;
export const sendsAtOnceMax = 32;
export const sendsPerReceiverMax = 4;
/** Of one schedule. */
export const backlogMax = 1_000;
const idleSleepMsMax = 500;
const errorLengthMax = 1_000;

export type Outcome = 'delivered' | 'retried' | 'dead';

export type NotifierParts = {
  db: Db;
  clock: Clock;
  secrets: Pick<SecretService, 'resolve'>;
  webhook: WebhookSender;
  /** Null: another process must send the mails. */
  mail: MailSender | null;
  onOutcome(channel: NotifyChannel, outcome: Outcome): void;
  /** Told of sends that ended: another may begin. */
  onFree(): void;
  /** Told of events that cannot be read, and of outcomes that the database did not take: those are sent again. */
  onFault(error: unknown): void;
};

export type Notifier = {
  pass(): Promise<{ told: number; claimed: number; sleepMs: number }>;
  /** Resolves when nothing is being sent. */
  settled(): Promise<void>;
  /** Waits so long for what is being sent, then breaks it off. */
  close(graceMs: number): Promise<void>;
};

export function createNotifier(parts: NotifierParts): Notifier {
  const { db, clock, secrets, webhook, mail } = parts;
  const channels: NotifyChannel[] = mail === null ? ['webhook'] : ['webhook', 'email'];
  const sending = new Set<Promise<void>>();
  /** Receiver → how many are being sent to it. */
  const busy = new Map<string, number>();
  const closing = new AbortController();

  async function tellEvents(): Promise<number> {
    return await db.transaction(async (tx) => {
      const events = await claimEvents(tx, eventsPerPassMax);
      if (events.length === 0) return 0;
      const nowMs = clock.now();
      const runs = await findRuns(
        tx,
        events.flatMap(({ runId }) => runId ?? []),
      );
      const made = events.flatMap((event) => {
        try {
          const run = event.runId === null ? null : (runs.get(event.runId) ?? null);
          return deliveriesOf(event, run, () => newId(nowMs));
        } catch (error) {
          // One that cannot be read must not keep all others from being told.
          parts.onFault(error);
          return [];
        }
      });
      await insertNotifications(tx, made, nowMs, backlogMax);
      await markTold(tx, events, nowMs);
      return events.length;
    });
  }

  async function claim(): Promise<ClaimedNotification[]> {
    const free = closing.signal.aborted ? 0 : sendsAtOnceMax - sending.size;
    if (free === 0) return [];
    return await claimNotifications(db, {
      nowMs: clock.now(),
      leaseMs,
      limit: free,
      channels,
      // Who gets a few now gets more when these have ended.
      busy: [...busy.keys()],
      perReceiverMax: sendsPerReceiverMax,
    });
  }

  async function send({ id, target, payload }: ClaimedNotification): Promise<Sent> {
    if ('email' in target) return await mail!.send(id, target.email.to[0]!, payload as Message);
    let opened: Awaited<ReturnType<SecretService['resolve']>>;
    try {
      opened = await secrets.resolve(target.webhook);
    } catch (error) {
      // A secret may be there again, or be readable on another node.
      return { ok: false, error: messageOf(error), retryable: true };
    }
    const sent = await webhook.send(id, opened.input as OpenedWebhook, payload, closing.signal);
    return sent.ok ? sent : { ...sent, error: opened.redact(sent.error) };
  }

  async function attend(claimed: ClaimedNotification): Promise<void> {
    const sent = await send(claimed);
    const nowMs = clock.now();
    const tried = afterTry(claimed.attempts, sent, nowMs, closing.signal.aborted);
    if (!(await recordTry(db, claimed, tried, nowMs))) return;
    const outcome = tried.status === 'pending' ? 'retried' : tried.status;
    parts.onOutcome('email' in claimed.target ? 'email' : 'webhook', outcome);
  }

  function begin(claimed: ClaimedNotification): void {
    const { receiver } = claimed;
    busy.set(receiver, (busy.get(receiver) ?? 0) + 1);
    const work = attend(claimed)
      .catch((error) => parts.onFault(error))
      .finally(() => {
        sending.delete(work);
        const left = busy.get(receiver)! - 1;
        if (left === 0) busy.delete(receiver);
        else busy.set(receiver, left);
        parts.onFree();
      });
    sending.add(work);
  }

  return {
    async pass() {
      const { hasEvents, dueMs } = await pendingWork(db);
      const told = hasEvents ? await tellEvents() : 0;
      const isDue = told > 0 || (dueMs !== null && dueMs <= clock.now());
      const claimed = isDue ? await claim() : [];
      for (const each of claimed) begin(each);
      if (told > 0 || claimed.length > 0) return { told, claimed: claimed.length, sleepMs: 0 };
      // What is due and was not claimed waits for a receiver that is busy; the end of a send wakes the loop.
      const untilMs = dueMs === null || isDue ? idleSleepMsMax : dueMs - clock.now();
      return { told, claimed: 0, sleepMs: Math.min(Math.max(untilMs, 0), idleSleepMsMax) };
    },

    async settled() {
      while (sending.size > 0) await Promise.all(sending);
    },

    async close(graceMs) {
      const timer = setTimeout(() => closing.abort(new Error('The service shut down.')), graceMs);
      await Promise.all(sending);
      clearTimeout(timer);
      closing.abort(new Error('The service shut down.'));
    },
  };
}

/** `attempts`: this one included. What we broke off ourselves is tried again at once. */
function afterTry(attempts: number, sent: Sent, nowMs: number, isClosing: boolean): TriedNotification {
  if (sent.ok) return { status: 'delivered' };
  const error = redactUrls(sent.error).slice(0, errorLengthMax);
  const failure = {
    type: 'NotDelivered',
    retryable: sent.retryable,
    retryAfterMs: sent.retryAfterMs,
  };
  if (isClosing && sent.retryable) return { status: 'pending', error, nextAttemptAtMs: nowMs };
  const again = decideRetry(notificationRetry, attempts, failure);
  if (again === null) return { status: 'dead', error };
  return { status: 'pending', error, nextAttemptAtMs: nowMs + again.retryInMs };
}
