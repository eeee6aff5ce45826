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
import { openConnections } from './connections.ts';
import { type Db, readDatabaseClock } from './db/client.ts';
import { migrate } from './db/migrate.ts';
import { nameSecretUsers } from './db/secret-store.ts';
import { dispatchHerd, sleepAfter } from './dispatcher/dispatcher.ts';
import { pruneEveryMs, pruneHistory, prunePass, prunePauseMs, restMsAfter } from './dispatcher/pruner.ts';
import { createPulse, pulseEveryMs } from './dispatcher/pulse.ts';
import { createRescuer, rescueEveryMs } from './dispatcher/rescuer.ts';
import { createServedQueues, refreshServedEveryMs } from './dispatcher/served-queues.ts';
import { messageOf } from './errors.ts';
import { createHealth } from './health.ts';
import { houseJobs } from './jobs/house-jobs.ts';
import type { IsolatedJobSettings } from './jobs/isolated-jobs.ts';
import type { JobModule } from './jobs/isolated-protocol.ts';
import type { JobType } from './jobs/job.ts';
import { createJobRegistry } from './jobs/registry.ts';
import { createTaskDispatcher } from './jobs/task/http-dispatcher.ts';
import { createWorker } from './jobs/worker.ts';
import { createMetrics } from './metrics.ts';
import { createLateness, lateEveryMs } from './notifications/lateness.ts';
import { createMailSender } from './notifications/mail.ts';
import { createNotifier } from './notifications/notifier.ts';
import { createWebhookSender } from './notifications/webhook.ts';
import { createCalendarBook } from './schedules/calendar-book.ts';
import { expireEveryMs, expirePass } from './schedules/expiry.ts';
import { secretKeySource } from './secrets/secret-key.ts';
import { createSecretService } from './secrets/secret-service.ts';
import { createServices } from './services.ts';

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
/** What notifications that are being sent get at a stop; what is broken off is sent again. */
const notifyGraceMs = 5_000;
/** A correction beyond this is worth a line in the log. */
const clockStepToldMs = 500;

export async function startService({
  config,
  databaseUrl,
  logger,
  version,
  moreJobs = [],
  jobModule: otherModule,
}: ComposeOptions): Promise<Service> {
  const has = (role: Role) => config.roles.includes(role);
  await migrate(databaseUrl, {
    log: { info: (text) => logger.info(text), warn: (text) => logger.warn(text) },
  });

  const clock = createClock();
  const connections = openConnections({
    databaseUrl,
    connectionsMax: config.databaseConnectionsMax,
    graphilePools: has('worker') ? config.workers.size : null,
    onFault: (error) => logger.debug({ err: error }, `a connection to Postgres was lost: ${error.message}`),
  });
  const { db, pool } = connections.house;
  const readClock = () => readDatabaseClock(pool);
  await clock.sync(readClock);

  const httpClients = createTaskDispatcher();
  const settings: IsolatedJobSettings = { version, backup: { databaseUrl, ...config.backup } };
  const jobModule = otherModule ?? { url: import.meta.resolve('./jobs/isolated-jobs.ts'), settings };
  const key = secretKeySource(config.secretKey, config.dataDir);
  const secretsOn = (on: Db) =>
    createSecretService({
      db: on,
      clock,
      key,
      usersOf: (name) => nameSecretUsers(on, name, secretUsersTold),
    });
  const secrets = secretsOn(db);
  const queue = { db, clock, secrets };
  const jobs = createJobRegistry([
    ...houseJobs({ dispatcher: httpClients, queue, commands: config.commands, ...settings }),
    ...moreJobs,
  ]);
  const book = createCalendarBook();
  const lateness = createLateness({ db, clock });
  const metrics = createMetrics(
    () => worker?.live ?? 0,
    () => lateness.late.length,
  );
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

  // Whatever the roles: who looks whether others are well must not hang on them.
  keepUp('lateness', async () => {
    await lateness.pass();
    return lateEveryMs;
  });

  let dispatching: Background | null = null;
  let notifying: Background | null = null;
  const mail = config.mail === null || !has('dispatcher') ? null : createMailSender(config.mail);
  const notifier = createNotifier({
    db,
    clock,
    secrets,
    webhook: createWebhookSender({ dispatcher: httpClients, clock, version }),
    mail,
    onOutcome: metrics.notified,
    onFree: () => notifying?.wake(),
    onFault: (error) =>
      logger.warn({ err: error }, `a notification could not be seen to: ${messageOf(error)}`),
  });
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
    notifying = keepUp('notifier', async () => (await notifier.pass()).sleepMs);
    keepUp('expiry', async () => {
      await expirePass({ db, clock, book, served: served.names });
      return expireEveryMs;
    });
    const retention = {
      ageMsMax: config.retentionDays === null ? null : config.retentionDays * 86_400_000,
      runsMax: config.retentionRuns,
    };
    const { ageMsMax } = retention;
    if (ageMsMax !== null) {
      keepUp('pruner', async () =>
        (await prunePass({ db, clock, ageMsMax })).more ? prunePauseMs : pruneEveryMs,
      );
    }
    keepUp('history pruner', async () => {
      const startedAtMs = clock.monotonic();
      const slice = await pruneHistory({ db, clock, retention });
      return restMsAfter(slice, clock.monotonic() - startedAtMs);
    });
  }

  const worker =
    connections.graphile === null
      ? null
      : createWorker({
          db,
          pgPool: connections.graphile,
          clock,
          logger,
          jobs,
          workers: config.workers,
          served: served.names,
          events: metrics.worker,
          jobModule,
          secrets,
        });

  const services = createServices({
    db: connections.api.db,
    clock,
    jobs: jobs.catalog,
    book,
    secrets: secretsOn(connections.api.db),
    canMail: config.mail !== null,
    served: served.names,
    onChange: () => dispatching?.wake(),
  });
  if (has('dispatcher')) {
    keepUp('calendars', async () => {
      await services.calendars.applyPass();
      return applyCalendarsEveryMs;
    });
  }
  const app = await buildApp({
    ...services,
    jobCatalog: jobs.catalog,
    health: createHealth({ pool, clock, dispatching, worker, late: () => lateness.late }),
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
      notifier.close(notifyGraceMs).catch(tolerate('the notifier')),
    ]);
    await Promise.all(background.map((each) => each.stop()));
    mail?.close();
    await httpClients.close().catch(tolerate('the HTTP client'));
    await connections.close().catch(tolerate('the database connections'));
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
