/**
 * What a definition is held against before it is stored: its job type and input, the secrets and calendars that it names,
 * and whether its exclusions leave a time.
 */
import type { Db, Tx } from '../db/client.ts';
import { linkSecrets } from '../db/secret-store.ts';
import { type Issue, invalid, invalidAll } from '../errors.ts';
import { checkWithoutValues, referencesIn } from '../secrets/secret-references.ts';
import type { SecretService } from '../secrets/secret-service.ts';
import type { CalendarBook } from './calendar-book.ts';
import type { JobCatalog } from './job-catalog.ts';
import type { ScheduleSpec } from './schedule.ts';
import type { NextTime } from './schedule-next.ts';
import { neverAgain, nothingLeft, unknownCalendars } from './schedule-refusals.ts';
import { type Calendars, firstFire } from './trigger.ts';

/** All throw DomainError `invalid`, with pointers as in the POST body. */
export interface DefinitionChecks {
  job(db: Db | Tx, spec: ScheduleSpec): Promise<void>;
  /** An input of a job type; `pointer` is where it stands in the request. */
  input(tx: Tx, type: string, input: unknown, pointer: string): Promise<void>;
  /** Who is to be told: the secrets that it names, and whether mail can be sent at all. */
  notify(tx: Tx, spec: ScheduleSpec): Promise<void>;
  /** The calendars that it names. They stay as they are until the schedule is stored. */
  calendars(tx: Tx, spec: ScheduleSpec): Promise<Calendars>;
  /** Notes which secrets the schedule refers to, and keeps them from being deleted. */
  link(tx: Tx, id: string, spec: ScheduleSpec): Promise<void>;
}

export function createDefinitionChecks(parts: {
  jobs: JobCatalog;
  book: CalendarBook;
  secrets: Pick<SecretService, 'check'>;
  /** Whether mail can be sent. */
  canMail: boolean;
}): DefinitionChecks {
  const { jobs, book, secrets, canMail } = parts;

  /** As it will be with its secrets; those are for workers alone. */
  async function checkInput(db: Db | Tx, type: string, input: unknown, pointer: string): Promise<void> {
    const issues = [
      ...checkWithoutValues(input, (filled) => jobs.check(type, filled)),
      ...(await secrets.check(input, db)),
    ];
    if (issues.length === 0) return;
    throw invalidAll(issues.map((issue) => ({ ...issue, pointer: `${pointer}${issue.pointer}` })));
  }

  return {
    async job(db, { job }) {
      if (jobs.find(job.type) === undefined) {
        const known = jobs.list().map(({ type }) => type);
        throw invalid('/job/type', `There is no job type "${job.type}"; there are: ${known.join(', ')}.`);
      }
      await checkInput(db, job.type, job.input, '/job/input');
    },

    input: checkInput,

    async notify(tx, { notify = [] }) {
      const mails = notify.flatMap((each, index) => ('email' in each && !canMail ? [noMail(index)] : []));
      const issues = notify.length === 0 ? [] : await secrets.check(notify, tx);
      const all = [...mails, ...issues.map((issue) => ({ ...issue, pointer: `/notify${issue.pointer}` }))];
      if (all.length > 0) throw invalidAll(all);
    },

    async calendars(tx, { timing }) {
      const calendars = await book.hold(tx, timing);
      const issues = unknownCalendars(timing, calendars);
      if (issues.length > 0) throw invalidAll(issues);
      return calendars;
    },

    async link(tx, id, spec) {
      const [missing] = await linkSecrets(tx, id, secretsNamed(spec));
      if (missing === undefined) return;
      // Deleted since it was looked for.
      const detail = `There is no secret "${missing}". Create it with PUT /secrets/${encodeURIComponent(missing)}.`;
      throw invalid(referencesIn(spec.job.input).includes(missing) ? '/job/input' : '/notify', detail);
    },
  };
}

/** All that it refers to. */
export function secretsNamed({ job, notify = [] }: ScheduleSpec): string[] {
  return referencesIn([job.input, notify]);
}

function noMail(index: number): Issue {
  return {
    pointer: `/notify/${index}/email`,
    detail:
      'This service cannot send mail: set CARILLON_SMTP_URL and CARILLON_MAIL_FROM where it is started, or use a webhook.',
  };
}

/** A timing was checked piece by piece; only its exclusions together may leave nothing that can be found. */
export function computed(spec: ScheduleSpec, compute: () => NextTime): NextTime {
  try {
    return compute();
  } catch (error) {
    const { exclusions } = spec.timing;
    if (exclusions === undefined || !(error instanceof RangeError)) throw error;
    throw nothingLeft(exclusions);
  }
}

export function noTime({ timing, name }: ScheduleSpec, nowMs: number): Error {
  const { exclusions: _, ...plain } = timing;
  return neverAgain(timing, firstFire(plain, name, nowMs));
}
