/** A session with a database at one end of a sync: values as texts, faults as a job's, and it ends with the signal. */
import pg from 'pg';
import { codeOf, messageOf } from '../../errors.ts';
import { type PgConnection, readConnection } from '../postgres/pg-connection.ts';
import { connectAny, hangUp } from '../postgres/pg-session.ts';
import { type DatabaseRole, sessionFault } from '../postgres/pg-session-faults.ts';
import { invalidConfiguration } from '../storage/target-faults.ts';

/** So that texts of values mean the same at both ends, and a session whose client is gone does not work on. */
const settings = `select set_config(s.name, v.value, false)
  from (values ('TimeZone', 'UTC'), ('DateStyle', 'ISO, MDY'), ('IntervalStyle', 'postgres'), ('bytea_output', 'hex'),
    ('extra_float_digits', '1'), ('client_connection_check_interval', '2s')) as v(name, value)
  join pg_settings s on lower(s.name) = lower(v.name)`;

/** How long a cancelled attempt may take to tell the server. */
const cancelMsMax = 700;

const asTexts: pg.CustomTypesConfig = {
  getTypeParser: (() => (text: string) => text) as unknown as pg.CustomTypesConfig['getTypeParser'],
};

export type PgAnswer = { rows: (string | null)[][]; fields: pg.FieldDef[]; count: number };
export type PgStatement = {
  text: string;
  values?: readonly unknown[] /** Planned once for it. */;
  name?: string;
};

export class PgLink {
  readonly #connection: PgConnection;
  readonly #role: DatabaseRole;
  #client: Promise<pg.Client> | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(url: string, role: DatabaseRole) {
    this.#connection = readConnection(url);
    this.#role = role;
  }

  /** For messages. */
  get label(): string {
    return this.#connection.label;
  }

  /** Faults of the server stay what they are, for who can tell what they mean (`fault`). */
  async ask({ text, values = [], name }: PgStatement, signal: AbortSignal): Promise<PgAnswer> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => undefined);
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      this.#client ??= this.#connect(aborted.promise);
      this.#client.catch(() => undefined);
      const client = await this.#client;
      const query = {
        text,
        values: [...values],
        rowMode: 'array' as const,
        ...(name !== undefined && { name }),
      };
      const answer = await Promise.race([this.#inTurn(() => client.query(query)), aborted.promise]);
      return { rows: answer.rows, fields: answer.fields, count: answer.rowCount ?? 0 };
    } catch (error) {
      if (!signal.aborted) throw error;
      await this.#giveUp();
      throw signal.reason;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** As `ask`, with faults as a job's. */
  async rows(statement: PgStatement, signal: AbortSignal): Promise<(string | null)[][]> {
    try {
      return (await this.ask(statement, signal)).rows;
    } catch (error) {
      throw signal.aborted ? signal.reason : this.fault(error);
    }
  }

  fault(error: unknown): Error {
    // Statements are made of what the schedule says: what the server does not understand of them is to be corrected there.
    if (/^(42(?!501)|22|0A)/.test(codeOf(error)))
      return invalidConfiguration(`Not understood by ${this.label}: ${this.redacted(messageOf(error))}.`);
    return sessionFault(error, this.#connection, this.#role);
  }

  /** What the server says, without what is secret. */
  redacted(text: string): string {
    return this.#connection.redacted(text);
  }

  close(): void {
    const client = this.#client;
    this.#client = undefined;
    client?.then(hangUp, () => undefined);
  }

  /** One statement at a time: the driver will not queue them for ever. */
  #inTurn<T>(ask: () => Promise<T>): Promise<T> {
    const asked = this.#last.then(ask, ask);
    this.#last = asked;
    return asked;
  }

  /** A statement that waits or computes is cancelled at the server, which would not notice for a while that we are gone. */
  async #giveUp(): Promise<void> {
    const client = await this.#client?.catch(() => undefined);
    const { processID } = (client ?? {}) as { processID?: number };
    if (processID !== undefined) {
      const late = Promise.withResolvers<never>();
      late.promise.catch(() => undefined);
      const timer = setTimeout(() => late.reject(new Error('too late')), cancelMsMax);
      const other = connectAny(this.#configs(), late.promise);
      const cancel = other.then((session) => session.query('select pg_cancel_backend($1)', [processID]));
      await Promise.race([cancel, late.promise]).catch(() => undefined);
      clearTimeout(timer);
      other.then(hangUp, () => undefined);
    }
    this.close();
  }

  #configs(): pg.ClientConfig[] {
    return this.#connection.configs().map((config) => ({
      ...config,
      application_name: 'carillon-sync',
      keepAlive: true,
      types: asTexts,
    }));
  }

  async #connect(aborted: Promise<never>): Promise<pg.Client> {
    const client = await connectAny(this.#configs(), aborted);
    await client.query(settings);
    return client;
  }
}

/** A name as SQL has it, whatever it is. */
export const quoted = (name: string) => pg.escapeIdentifier(name);
