/**
 * The whole house on one page: builds every part, connects them, starts them in order, and stops them in the reverse.
 * Whoever opens something here closes it here.
 */
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { buildApp } from './app.ts';
import { type Background, createBackground } from './background.ts';
import { createClock } from './clock.ts';
import type { Config, Role } from './config.ts';
import { type Db, openDatabase, openPool, readDatabaseClock } from './db/client.ts';
import { migrate } from './db/migrate.ts';
import { nameSecretUsers } from './db/secret-store.ts';
import { dispatchHerd, sleepAfter } from './dispatcher/dispatcher.ts';
import { pruneEveryMs, prunePass, prunePauseMs } from './dispatcher/pruner.ts';
import { createPulse, pulseEveryMs } from './dispatcher/pulse.ts';
import { createRescuer, rescueEveryMs } from './dispatcher/rescuer.ts';
import { createServedQueues, refreshServedEveryMs } from './dispatcher/served-queues.ts';
import { createHealth } from './health.ts';
import { type HouseJobSettings, houseJobs } from './jobs/house-jobs.ts';
import type { JobModule } from './jobs/isolated-protocol.ts';
import type { JobType } from './jobs/job.ts';
import { createJobRegistry } from './jobs/registry.ts';
import { createTaskDispatcher } from './jobs/task/http-dispatcher.ts';
import { createWorker } from './jobs/worker.ts';
import { createMetrics } from './metrics.ts';
import { createBackupService } from './runs/backup-service.ts';
import { createRunService } from './runs/run-service.ts';
import { createWatermarkService } from './runs/watermark-service.ts';
import { createCalendarBook } from './schedules/calendar-book.ts';
import { createCalendarService } from './schedules/calendar-service.ts';
import { createOutlookService } from './schedules/outlook-service.ts';
import { createScheduleService } from './schedules/schedule-service.ts';
import { secretKeySource } from './secrets/secret-key.ts';
import { createSecretService } from './secrets/secret-service.ts';

export type Service = {
  app: FastifyInstance;
  /** Where the API listens, e.g. `http://127.0.0.1:3000`. */
  address: string;
  /** Drains and closes everything that was opened here. Safe to call twice. */
  stop(): Promise<void>;
};

export type ComposeOptions = {
  config: Config;
  databaseUrl: string;
  logger: Logger;
  version: string;
  /** Job types beside those of the house; benchmarks and tests bring theirs. */
  moreJobs?: readonly JobType[];
  /** Where the processes of isolated runs find them. */
  jobModule?: JobModule;
};

const clockSyncEveryMs = 10_000;
const secretUsersTold = 20;
/** Only what a node left undone when it died; who writes a calendar sees to its schedules at once. */
const applyCalendarsEveryMs = 10_000;
/** A correction beyond this is worth a line in the log. */
const clockStepToldMs = 500;
/** Of the connections that this process may hold, graphile's pools get this share, at least enough to listen. */
const graphileShare = 0.4;
/**
 * Of the rest, what callers of the API may hold, all together: however many wait for one schedule's lock, fires, leases
 * and the clock have connections of their own.
 */
const callersShare = 0.4;

export async function startService({
  config,
  databaseUrl,
  logger,
  version,
  moreJobs = [],
  jobModule: otherModule,
}: ComposeOptions): Promise<Service> {
  const has = (role: Role) => config.roles.includes(role);
  await migrate(databaseUrl);

  const clock = createClock();
  const graphileConnections = Math.max(
    config.workers.size + 1,
    Math.floor(config.databaseConnectionsMax * graphileShare),
  );
  const onFault = (error: Error) =>
    logger.debug({ err: error }, `a connection to Postgres was lost: ${error.message}`);
  const others = Math.max(6, config.databaseConnectionsMax - (has('worker') ? graphileConnections : 0));
  const callers = Math.floor(others * callersShare);
  const open = (name: string, connectionsMax: number) =>
    openDatabase({ url: databaseUrl, connectionsMax, name, onFault });
  const { db, pool, close } = open('carillon', others - callers);
  const api = open('carillon api', callers);
  const readClock = () => readDatabaseClock(pool);
  await clock.sync(readClock);

  const httpClients = createTaskDispatcher();
  const settings: HouseJobSettings = { version, backup: { databaseUrl, ...config.backup } };
  const jobModule = otherModule ?? { url: import.meta.resolve('./jobs/house-jobs.ts'), settings };
  const jobs = createJobRegistry([...houseJobs({ dispatcher: httpClients, ...settings }), ...moreJobs]);
  const book = createCalendarBook();
  const key = secretKeySource(config.secretKey, config.dataDir);
  const secretsOn = (on: Db) =>
    createSecretService({
      db: on,
      clock,
      key,
      usersOf: (name) => nameSecretUsers(on, name, secretUsersTold),
    });
  const secrets = secretsOn(api.db);
  const metrics = createMetrics(() => worker?.live ?? 0);
  const served = createServedQueues(db, has('worker') ? [...config.workers.keys()] : []);
  await served.refresh();

  const background: Background[] = [];
  const keepUp = (name: string, pass: () => Promise<number>): Background => {
    const each = createBackground({ clock, logger, onFault: metrics.fault }, name, pass);
    background.push(each);
    return each;
  };

  keepUp('clock', async () => {
    const stepMs = await clock.sync(readClock);
    if (Math.abs(stepMs) > clockStepToldMs)
      logger.warn(`the clock was corrected by ${Math.round(stepMs)} ms to the database's`);
    return clockSyncEveryMs;
  });
  keepUp('served queues', async () => {
    await served.refresh();
    return refreshServedEveryMs;
  });

  let dispatching: Background | null = null;
  if (has('dispatcher')) {
    const pulse = createPulse({ db, clock });
    const rescuer = createRescuer({ db, clock, logger, served: served.names });
    keepUp('pulse', async () => {
      await pulse.beat();
      return pulseEveryMs;
    });
    dispatching = keepUp('dispatcher', async () => {
      const startedAtMs = clock.monotonic();
      const counts = await dispatchHerd({ db, clock, pulse, book, served: served.names });
      metrics.dispatched(counts, clock.monotonic() - startedAtMs);
      if (counts.faults > 0)
        logger.error(
          `${counts.faults} schedules have no next time that could be computed; see their "fault"`,
        );
      return sleepAfter(counts, clock.now());
    });
    keepUp('rescuer', async () => {
      await rescuer.pass();
      return rescueEveryMs;
    });
    const { retentionDays } = config;
    if (retentionDays !== null) {
      keepUp('pruner', async () =>
        (await prunePass({ db, clock, retentionDays })).more ? prunePauseMs : pruneEveryMs,
      );
    }
  }

  const graphilePool = has('worker')
    ? openPool({
        url: databaseUrl,
        connectionsMax: graphileConnections,
        name: 'carillon graphile',
        // Doorbells are not the truth: one that a crash brings back finds nothing to claim.
        durable: false,
        // Four instants to each doorbell; parsing them would cost a twentieth of a run.
        parsesInstants: false,
        onFault,
      })
    : null;
  const worker =
    graphilePool === null
      ? null
      : createWorker({
          db,
          pgPool: graphilePool,
          clock,
          logger,
          jobs,
          workers: config.workers,
          served: served.names,
          events: metrics.worker,
          jobModule,
          secrets: secretsOn(db),
        });

  const onChange = () => dispatching?.wake();
  const schedules = createScheduleService({
    db: api.db,
    clock,
    jobs: jobs.catalog,
    book,
    secrets,
    served: served.names,
    onChange,
  });
  const calendars = createCalendarService({ db: api.db, clock, book, onChange });
  if (has('dispatcher')) {
    keepUp('calendars', async () => {
      await calendars.applyPass();
      return applyCalendarsEveryMs;
    });
  }
  const runs = createRunService({ db: api.db, clock, served: served.names });
  const app = await buildApp({
    schedules,
    calendars,
    secrets,
    backups: createBackupService({ db: api.db }),
    watermarks: createWatermarkService({ db: api.db, clock }),
    outlook: createOutlookService({ db: api.db, clock, book }),
    runs,
    jobCatalog: jobs.catalog,
    health: createHealth({ pool, clock, dispatching, worker }),
    metrics,
    clock,
    apiKey: config.apiKey,
    logger,
    version,
    serveApi: has('api'),
  });

  let stopping: Promise<void> | null = null;

  /** New work first, then the running, then what they all stand on. */
  async function stop(): Promise<void> {
    const tolerate = (what: string) => (error: unknown) =>
      logger.error({ err: error }, `${what} did not stop in order`);
    await Promise.all(background.filter((each) => each.name !== 'clock').map((each) => each.stop()));
    await Promise.all([
      app.close().catch(tolerate('the HTTP server')),
      worker?.stop(config.shutdownGraceMs).catch(tolerate('the worker')),
    ]);
    await Promise.all(background.map((each) => each.stop()));
    await httpClients.close().catch(tolerate('the HTTP client'));
    await graphilePool?.end().catch(tolerate('the graphile connections'));
    await Promise.all([close(), api.close()]).catch(tolerate('the database connections'));
  }

  const stopOnce = () => {
    stopping ??= stop();
    return stopping;
  };

  try {
    await worker?.start();
    for (const each of background) each.start();
    const address = await app.listen({ port: config.port, host: config.host });
    return { app, address, stop: stopOnce };
  } catch (error) {
    await stopOnce();
    throw error;
  }
}
