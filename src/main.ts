/** The process: configuration, signals, exit code. `npm start` runs this file. */
import { createRequire } from 'node:module';
import { isAbsolute, relative } from 'node:path';
import pino from 'pino';
import { banner } from './banner.ts';
import { compileCacheIn } from './compile-cache.ts';
import { type Config, ConfigError, loadConfig } from './config.ts';
import { watchParent } from './end-with-parent.ts';
import { heardLater, messageOf } from './errors.ts';
import { handleUncaught, refuseExitInJobs } from './jobs/stray-faults.ts';
import { reachDatabase } from './reach-database.ts';
import { redactUrls } from './secrets/redaction.ts';
import { releaseStartMemory } from './start-memory.ts';

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

const exitCodes = { ok: 0, fault: 1, badConfiguration: 78 } as const;

/**
 * Ctrl-C under `npm start` arrives twice, from the terminal and from npm, where npm's shell replaces itself by us.
 * A person who means it twice takes longer.
 */
const sameSignalMs = 500;
/** What stopping in order may take beyond the grace of the runs. Then it is cut short: a hung connection must not hold us. */
const stopSlackMs = 15_000;
/** How long the embedded Postgres may take to stop when all else is left as it is. */
const leaveMs = 3000;
/** One that is just starting is waited for, to be stopped, for so long; later the next start adopts it. */
const startMsMax = 10_000;

async function main(): Promise<void> {
  const config = readConfig();
  if (config === null) return;
  // What a child process inherits, and what a crash report may show.
  for (const name of ['CARILLON_SECRET_KEY', 'CARILLON_API_KEY', 'DATABASE_URL']) delete process.env[name];
  const logger = pino({
    level: config.logLevel,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    hooks: { streamWrite: redactUrls },
  });
  let stopService = async () => {};
  let stopDatabase = async () => {};
  /** When it began to stop. */
  let stoppingSinceMs: number | null = null;
  let leaving = false;

  const shutDown = async (why: string, exitCode: number) => {
    if (stoppingSinceMs !== null) {
      const isEcho = exitCode === exitCodes.ok && performance.now() - stoppingSinceMs < sameSignalMs;
      return isEcho ? undefined : await leave(why);
    }
    stoppingSinceMs = performance.now();
    logger.info(`${why}: stopping; running runs have ${config.shutdownGraceMs / 1000} s to end`);
    process.exitCode = exitCode;
    const tolerate = (error: unknown) => {
      logger.error({ err: error }, `could not stop in order: ${messageOf(error)}`);
      process.exitCode = exitCodes.fault;
    };
    await within(config.shutdownGraceMs + stopSlackMs, stopService()).catch(tolerate);
    await stopDatabase().catch(tolerate);
    // Whoever leaves decides how.
    if (leaving) return;
    logger.info('stopped');
    process.exit();
  };

  /** A second Ctrl-C means it: the runs go on elsewhere after their lease. No Postgres is left behind, if it obeys. */
  const leave = async (why: string) => {
    if (leaving) return;
    leaving = true;
    logger.warn(`${why} again; leaving at once`);
    await Promise.race([stopDatabase().catch(() => {}), pause(leaveMs)]);
    process.exit(exitCodes.fault);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => void shutDown(signal, exitCodes.ok));
  // Only under npm: who starts the program itself may well end before it does.
  if (process.env.npm_lifecycle_event !== undefined)
    watchParent(() => void shutDown('npm, which started this, has ended', exitCodes.ok));
  // A program that does not know its own state must not go on; what it had claimed is brought back by the lease.
  handleUncaught(
    (error, { runId, attempt }) =>
      logger.error(
        { err: error, runId, attempt },
        `the job of run ${runId} left a fault: ${messageOf(error)}`,
      ),
    (error) => {
      logger.fatal({ err: error }, `uncaught: ${messageOf(error)}`);
      void shutDown('a fault of the program', exitCodes.fault);
    },
  );
  refuseExitInJobs();

  try {
    const reaching = heardLater(
      reachDatabase(config, {
        info: (message) => logger.info(message),
        warn: (message) => logger.warn(message),
      }),
    );
    // Also while it is just starting: else a Ctrl-C in the first second would leave a server behind.
    stopDatabase = async () => {
      const reached = await Promise.race([reaching.catch(() => null), pause(startMsMax)]);
      await reached?.stop();
    };
    // Half a second, in which the database starts.
    const { startService } = await import('./compose.ts');
    const database = await reaching;
    const compiled = await compileCacheIn(config.dataDir);
    if (compiled !== null) process.env.NODE_COMPILE_CACHE = compiled;
    const service = await startService({ config, databaseUrl: database.url, logger, version });
    stopService = service.stop;
    if (stoppingSinceMs !== null) return await service.stop();
    releaseStartMemory();
    process.stdout.write(
      banner({
        address: service.address,
        dataDir: shown(config.dataDir),
        embedded: config.databaseUrl === null,
        filesElsewhere: database.filesElsewhere,
        keyed: config.apiKey !== null,
        roles: config.roles,
        version,
      }),
    );
  } catch (error) {
    if (stoppingSinceMs !== null) return;
    const known = hint(error, config);
    if (known === null) logger.fatal({ err: error }, `could not start: ${messageOf(error)}`);
    else logger.fatal(`could not start: ${known}`);
    await stopDatabase().catch(() => {});
    process.exit(exitCodes.fault);
  }
}

function readConfig(): Config | null {
  try {
    return loadConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(
      `Carillon cannot start with this environment:\n\n${error.message.replace(/^/gm, '  ')}\n\nSee .env.example for every variable.\n`,
    );
    process.exitCode = exitCodes.badConfiguration;
    return null;
  }
}

/** What to do about it, where that is known. */
function hint(error: unknown, config: Config): string | null {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE')
    return `port ${config.port} is taken, perhaps by a Carillon that still runs. Stop what listens there, or set PORT (PORT=0 finds a free one).`;
  if (code === 'EACCES' && config.port < 1024)
    return `port ${config.port} needs privileges; set PORT to one above 1023.`;
  if (code === 'ECONNREFUSED' && config.databaseUrl !== null)
    return `Postgres at DATABASE_URL does not answer (${messageOf(error)}). Is it running?`;
  return null;
}

async function within(limitMs: number, stopped: Promise<void>): Promise<void> {
  // This timer also keeps the process alive: a promise alone does not, and we would be gone before we are done.
  const late = pause(limitMs).then(() => {
    throw new Error(`not everything has stopped within ${limitMs / 1000} s`);
  });
  await Promise.race([stopped, late]);
}

function pause(ms: number): Promise<null> {
  return new Promise((resolve) => setTimeout(resolve, ms, null));
}

function shown(path: string): string {
  const near = relative(process.cwd(), path);
  return near === '' || near.startsWith('..') || isAbsolute(near) ? path : near;
}

await main();
