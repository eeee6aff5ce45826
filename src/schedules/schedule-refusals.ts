/** What a command on a schedule is refused with. Each says the state and what to do. Pure. */
import { conflict, DomainError, type Issue, invalid, notFound } from '../errors.ts';
import { calendarsOf } from './exclusion.ts';
import type { Exclusions, Schedule, ScheduleStatus, Timing } from './schedule.ts';

export function isNotFound(error: unknown): error is DomainError {
  return error instanceof DomainError && error.code === 'not_found';
}

export function unknownSchedule(ref: string): DomainError {
  return notFound(`There is no schedule "${ref}". GET /schedules lists them, POST /schedules creates one.`);
}

/** `holder`: the status of the schedule that has the name. */
export function nameTaken(name: string, holder: ScheduleStatus): DomainError {
  const path = `/schedules/${encodeURIComponent(name)}`;
  const detail =
    holder === 'stopped'
      ? `The name "${name}" is taken by a stopped schedule. Choose another, or delete that one first with DELETE ${path}.`
      : `The name "${name}" is taken. Choose another, or replace that schedule with PUT ${path}.`;
  return conflict(detail, [{ pointer: '/name', detail }]);
}

export function stoppedIsFinal(schedule: Schedule): DomainError {
  return conflict(
    `Schedule "${schedule.spec.name}" is stopped, which is final. Create a new one; to use its name again, first DELETE /schedules/${encodeURIComponent(schedule.spec.name)}.`,
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

export function unknownVersion({ spec, version: present }: Schedule, version: number): DomainError {
  const path = `/schedules/${encodeURIComponent(spec.name)}/history`;
  const why = version > present ? `it is at version ${present}` : 'that one is not on record any more';
  const detail = `Schedule "${spec.name}" has no version ${version}: ${why}. GET ${path} lists what there is.`;
  return new DomainError('not_found', detail, [{ pointer: '/version', detail }]);
}

/** What is wrong with a definition that was in force once: a fault of its time, not of the request. */
export function notRestorable({ spec }: Schedule, version: number, error: unknown): unknown {
  if (!(error instanceof DomainError) || (error.code !== 'invalid' && error.code !== 'conflict'))
    return error;
  const where = error.issues.map(({ pointer }) => pointer).filter((pointer) => pointer !== '');
  const detail = `Version ${version} of schedule "${spec.name}" cannot come back as it was${where.length > 0 ? ` (${where.join(', ')})` : ''}: ${error.message} Mend that first, or PATCH the schedule instead.`;
  return conflict(detail, [{ pointer: '/version', detail }]);
}

export function pauseTooLong(schedule: Schedule, timesMax: number): DomainError {
  return conflict(
    `The pause of schedule "${schedule.spec.name}" held back more than ${timesMax} fires, too many to run at once. Resume it with catchUp "latest" or "none", or shorten its catchUpWindow first.`,
  );
}

/** `without`: what the trigger would name next without its exclusions. */
export function neverAgain(timing: Timing, without: number | null): DomainError {
  const { trigger, endAtMs, exclusions } = timing;
  if (without !== null && exclusions !== undefined) return nothingLeft(exclusions);
  const inPast =
    trigger.kind === 'at'
      ? 'All its instants have passed or lie outside startAt and endAt'
      : 'It never fires';
  const window = endAtMs === null ? '' : ' before endAt';
  const counts = trigger.kind === 'every' || trigger.kind === 'delay';
  const pointer = counts && endAtMs !== null ? '/endAt' : `/${trigger.kind}`;
  return invalid(pointer, `${inPast}${window}; give it at least one time to come.`);
}

/** Exclusions that allow none of the trigger's times, or none that could be found. */
export function nothingLeft(exclusions: Exclusions): DomainError {
  const pointer = exclusions.only.length > 0 ? '/only' : '/exclude';
  return invalid(
    pointer,
    'With what `exclude` and `only` leave out it never fires, as far as could be looked; leave it at least one time to come.',
  );
}

/** The items of a timing's exclusions that name a calendar which there is not. */
export function unknownCalendars({ exclusions }: Timing, known: ReadonlyMap<string, unknown>): Issue[] {
  if (exclusions === undefined) return [];
  return (['exclude', 'only'] as const).flatMap((list) =>
    exclusions[list].flatMap((item, index) => {
      const [name] = calendarsOf([item]);
      if (name === undefined || known.has(name)) return [];
      const detail = `There is no calendar "${name}". Create it with PUT /calendars/${encodeURIComponent(name)}.`;
      return [{ pointer: `/${list}/${index}`, detail }];
    }),
  );
}

export function unknownCalendar(name: string): DomainError {
  return notFound(
    `There is no calendar "${name}". GET /calendars lists them, PUT /calendars/{name} creates one.`,
  );
}

/** `users`: some of the schedules that name it. */
export function calendarInUse(name: string, users: readonly string[], more: boolean): DomainError {
  return conflict(
    `Calendar "${name}" is in use by ${users.map((user) => `"${user}"`).join(', ')}${more ? ' and others' : ''}. Take it out of their "exclude" and "only" first.`,
  );
}

/** Of a document of schedules: `index` has the name that `other` has. */
export function namedTwice(index: number, name: string, other: number): Issue {
  const detail = `\`schedules[${index}]\` has the name "${name}" of \`schedules[${other}]\`; give each a name of its own.`;
  return { pointer: `/schedules/${index}/name`, detail };
}

/** The next apply with this prune would not know it for one of its own. */
export function lacksLabel(index: number, name: string, label: string): Issue {
  const detail = `Schedule "${name}" lacks the label "${label}" of \`prune\`; add it, so that the next apply knows it for one of its own.`;
  return { pointer: `/schedules/${index}/labels`, detail };
}

export function pruneTooMany(label: string, max: number): DomainError {
  return invalid(
    '/prune/label',
    `More than ${max} schedules with the label "${label}" are not in the document; delete some of them first, or use a narrower label.`,
  );
}
