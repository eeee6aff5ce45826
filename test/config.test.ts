import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from '../src/config.ts';

const key = 'a-key-of-sixteen-characters';

/** The message that a wrong environment is refused with. */
function refusal(env: Record<string, string>): string {
  try {
    loadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error(`${JSON.stringify(env)} was taken`);
}

describe('an empty environment', () => {
  it('makes one process of all roles, on the loopback, with a database of its own', () => {
    expect(loadConfig({})).toEqual({
      port: 3000,
      host: '127.0.0.1',
      databaseUrl: null,
      dataDir: './data',
      logLevel: 'info',
      apiKey: null,
      mail: null,
      backup: { pgBin: null, path: null, s3: { forcePathStyle: false } },
      secretKey: null,
      commands: {
        programs: [],
        env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/', LANG: 'C.UTF-8' },
      },
      roles: ['api', 'dispatcher', 'worker'],
      workers: new Map([
        ['default', 400],
        ['sync', 4],
        ['backup', 2],
      ]),
      shutdownGraceMs: 20_000,
      databaseConnectionsMax: 24,
      retentionDays: 90,
      retentionRuns: 10_000,
    });
  });

  it('is frozen', () => {
    const config = loadConfig({});
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.roles)).toBe(true);
  });

  it('may hold what is not ours, and empty variables, which count as not set', () => {
    const env = { SHELL: '/bin/sh', HOME: undefined, PORT: '', DATABASE_URL: '', CARILLON_API_KEY: '' };
    expect(loadConfig(env)).toEqual(loadConfig({}));
  });
});

describe('each variable', () => {
  it('is read', () => {
    expect(
      loadConfig({
        PORT: '0',
        HOST: '0.0.0.0',
        DATABASE_URL: 'postgresql://me:secret@db.example:5432/carillon?sslmode=require',
        DATA_DIR: '/var/lib/carillon',
        LOG_LEVEL: 'silent',
        CARILLON_API_KEY: key,
        CARILLON_ROLES: ' worker , api,worker',
        CARILLON_WORKERS: ' default:1 , night.shift_2-a:2000',
        CARILLON_SHUTDOWN_GRACE_SECONDS: '0',
        CARILLON_DATABASE_CONNECTIONS: '6',
        CARILLON_SECRET_KEY: 'A'.repeat(43),
        CARILLON_PG_BIN: '/opt/pg/bin',
        CARILLON_S3_ENDPOINT: 'https://s3.example.com',
        CARILLON_S3_REGION: 'eu',
        CARILLON_S3_PATH_STYLE: 'true',
        CARILLON_COMMANDS: ' /usr/bin/rsync, /opt/report,/usr/bin/rsync',
        PATH: '/bin',
        HOME: '/srv',
        LANG: 'de_DE.UTF-8',
        CARILLON_SMTP_URL: 'smtps://me:secret@mail.example:465',
        CARILLON_MAIL_FROM: 'Carillon <carillon@example.com>',
        CARILLON_RETENTION_DAYS: '1',
        CARILLON_RETENTION_RUNS: '20',
      }),
    ).toEqual({
      port: 0,
      host: '0.0.0.0',
      databaseUrl: 'postgresql://me:secret@db.example:5432/carillon?sslmode=require',
      dataDir: '/var/lib/carillon',
      logLevel: 'silent',
      apiKey: key,
      mail: { url: 'smtps://me:secret@mail.example:465', from: 'Carillon <carillon@example.com>' },
      backup: {
        pgBin: '/opt/pg/bin',
        path: '/bin',
        s3: { endpoint: 'https://s3.example.com', region: 'eu', forcePathStyle: true },
      },
      secretKey: 'A'.repeat(43),
      commands: {
        programs: ['/usr/bin/rsync', '/opt/report'],
        env: { PATH: '/bin', HOME: '/srv', LANG: 'de_DE.UTF-8' },
      },
      roles: ['worker', 'api'],
      workers: new Map([
        ['default', 1],
        ['night.shift_2-a', 2000],
      ]),
      shutdownGraceMs: 0,
      databaseConnectionsMax: 6,
      retentionDays: 1,
      retentionRuns: 20,
    });
  });

  it('may keep the runs for ever', () => {
    expect(loadConfig({ CARILLON_RETENTION_DAYS: 'forever' }).retentionDays).toBeNull();
    expect(loadConfig({ CARILLON_RETENTION_RUNS: 'unlimited' }).retentionRuns).toBeNull();
  });

  it.each([
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '3000.5'],
    ['PORT', 'http'],
    ['DATABASE_URL', 'mysql://localhost/x'],
    ['DATABASE_URL', 'localhost:5432'],
    ['DATABASE_URL', 'postgres://['],
    ['LOG_LEVEL', 'loud'],
    ['CARILLON_API_KEY', 'short'],
    ['CARILLON_API_KEY', 'with spaces in the middle of it'],
    ['CARILLON_API_KEY', 'with-ünïcode-characters'],
    ['CARILLON_ROLES', 'api,boss'],
    ['CARILLON_ROLES', 'api,'],
    ['CARILLON_COMMANDS', 'rsync'],
    ['CARILLON_COMMANDS', '/usr/bin/rsync,./x'],
    ['CARILLON_COMMANDS', '/usr/bin/'],
    ['CARILLON_WORKERS', 'default'],
    ['CARILLON_WORKERS', 'default:0'],
    ['CARILLON_WORKERS', 'default:2001'],
    ['CARILLON_WORKERS', 'default:1,default:2'],
    ['CARILLON_WORKERS', '-x:1'],
    ['CARILLON_WORKERS', 'default:1;sync:2'],
    ['CARILLON_WORKERS', `${'x'.repeat(64)}:1`],
    ['CARILLON_SHUTDOWN_GRACE_SECONDS', '-1'],
    ['CARILLON_SHUTDOWN_GRACE_SECONDS', '86401'],
    ['CARILLON_DATABASE_CONNECTIONS', '5'],
    ['CARILLON_DATABASE_CONNECTIONS', '501'],
    ['CARILLON_RETENTION_DAYS', '0'],
    ['CARILLON_RETENTION_DAYS', 'never'],
    ['CARILLON_RETENTION_RUNS', '19'],
    ['CARILLON_RETENTION_RUNS', 'all'],
    ['CARILLON_SECRET_KEY', 'correct horse battery staple'],
    ['CARILLON_SECRET_KEY', 'QQ=='],
    ['CARILLON_S3_ENDPOINT', 's3.example.com'],
    ['CARILLON_S3_PATH_STYLE', 'yes'],
    ['CARILLON_SMTP_URL', 'mail.example:25'],
    ['CARILLON_MAIL_FROM', 'nobody'],
    ['CARILLON_DATABASE_CONNECTIONS', '151'],
  ])('%s=%s is refused by name', (name, value) => {
    expect(refusal({ [name]: value })).toMatch(new RegExp(`^${name}: .+`));
  });

  it('for mail is both, a server and a sender, or neither', () => {
    expect(refusal({ CARILLON_SMTP_URL: 'smtp://mail.example' })).toMatch(
      /^CARILLON_MAIL_FROM: must be set too/,
    );
    expect(refusal({ CARILLON_MAIL_FROM: 'a@b.example' })).toMatch(/^CARILLON_SMTP_URL: must be set too/);
  });

  it('that is wrong is told together with the others', () => {
    const lines = refusal({ PORT: 'x', LOG_LEVEL: 'y', CARILLON_WORKRES: 'z' }).split('\n');
    expect(lines.map((line) => line.split(':')[0])).toEqual(['PORT', 'LOG_LEVEL', 'CARILLON_WORKRES']);
  });

  it('that looks like ours and is not is refused, since it is a slip of the pen', () => {
    expect(refusal({ CARILLON_WORKER: 'default:1' })).toBe(
      'CARILLON_WORKER: is not a variable of Carillon; see .env.example',
    );
  });

  it('does not show its value when that is a secret', () => {
    const message = refusal({ CARILLON_API_KEY: 'hunter2', DATABASE_URL: 'mysql://me:hunter2@db/x' });
    expect(message).not.toContain('hunter2');
  });
});

describe('an open house', () => {
  it.each(['127.0.0.1', '127.1.2.3', 'localhost', '::1', '[::1]'])('may stand on %s', (host) => {
    expect(loadConfig({ HOST: host }).apiKey).toBeNull();
  });

  it.each([
    '0.0.0.0',
    '::',
    '192.168.1.10',
    'carillon.example',
    '127.0.0.1.example',
    'localhost.example',
    '1127.0.0.1',
  ])('may not stand on %s without a key', (host) => {
    expect(refusal({ HOST: host })).toMatch(
      /^CARILLON_API_KEY: must be set when HOST \(.+\) is not a loopback/,
    );
    expect(loadConfig({ HOST: host, CARILLON_API_KEY: key }).apiKey).toBe(key);
  });
});

describe('.env.example', () => {
  it('names every variable that there is, and none that there is not', async () => {
    const text = await readFile(new URL('../.env.example', import.meta.url), 'utf8');
    const named = [...text.matchAll(/^#?\s*([A-Z][A-Z0-9_]+)=/gm)].map((match) => match[1]);
    const known = [
      'PORT',
      'HOST',
      'DATABASE_URL',
      'DATA_DIR',
      'LOG_LEVEL',
      'CARILLON_API_KEY',
      'CARILLON_COMMANDS',
      'CARILLON_ROLES',
      'CARILLON_WORKERS',
      'CARILLON_SHUTDOWN_GRACE_SECONDS',
      'CARILLON_DATABASE_CONNECTIONS',
      'CARILLON_SECRET_KEY',
      'CARILLON_PG_BIN',
      'CARILLON_S3_ENDPOINT',
      'CARILLON_S3_REGION',
      'CARILLON_S3_PATH_STYLE',
      'CARILLON_SMTP_URL',
      'CARILLON_MAIL_FROM',
      'CARILLON_RETENTION_DAYS',
      'CARILLON_RETENTION_RUNS',
    ];
    expect([...new Set(named)].sort()).toEqual(known.sort());
  });
});
