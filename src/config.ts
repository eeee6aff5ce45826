/** Environment → one frozen Config. With the programs, `main.ts` and `restore.ts`, the only place that reads `process.env`. */
import { z } from 'zod';
import { messageOf } from './errors.ts';
import { keptRunsMin } from './runs/retention.ts';
import { readSecretKey } from './secrets/secret-key.ts';

export const roles = ['api', 'dispatcher', 'worker'] as const;
export type Role = (typeof roles)[number];

export type Config = Readonly<{
  port: number;
  host: string;
  /** Null: the embedded Postgres in `dataDir`. */
  databaseUrl: string | null;
  dataDir: string;
  logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
  apiKey: string | null;
  /** What secrets are sealed under; null: a key of the data directory's own. */
  secretKey: string | null;
  /** Where backups look for programs and buckets. */
  backup: {
    /** One more folder with pg_dump and pg_restore. */
    pgBin: string | null;
    /** PATH. */
    path: string | null;
    s3: { endpoint?: string; region?: string; forcePathStyle: boolean };
  };
  /** Programs that tasks may run, and the environment that they get. */
  commands: { programs: readonly string[]; env: Readonly<Record<string, string>> };
  /** Where mail is sent, and in whose name; null: none is. */
  mail: { url: string; from: string } | null;
  roles: readonly Role[];
  /** Task queue → how many of its runs this process executes at once. */
  workers: ReadonlyMap<string, number>;
  /** How long running runs may go on after SIGTERM before they are handed back. */
  shutdownGraceMs: number;
  /** Connections to Postgres that this process may hold, all pools together. */
  databaseConnectionsMax: number;
  /** Ended runs are kept for this many days; null keeps them for ever. */
  retentionDays: number | null;
  /** And at most so many of each schedule; null: any number. */
  retentionRuns: number | null;
}>;

/** `default` takes HTTP calls, which wait more than they work; the others are heavy. */
const workersDefault = 'default:400,sync:4,backup:2';

const workers = z.string().transform((text, context) => {
  const pools = new Map<string, number>();
  for (const part of text.split(',')) {
    const match = /^\s*([A-Za-z0-9][A-Za-z0-9._-]{0,62}):([0-9]{1,4})\s*$/.exec(part);
    const [, name, digits] = match ?? [];
    const concurrency = Number(digits);
    if (name === undefined || pools.has(name) || concurrency < 1 || concurrency > 2000) {
      context.addIssue({
        code: 'custom',
        message: `"${part.trim()}" is not <task queue>:<concurrency> (1 to 2000, each queue once), e.g. ${workersDefault}`,
      });
      return z.NEVER;
    }
    pools.set(name, concurrency);
  }
  return pools as ReadonlyMap<string, number>;
});

const roleList = z.string().transform((text, context) => {
  const named = text.split(',').map((part) => part.trim());
  for (const name of named) {
    if (!(roles as readonly string[]).includes(name)) {
      context.addIssue({ code: 'custom', message: `"${name}" is not a role; roles are ${roles.join(', ')}` });
      return z.NEVER;
    }
  }
  return [...new Set(named)] as Role[];
});

const programs = z.string().transform((text, context) => {
  const paths = text
    .split(',')
    .map((path) => path.trim())
    .filter((path) => path !== '');
  for (const path of paths) {
    if (!path.startsWith('/') || path.endsWith('/')) {
      context.addIssue({
        code: 'custom',
        message: `"${path}" is not the absolute path of a program; list them as /usr/bin/rsync,/opt/report`,
      });
      return z.NEVER;
    }
  }
  return [...new Set(paths)];
});

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

function wholeNumber(min: number, max: number) {
  return z.coerce
    .number(`must be a whole number from ${min} to ${max}`)
    .refine(
      (value) => Number.isInteger(value) && value >= min && value <= max,
      `must be a whole number from ${min} to ${max}`,
    );
}

const databaseUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, 'must start with postgres:// or postgresql://')
  .refine((url) => URL.canParse(url), 'is not a URL');

const secretKey = z.string().superRefine((text, context) => {
  try {
    readSecretKey(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: messageOf(error) });
  }
});

const environment = z.object({
  PORT: wholeNumber(0, 65_535).default(3000),
  HOST: z.string().min(1).default('127.0.0.1'),
  DATABASE_URL: databaseUrl.optional(),
  DATA_DIR: z.string().min(1).default('./data'),
  LOG_LEVEL: z.enum(logLevels, `must be one of ${logLevels.join(', ')}`).default('info'),
  CARILLON_API_KEY: z
    .string()
    .min(16, 'must have at least 16 characters')
    .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces')
    .optional(),
  CARILLON_SECRET_KEY: secretKey.optional(),
  CARILLON_PG_BIN: z.string().optional(),
  CARILLON_S3_ENDPOINT: z
    .string()
    .refine(
      (text) => URL.canParse(text) && /^https?:/.test(text),
      'must be a URL such as https://s3.example.com',
    )
    .optional(),
  CARILLON_S3_REGION: z.string().optional(),
  CARILLON_S3_PATH_STYLE: z.enum(['true', 'false'], 'must be true or false').default('false'),
  CARILLON_COMMANDS: programs.optional(),
  CARILLON_SMTP_URL: z
    .string()
    .refine(
      (text) => URL.canParse(text) && /^smtps?:/.test(text),
      'must be smtp://host:port or smtps://host:port',
    )
    .optional(),
  CARILLON_MAIL_FROM: z
    .string()
    .regex(
      /^[^\r\n]*[^\s@]+@[^\s@]+$/,
      'must be an address, such as carillon@example.com or Carillon <carillon@example.com>',
    )
    .optional(),
  CARILLON_ROLES: roleList.default(['api', 'dispatcher', 'worker']),
  CARILLON_WORKERS: workers.prefault(workersDefault),
  CARILLON_SHUTDOWN_GRACE_SECONDS: wholeNumber(0, 86_400).default(20),
  CARILLON_DATABASE_CONNECTIONS: wholeNumber(6, 500).default(24),
  CARILLON_RETENTION_DAYS: z
    .union([z.literal('forever'), wholeNumber(1, 36_500)], {
      error: 'must be a whole number of days from 1 to 36500, or "forever"',
    })
    .default(90),
  CARILLON_RETENTION_RUNS: z
    .union([z.literal('unlimited'), wholeNumber(keptRunsMin, 10_000_000)], {
      error: `must be a whole number of runs from ${keptRunsMin} to 10000000, or "unlimited"`,
    })
    .default(10_000),
});

/** The embedded server takes 200; some are for other processes on it, and for a look inside. */
const embeddedConnectionsMax = 150;

const loopbackHosts = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/;

/** Thrown when the environment does not make a configuration; the message has a line per variable. */
export class ConfigError extends Error {}

/**
 * Reads the variables documented in `.env.example`. An empty variable counts as not set.
 * Throws ConfigError naming each variable that is wrong.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  const unknown = Object.keys(given).filter(
    (name) => name.startsWith('CARILLON_') && !(name in environment.shape),
  );
  const parsed = environment.safeParse(given);
  const lines = parsed.error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`) ?? [];
  lines.push(...unknown.map((name) => `${name}: is not a variable of Carillon; see .env.example`));
  if (!parsed.success || lines.length > 0) throw new ConfigError(lines.join('\n'));
  const values = parsed.data;
  const apiKey = values.CARILLON_API_KEY ?? null;
  if (apiKey === null && !loopbackHosts.test(values.HOST)) {
    throw new ConfigError(
      `CARILLON_API_KEY: must be set when HOST (${values.HOST}) is not a loopback address, else anyone who reaches the port could run jobs`,
    );
  }
  if (values.DATABASE_URL === undefined && values.CARILLON_DATABASE_CONNECTIONS > embeddedConnectionsMax) {
    throw new ConfigError(
      `CARILLON_DATABASE_CONNECTIONS: may be ${embeddedConnectionsMax} at most with the embedded Postgres; set DATABASE_URL to use a server that takes more`,
    );
  }
  const { CARILLON_SMTP_URL: smtpUrl, CARILLON_MAIL_FROM: mailFrom } = values;
  if ((smtpUrl === undefined) !== (mailFrom === undefined)) {
    throw new ConfigError(
      `${smtpUrl === undefined ? 'CARILLON_SMTP_URL' : 'CARILLON_MAIL_FROM'}: must be set too, since mail needs both a server and a sender`,
    );
  }
  return Object.freeze({
    port: values.PORT,
    host: values.HOST,
    databaseUrl: values.DATABASE_URL ?? null,
    dataDir: values.DATA_DIR,
    logLevel: values.LOG_LEVEL,
    apiKey,
    secretKey: values.CARILLON_SECRET_KEY ?? null,
    backup: {
      pgBin: values.CARILLON_PG_BIN ?? null,
      path: env.PATH ?? null,
      s3: {
        ...(values.CARILLON_S3_ENDPOINT !== undefined && { endpoint: values.CARILLON_S3_ENDPOINT }),
        ...(values.CARILLON_S3_REGION !== undefined && { region: values.CARILLON_S3_REGION }),
        forcePathStyle: values.CARILLON_S3_PATH_STYLE === 'true',
      },
    },
    commands: {
      programs: values.CARILLON_COMMANDS ?? [],
      env: {
        PATH: env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
        HOME: env.HOME ?? '/',
        LANG: env.LANG ?? 'C.UTF-8',
      },
    },
    mail: smtpUrl === undefined || mailFrom === undefined ? null : { url: smtpUrl, from: mailFrom },
    roles: Object.freeze(values.CARILLON_ROLES),
    workers: values.CARILLON_WORKERS,
    shutdownGraceMs: values.CARILLON_SHUTDOWN_GRACE_SECONDS * 1000,
    databaseConnectionsMax: values.CARILLON_DATABASE_CONNECTIONS,
    retentionDays: values.CARILLON_RETENTION_DAYS === 'forever' ? null : values.CARILLON_RETENTION_DAYS,
    retentionRuns: values.CARILLON_RETENTION_RUNS === 'unlimited' ? null : values.CARILLON_RETENTION_RUNS,
  });
}
