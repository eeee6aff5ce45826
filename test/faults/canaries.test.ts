// biome-ignore-all lint/suspicious/noTemplateCurlyInString: They are references to secrets.
/**
 * Canaries: secrets that must be nowhere but in the sealed table and in the calls that they are for. Everything that
 * the service answers, logs, stores and shows to other processes is looked through.
 */

import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import { setupScene } from '../support/fault-scene.ts';
import { waitFor } from '../support/wait-for.ts';

vi.setConfig({ testTimeout: 60_000 });

const canary = 'kanarienvogel/7+"ß&zwei';
const other = 'einundzwanzig-gelbe-federn';
const signing = `whsec_${Buffer.from('dreissig-gruene-papageien-und-eins').toString('base64')}`;

/** Says back whatever it is sent: in its body, its status and its headers. */
async function startEcho() {
  const heard: string[] = [];
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const said = JSON.stringify({ url: request.url, headers: request.headers, body });
    heard.push(said);
    response.statusCode = request.url!.startsWith('/bad') ? 500 : 200;
    response.end(`${said}\n${body}\n${decodeURIComponent(request.url!)}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard };
}

type Told = { items: { lastError: string | null }[] };

/** All forms in which it would be readable. */
const forms = [
  ...[canary, other, signing].flatMap((value) => [
    value,
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    Buffer.from(value).toString('base64').slice(0, -4),
  ]),
];

it('no secret is in an answer, a log line, an error, a doorbell, a table or a process list', async () => {
  const { node, sql } = await setupScene();
  const echo = await startEcho();
  const carillon = await node({ env: { LOG_LEVEL: 'trace', CARILLON_SECRET_KEY: 'Q'.repeat(43) } });
  const put = (path: string, body: object) =>
    fetch(carillon.address + path, { method: 'PUT', body: JSON.stringify(body) });
  expect((await put('/secrets/canary', { value: canary })).status).toBe(201);
  expect((await put('/secrets/other', { value: other })).status).toBe(201);
  expect((await put('/secrets/signing', { value: signing })).status).toBe(201);
  const retry = { maxAttempts: 2, initialInterval: '100ms', maxInterval: '100ms', backoffCoefficient: 1 };
  for (const [name, path] of [
    ['good', '/good'],
    ['bad', '/bad'],
  ]) {
    const created = await put(`/schedules/${name}`, {
      at: '2999-01-01T00:00:00Z',
      // Its receiver says back all that it got, as an error.
      notify: [
        {
          on: ['failure', 'success'],
          webhook: {
            url: `${echo.url}/bad/notified?key=\${secret:other}`,
            secret: { $secret: 'signing' },
            headers: { authorization: 'Bearer ${secret:other}' },
          },
        },
      ],
      job: {
        type: 'task',
        retry,
        input: {
          url: `${echo.url}${path}?key=\${secret:other}`,
          method: 'POST',
          headers: { authorization: 'Bearer ${secret:other}', 'x-plain': { $secret: 'other' } },
          body: { password: { $secret: 'canary' }, text: 'it is ${secret:canary}, really' },
        },
      },
    });
    expect(created.status, await created.text()).toBe(201);
  }
  const runs: string[] = [];
  for (const name of ['good', 'bad'])
    runs.push((await carillon.post<{ id: string }>(`/schedules/${name}/trigger`)).id);
  // Credentials in the clear do not even get in.
  const clear = await put('/schedules/clear', {
    every: '1h',
    job: { type: 'task', input: { url: 'http://127.0.0.1/', body: `postgres://me:${other}@db/x` } },
  });
  expect(clear.status).toBe(400);
  await waitFor(
    async () =>
      (await Promise.all(runs.map((id) => carillon.get<{ status: string }>(`/runs/${id}`)))).every(
        ({ status }) => ['succeeded', 'failed'].includes(status),
      ),
    { timeoutMs: 30_000 },
  );
  const isNotification = (said: string) => said.includes('/bad/notified');
  await waitFor(async () => {
    const told = await Promise.all(
      ['good', 'bad'].map((name) => carillon.get<Told>(`/schedules/${name}/notifications`)),
    );
    return told.every(({ items }) => items[0]?.lastError != null);
  });
  const notified = echo.heard.filter(isNotification);
  expect(notified.length).toBeGreaterThanOrEqual(2);
  for (const said of notified) {
    expect(said).toContain(`Bearer ${other}`);
    expect(said).toContain('webhook-signature');
    for (const value of [canary, signing]) expect(said).not.toContain(value);
    // Neither the inputs of runs nor what they answered.
    expect(said).not.toContain('it is');
  }
  // The calls themselves had them.
  const calls = echo.heard.filter((said) => !isNotification(said));
  expect(calls).toHaveLength(3);
  for (const said of calls) {
    expect(said).toContain(JSON.stringify(JSON.stringify(canary)).slice(1, -1));
    expect(said).toContain(`Bearer ${other}`);
  }

  const places = new Map<string, string>([
    ['the log', carillon.output()],
    ['the refusal', await clear.text()],
  ]);
  for (const path of [
    ...[
      '/secrets',
      '/secrets/canary',
      '/schedules',
      '/schedules/good',
      '/schedules/bad',
      '/schedules/good/notifications',
      '/schedules/bad/notifications',
      '/runs',
      '/metrics',
    ],
    ...['/openapi.json', '/forecast', '/calendars', '/readyz'],
    ...runs.flatMap((id) => [`/runs/${id}`, `/runs/${id}/logs`]),
  ]) {
    places.set(path, await (await fetch(carillon.address + path)).text());
  }
  const tables = await sql.rows<{ schema: string; name: string }>(
    `select schemaname as schema, tablename as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`,
  );
  for (const { schema, name } of tables) {
    const rows = await sql.rows<{ row: string }>(`select t::text as row from "${schema}"."${name}" t`);
    places.set(`table ${name}`, rows.map(({ row }) => row).join('\n'));
  }
  for (const pid of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
    places.set(`process ${pid}`, await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
  }
  expect(places.get(`/runs/${runs[1]}`)).toContain('[secret:');
  for (const [place, text] of places) {
    for (const form of forms) expect(text.includes(form), `${form} in ${place}`).toBe(false);
  }
});

it('a body that is no JSON is refused without being quoted', async () => {
  const { node } = await setupScene();
  const carillon = await node({ env: { LOG_LEVEL: 'trace' } });
  const response = await fetch(`${carillon.address}/secrets/x`, {
    method: 'PUT',
    body: `{"value": ${other}}`,
  });
  expect(response.status).toBe(400);
  expect(await response.text()).not.toContain(other.slice(0, 8));
  expect(carillon.output()).not.toContain(other.slice(0, 8));
});
