/** GET /healthz, /readyz and /metrics */
import { afterAll, expect, test } from 'vitest';
import { setupApi, version } from '../support/api-house.ts';

const api = await setupApi();
afterAll(() => api.close());

test('/healthz says that the process is alive, its version and its time', async () => {
  const response = await api.get('/healthz');
  expect(response.status).toBe(200);
  expect(response.body).toEqual({ status: 'ok', version, time: '2026-03-01T00:00:00.000Z' });
});

test('/readyz says that the database is reached and migrated', async () => {
  const response = await api.get('/readyz');
  expect(response.status).toBe(200);
  expect(response.body).toEqual({
    status: 'ready',
    checks: {
      database: { ok: true, detail: 'reached and migrated' },
      lateness: { ok: true, detail: 'nothing is late' },
    },
  });
});

test('/metrics speaks Prometheus', async () => {
  const response = await api.get('/metrics');
  expect(response.status).toBe(200);
  expect(response.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
  const lines = response.text
    .trim()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  for (const line of lines) expect(line).toMatch(/^[a-zA-Z_:][\w:]*(\{[^}]*\})? [-+.\deE]+$/);
  for (const name of ['carillon_fires_total', 'carillon_attempts_total', 'process_cpu_seconds_total']) {
    expect(response.text).toContain(`# TYPE ${name} counter`);
  }
});
