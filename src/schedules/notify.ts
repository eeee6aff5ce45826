/** Who is told what of a schedule. Pure. */

export const notifyKinds = ['failure', 'success', 'recovered', 'missed', 'paused'] as const;
export type NotifyKind = (typeof notifyKinds)[number];

/** Texts may have references to secrets in them; a key to sign with is always one. */
export type WebhookTarget = {
  url: string;
  secret?: { $secret: string };
  headers?: Readonly<Record<string, string>>;
};

export type EmailTarget = { to: readonly string[] };

export type NotifyTarget = { webhook: WebhookTarget } | { email: EmailTarget };

export type Notify = NotifyTarget & { on: readonly NotifyKind[] };

/** Something that happened, as the outbox has it. */
export type NotifyEvent = {
  /** What makes it one thing: mostly the id of the run, also of one that is not there (yet). */
  key: string;
  kind: NotifyKind;
  runId: string | null;
  scheduleId: string;
  scheduleName: string;
  atMs: number;
  /** For a time without a run. */
  scheduledForMs: number | null;
  note: string | null;
  notify: readonly Notify[];
};

export type NotifyChannel = 'webhook' | 'email';

export function channelOf(target: NotifyTarget): NotifyChannel {
  return 'webhook' in target ? 'webhook' : 'email';
}

export const notificationStatuses = ['pending', 'delivered', 'dead'] as const;
export type NotificationStatus = (typeof notificationStatuses)[number];

/** A message to one receiver. */
export type NewNotification = {
  id: string;
  scheduleId: string;
  scheduleName: string;
  /** Null without a run, or before it is there. */
  runId: string | null;
  kind: NotifyKind;
  channel: NotifyChannel;
  /** Receivers with the same share a few tries at once. */
  receiver: string;
  target: NotifyTarget;
  payload: unknown;
};

export type Notification = NewNotification & {
  status: NotificationStatus;
  /** Those begun. */
  attempts: number;
  nextAttemptAtMs: number | null;
  lastError: string | null;
  createdAtMs: number;
  finishedAtMs: number | null;
};

/** What anyone at all wants to be told; null for nothing, which is what nearly every schedule has. */
export function kindsOf(notify: readonly Notify[] | undefined): NotifyKind[] | null {
  const wanted = new Set(notify?.flatMap(({ on }) => on));
  return wanted.size === 0 ? null : notifyKinds.filter((kind) => wanted.has(kind));
}

/** A target for readers: where to, without what may follow a "?". */
export function describeTarget(target: NotifyTarget): string {
  if ('email' in target) return target.email.to.join(', ');
  return target.webhook.url.replace(/[?#].*$/s, '');
}

/** Who is told of a kind, for readers. */
export function receiversOf(notify: readonly Notify[] | undefined, kind: NotifyKind): string[] {
  return (notify ?? [])
    .filter(({ on }) => on.includes(kind))
    .map((target) => `${channelOf(target)} ${describeTarget(target)}`);
}
