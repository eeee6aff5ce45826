/**
 * The whole of Carillon that a caller meets, over a real database: HTTP, services, stores. Nothing runs by itself; the
 * test moves the clock, dispatches, and plays the workers (house.ts).
 */
import { sql } from 'drizzle-orm';
import pino from 'pino';
import supertest, { type Response, type Test } from 'supertest';
import { buildApp, type HttpLimits } from '../../src/app.ts';
import { createHealth } from '../../src/health.ts';
import { houseJobs } from '../../src/jobs/house-jobs.ts';
import { createMetrics } from '../../src/metrics.ts';
import { type House, type HouseOptions, setupHouse } from './house.ts';

type Json = Record<string, unknown>;

export type ApiHouse = {
  readonly house: House;
  /** For what the methods below do not say: headers, odd methods, bodies that are not JSON. */
  readonly agent: ReturnType<typeof supertest>;
  /** Where it listens. */
  readonly address: string;
  get(path: string): Test;
  /** Without a body, when none is given. */
  post(path: string, body?: unknown): Test;
  put(path: string, body?: unknown): Test;
  patch(path: string, body?: unknown): Test;
  delete(path: string): Test;
  /** Posts a schedule that fires every minute and does nothing, with these fields instead; its answer. */
  create(name: string, fields?: Json): Promise<Response['body']>;
  /** A run of the schedule, by hand; its answer. */
  trigger(name: string, body?: Json): Promise<Response['body']>;
  /** Every table of the database: how many rows, and a digest of what is in them. */
  snapshot(): Promise<Record<string, string>>;
  /** Empties the database and sets the clock back, for the next test. */
  reset(): Promise<void>;
  close(): Promise<void>;
};

export type ApiHouseOptions = HouseOptions & { apiKey?: string; limits?: Partial<HttpLimits> };

/** A job that asks for nothing. */
export const noop = { type: 'noop' };
export const version = '1.2.3';

/** Settings of jobs that these tests describe and never run. */
const noBackups = { databaseUrl: 'postgres://nowhere/none', pgBin: null, path: null, s3: {} };

export async function setupApi({ apiKey, limits = {}, ...options }: ApiHouseOptions = {}): Promise<ApiHouse> {
  const house = await setupHouse({
    moreJobs: (queue) => houseJobs({ version, backup: noBackups, queue }),
    ...options,
  });
  const { clock, jobs, pool } = house;
  const app = await buildApp({
    ...house.services,
    jobCatalog: jobs.catalog,
    health: createHealth({ pool, clock, dispatching: null, worker: null, late: () => [] }),
    metrics: createMetrics(() => 0),
    clock,
    apiKey: apiKey ?? null,
    logger: pino({ level: 'silent' }),
    version,
    serveApi: true,
    limits,
  });
  const address = await app.listen({ port: 0, host: '127.0.0.1' });
  const agent = supertest(address);
  const withBody = (request: Test, body: unknown) =>
    body === undefined ? request : request.send(body as Json);

  const api: ApiHouse = {
    house,
    agent,
    address,
    get: (path) => agent.get(path),
    post: (path, body) => withBody(agent.post(path), body),
    put: (path, body) => withBody(agent.put(path), body),
    patch: (path, body) => withBody(agent.patch(path), body),
    delete: (path) => agent.delete(path),

    async create(name, fields = {}) {
      const timed = ['cron', 'every', 'at', 'delay'].some((field) => field in fields);
      const response = await api.post('/schedules', {
        name,
        ...(timed ? {} : { every: '1m' }),
        job: noop,
        ...fields,
      });
      if (response.status !== 201) throw new Error(`${name} was not created: ${response.text}`);
      return response.body;
    },

    async trigger(name, body = {}) {
      const response = await api.post(`/schedules/${name}/trigger`, body);
      if (response.status !== 202) throw new Error(`${name} was not triggered: ${response.text}`);
      return response.body;
    },

    async snapshot() {
      const { rows: tables } = await house.db.execute<{ name: string }>(sql`
        select format('%I.%I', n.nspname, c.relname) as name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')
        order by 1`);
      const parts = tables.map(
        ({ name }) => sql`select ${name}::text as name, count(*)::text || ' rows ' ||
          coalesce(md5(string_agg(t::text, '|' order by t::text)), '') as contents from ${sql.raw(name)} t`,
      );
      const { rows } = await house.db.execute<{ name: string; contents: string }>(
        sql.join(parts, sql` union all `),
      );
      return Object.fromEntries(rows.map(({ name, contents }) => [name, contents]));
    },

    reset: () => house.reset(),

    async close() {
      await app.close();
      await house.close();
    },
  };
  return api;
}
