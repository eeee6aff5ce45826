/**
 * The HTTP side of Carillon as one Fastify instance. It knows services as interfaces and neither opens nor closes
 * anything that it is given.
 *
 * A request passes: request id → (API key, page origin) → body → schema → handler; whatever goes wrong on the way is
 * answered as a problem (routes/problem.ts).
 */
import { randomUUID } from 'node:crypto';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import type { Clock } from './clock.ts';
import { requireApiKey } from './routes/api-key.ts';
import { backfillRoutes } from './routes/backfills.ts';
import { backupRoutes } from './routes/backups.ts';
import { answerBrokenRequest } from './routes/broken-request.ts';
import { refuseForeignPages } from './routes/browser-origin.ts';
import { calendarRoutes } from './routes/calendars.ts';
import { registerDocs } from './routes/docs.ts';
import { forecastRoutes } from './routes/forecasts.ts';
import { type HealthService, healthRoutes } from './routes/health.ts';
import { jobTypeRoutes } from './routes/job-types.ts';
import { registerJsonBodies } from './routes/json-body.ts';
import { answerUnrouted, collectPaths, refuseShadowed } from './routes/known-paths.ts';
import { type Metrics, metricsRoutes } from './routes/metrics.ts';
import { notificationRoutes } from './routes/notifications.ts';
import { limitPipelining } from './routes/pipelining.ts';
import { registerProblems, sendProblem } from './routes/problem.ts';
import { refuseUnknownQueries } from './routes/query-wire.ts';
import { queueRoutes } from './routes/queues.ts';
import { runRoutes } from './routes/runs.ts';
import { scheduleApplyRoutes } from './routes/schedule-apply.ts';
import { scheduleCommandRoutes } from './routes/schedule-commands.ts';
import { scheduleExplainRoutes } from './routes/schedule-explain.ts';
import { scheduleGroupRoutes } from './routes/schedule-groups.ts';
import { scheduleHistoryRoutes } from './routes/schedule-history.ts';
import { scheduleTimeRoutes } from './routes/schedule-times.ts';
import { scheduleRoutes } from './routes/schedules.ts';
import { secretRoutes } from './routes/secrets.ts';
import { watermarkRoutes } from './routes/watermarks.ts';
import { validatorCompiler, type ZodApp } from './routes/zod-validation.ts';
import type { JobCatalog } from './schedules/job-catalog.ts';
import type { Services } from './services.ts';

export type AppParts = Services & {
  jobCatalog: JobCatalog;
  health: HealthService;
  metrics: Metrics;
  clock: Clock;
  /** Null leaves the API open; only for a service on loopback. */
  apiKey: string | null;
  logger: Logger;
  version: string;
  /** False: only health and metrics, for processes that dispatch or work. */
  serveApi: boolean;
  limits?: Partial<HttpLimits>;
};

/** What a client may take of us. Times in milliseconds. */
export type HttpLimits = {
  bodyBytesMax: number;
  /** For the whole head of a request, so that nobody keeps a connection by sending a byte now and then. */
  headersTimeoutMs: number;
  /** For the whole request, body included. */
  requestTimeoutMs: number;
  /** How often the two above are looked at. */
  timeoutCheckIntervalMs: number;
  /** A connection on which nothing moves in either direction is cut. */
  idleTimeoutMs: number;
  /** How long a connection may wait for its next request. */
  keepAliveTimeoutMs: number;
};

const limitsDefault: HttpLimits = {
  bodyBytesMax: 1_048_576,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  timeoutCheckIntervalMs: 2_000,
  idleTimeoutMs: 120_000,
  keepAliveTimeoutMs: 65_000,
};

/** A name of 128 characters of 4 bytes, percent-encoded, and some more, so that too long a name is told as such. */
const pathPartLengthMax = 4_096;

/** Ready to listen, or to be asked by `inject`. */
export async function buildApp(parts: AppParts): Promise<FastifyInstance> {
  const limits = { ...limitsDefault, ...parts.limits };
  const app: ZodApp = Fastify({
    loggerInstance: parts.logger as FastifyBaseLogger,
    // A line per request would cost more than the request; faults are logged by routes/problem.ts.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bodyBytesMax,
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout: limits.idleTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    http: {
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: limits.timeoutCheckIntervalMs,
    },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: pathPartLengthMax },
    requestIdHeader: false,
    genReqId: (request) => acceptedRequestId(request.headers['x-request-id']) ?? randomUUID(),
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, request, reply) => {
      reply.header('x-request-id', request.id);
      sendProblem(error, request, reply);
    },
  }).withTypeProvider<ZodTypeProvider>();

  app.setValidatorCompiler(validatorCompiler);
  // Answers are built by the present… functions, whose types are the schemas': checking each one again at run time
  // would cost more than making it. The tests check answers against the schemas.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  registerProblems(app);
  registerJsonBodies(app);
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    done();
  });

  limitPipelining(app);

  const guard = [requireApiKey(parts.apiKey), refuseForeignPages(parts.apiKey)];
  const paths = collectPaths(app);
  app.setNotFoundHandler({ preValidation: guard }, answerUnrouted(paths));

  if (parts.serveApi) await registerDocs(app, parts.jobCatalog, parts.version);
  healthRoutes(app, parts.health, parts.clock, parts.version);
  await app.register(async (guarded: ZodApp) => {
    for (const hook of [...guard, refuseShadowed(paths)]) guarded.addHook('onRequest', hook);
    refuseUnknownQueries(guarded);
    metricsRoutes(guarded, parts.metrics);
    if (!parts.serveApi) return;
    scheduleRoutes(guarded, parts.schedules, parts.jobCatalog);
    scheduleCommandRoutes(guarded, parts.schedules);
    scheduleGroupRoutes(guarded, parts.groups);
    scheduleApplyRoutes(guarded, parts.documents, parts.jobCatalog);
    scheduleHistoryRoutes(guarded, parts.schedules, parts.history);
    scheduleExplainRoutes(guarded, parts.explanations);
    scheduleTimeRoutes(guarded, parts.schedules, parts.outlook);
    watermarkRoutes(guarded, parts.watermarks);
    forecastRoutes(guarded, parts.outlook);
    calendarRoutes(guarded, parts.calendars);
    secretRoutes(guarded, parts.secrets);
    backupRoutes(guarded, parts.backups);
    backfillRoutes(guarded, parts.backfills);
    queueRoutes(guarded, parts.queues, parts.clock);
    notificationRoutes(guarded, parts.notifications);
    runRoutes(guarded, parts.runs);
    jobTypeRoutes(guarded, parts.jobCatalog);
  });
  await app.ready();
  return app;
}

/** A caller's own id, when it is fit for a log line; otherwise undefined. */
function acceptedRequestId(given: string | string[] | undefined): string | undefined {
  return typeof given === 'string' && /^[A-Za-z0-9][A-Za-z0-9._:@/+=-]{0,127}$/.test(given)
    ? given
    : undefined;
}
