/**
 * The README's commands, run by a real shell and a real curl against the whole service, in their order: so that the
 * README cannot rot. Once as printed, once with no content type anywhere, once with one everywhere.
 */
import { execFile, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import pino from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Service, startService } from '../../src/compose.ts';
import { loadConfig } from '../../src/config.ts';
import { createTestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait-for.ts';

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const blocks = [...readme.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text = '']) => text);
const commands = blocks.flatMap(commandsOf);
const hasCurl = spawnSync('curl', ['--version']).status === 0;

/** A command ends with the line on which its quotes are closed. */
function commandsOf(block: string): string[] {
  const found: string[] = [];
  let command = '';
  for (const line of block.split('\n')) {
    if (command === '' && /^\s*(#|$)/.test(line)) continue;
    command += command === '' ? line : `\n${line}`;
    if ((command.match(/'/g) ?? []).length % 2 === 1) continue;
    found.push(command);
    command = '';
  }
  expect(command, 'a quotation that is never closed').toBe('');
  return found;
}

type Shell = (command: string) => Promise<{ status: number | null; body: unknown }>;

/** Commands in their own shells, which hand `RUN` on. `header` goes to each curl. */
function createShell(port: string, header: string): Shell {
  const run = promisify(execFile);
  let RUN = '';
  return async (command) => {
    const script = `
      curl() { command curl --silent --show-error --max-time 15 ${header} "$@"; }
      ${command.replaceAll(/\b(localhost|127\.0\.0\.1):3000\b/g, `$1:${port}`).replaceAll(/^curl /gm, "curl -w '\\n%{http_code}' ")}
      printf '\\n%s' "$RUN"`;
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script], {
      env: { ...process.env, RUN },
    });
    const lines = stdout.split('\n');
    RUN = lines.pop() ?? '';
    const status = command.startsWith('curl') ? Number(lines.pop()) : null;
    const text = lines.join('\n');
    return { status, body: status === null ? lines : text === '' ? null : JSON.parse(text) };
  };
}

async function setup(
  header: string,
): Promise<{ service: Service; shell: Shell; get(path: string): Promise<never> }> {
  const { url, drop } = await createTestDatabase();
  onTestFinished(drop);
  const config = loadConfig({ PORT: '0', DATABASE_URL: url });
  const logger = pino({ level: 'silent' });
  const service = await startService({ config, databaseUrl: url, logger, version: '0' });
  onTestFinished(() => service.stop());
  const { port } = new URL(service.address);
  return {
    service,
    shell: createShell(port, header),
    get: async (path) => (await (await fetch(service.address + path)).json()) as never,
  };
}

type List = { items: { id: string; status: string; cause: string; output: unknown }[] };

test('the README has commands to run', () => {
  expect(blocks.length).toBeGreaterThanOrEqual(2);
  expect(commands.length).toBeGreaterThanOrEqual(15);
  for (const command of commands) expect(command).toMatch(/curl/);
});

const contentType = / -H 'content-type: application\/json'/g;

describe.skipIf(!hasCurl)('the README’s commands do what they say', () => {
  test.each([
    ['as printed', (command: string) => command, ''],
    ['without a content type', (command: string) => command.replaceAll(contentType, ''), ''],
    ['with a content type everywhere', (command: string) => command, "-H 'content-type: application/json'"],
  ])('%s', async (_how, change, header) => {
    const { shell, get } = await setup(header);
    for (const printed of commands) {
      const command = change(printed);
      const { status, body } = await shell(command);
      if (status !== null) {
        expect([200, 201, 202, 204], `${command}\n${JSON.stringify(body)}`).toContain(status);
        expect(/-X (POST|PUT|DELETE)/.test(command) || status === 200).toBe(true);
      }
      // A person types more slowly than runs run.
      await waitFor(
        async () => ((await get('/runs?status=queued,running,retrying')) as List).items.length === 0,
      );
    }
    // What is left at the end of it all.
    expect(await get('/schedules/ping')).toMatchObject({ status: 'stopped', cron: '*/10 * * * * *' });
    expect(await get('/schedules/nightly-report')).toMatchObject({
      status: 'active',
      cron: '0 3 * * *',
      timezone: 'Asia/Shanghai',
      labels: { team: 'data' },
      job: { timeout: '10m', retry: { maxAttempts: 3, initialInterval: '60s', maxInterval: '300s' } },
    });
    expect(((await get('/queues/mail/tasks?status=succeeded')) as List).items).toHaveLength(3);
    const { items } = (await get('/schedules/nightly-report/runs')) as List;
    expect(items.map((run) => [run.cause, run.status]).sort()).toEqual([
      ['manual', 'succeeded'],
      ['retry', 'succeeded'],
    ]);
  });

  test('and the first one calls its address every five seconds', async () => {
    const { shell, get } = await setup('');
    await shell(commands[0]!);
    const [run] = await waitFor(
      async () => {
        const { items } = (await get('/schedules/ping/runs?status=succeeded')) as List;
        return items.length > 0 && items;
      },
      { what: 'the first fire' },
    );
    expect(run).toMatchObject({ cause: 'schedule', status: 'succeeded', output: { statusCode: 200 } });
  });
});
