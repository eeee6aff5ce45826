/** What is to be sent of an event: one notification for each receiver that asked for its kind. Pure. */
import type { Run } from '../runs/run.ts';
import { channelOf, type NewNotification, type NotifyEvent, type NotifyTarget } from '../schedules/notify.ts';
import { messageOfEvent } from './message.ts';

/** All mail goes to one server. */
export const mailReceiver = 'mail';

/** `newId` makes the id of each. The same receiver in two entries is told twice: they may differ in headers. */
export function deliveriesOf(event: NotifyEvent, run: Run | null, newId: () => string): NewNotification[] {
  const payload = messageOfEvent(event, run);
  return event.notify
    .filter(({ on }) => on.includes(event.kind))
    .flatMap(singleTargets)
    .map((target) => ({
      id: newId(),
      scheduleId: event.scheduleId,
      scheduleName: event.scheduleName,
      runId: run?.id ?? null,
      kind: event.kind,
      channel: channelOf(target),
      receiver: receiverOf(target),
      target,
      payload,
    }));
}

/** Each address gets a mail of its own: one that is refused is told as such, and none sees the others. */
function singleTargets(target: NotifyTarget): NotifyTarget[] {
  if ('webhook' in target) return [{ webhook: target.webhook }];
  return target.email.to.map((address) => ({ email: { to: [address] } }));
}

function receiverOf(target: NotifyTarget): string {
  if ('email' in target) return mailReceiver;
  const { url } = target.webhook;
  // With a reference to a secret in its host it is no URL yet.
  return URL.canParse(url) ? new URL(url).origin : url;
}
