/** What a command on a schedule is refused with. Each says the state and what to do. Pure. */
import { conflict, DomainError, invalid, notFound } from '../errors.ts';
import type { Schedule, Timing } from './schedule.ts';

export function isNotFound(error: unknown): error is DomainError {
  return error instanceof DomainError && error.code === 'not_found';
}

export function unknownSchedule(ref: string): DomainError {
  return notFound(`There is no schedule "${ref}". GET /schedules lists them, POST /schedules creates one.`);
}

export function nameTaken(name: string): DomainError {
  const detail = `The name "${name}" is taken. Choose another, or replace that schedule with PUT /schedules/${encodeURIComponent(name)}.`;
  return conflict(detail, [{ pointer: '/name', detail }]);
}

export function stoppedIsFinal(schedule: Schedule): DomainError {
  return conflict(
    `Schedule "${schedule.spec.name}" is stopped, which is final. Create a new one, or delete this one to use its name again.`,
  );
}

export function completedIsOver(schedule: Schedule, what: string): DomainError {
  return conflict(
    `Schedule "${schedule.spec.name}" is completed: it has no time left to fire, so it cannot be ${what}. Reschedule it first.`,
  );
}

export function notComputable(schedule: Schedule, why: string): DomainError {
  return conflict(
    `The next time of schedule "${schedule.spec.name}" cannot be computed (${why}), so it cannot be resumed. Reschedule it first.`,
  );
}

export function pauseTooLong(schedule: Schedule, timesMax: number): DomainError {
  return conflict(
    `The pause of schedule "${schedule.spec.name}" held back more than ${timesMax} fires, too many to run at once. Resume it with catchUp "latest" or "none", or shorten its catchUpWindow first.`,
  );
}

export function neverAgain(timing: Timing): DomainError {
  const { trigger, endAtMs } = timing;
  const inPast =
    trigger.kind === 'at'
      ? 'All its instants have passed or lie outside startAt and endAt'
      : 'It never fires';
  const window = endAtMs === null ? '' : ' before endAt';
  const pointer = { cron: '/cron', every: endAtMs === null ? '/every' : '/endAt', at: '/at' }[trigger.kind];
  return invalid(pointer, `${inPast}${window}; give it at least one time to come.`);
}
