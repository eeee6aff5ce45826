import { expect, test } from 'vitest';
import { standIn } from './stand-in.ts';

test('health says that the process is alive, its version and its time', async () => {
  const { app } = await standIn({ health: { ready: () => Promise.reject(new Error('not asked')) } });
  const response = await app.inject('/healthz');
  expect(response.statusCode).toBe(200);
  expect(response.json()).toEqual({ status: 'ok', version: '9.9.9', time: '2027-01-15T12:00:00.000Z' });
});

test('readiness shows each check', async () => {
  const { app } = await standIn();
  const response = await app.inject('/readyz');
  expect(response.statusCode).toBe(200);
  expect(response.json()).toEqual({
    status: 'ready',
    checks: { database: { ok: true, detail: 'reached' } },
  });
});

test('a service that is not ready is a 503 problem that names what fails', async () => {
  const checks = {
    database: { ok: false, detail: 'no answer' },
    dispatching: { ok: true, detail: 'fine' },
  };
  const { app } = await standIn({ health: { ready: async () => ({ ready: false, checks }) } });
  const response = await app.inject('/readyz');
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(response.json()).toMatchObject({
    status: 503,
    code: 'not_ready',
    detail: 'database: no answer',
    checks,
  });
});

test('metrics come in their own type', async () => {
  const { app } = await standIn();
  const response = await app.inject('/metrics');
  expect(response.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(response.body).toBe('carillon_up 1\n');
});

test('job types are listed with their schemas and defaults', async () => {
  const { app } = await standIn();
  expect((await app.inject('/job-types')).json()).toEqual({
    items: [
      {
        name: 'echo',
        description: 'Says it again.',
        taskQueue: 'default',
        timeout: '30s',
        retry: {
          maxAttempts: 3,
          initialInterval: '5s',
          maxInterval: '1m',
          backoffCoefficient: 2,
          nonRetryableErrorTypes: ['InvalidConfiguration'],
        },
        inputSchema: {
          $schema: 'x',
          type: 'object',
          properties: { text: { type: 'string' } },
          required: ['text'],
        },
        outputSchema: { type: 'string' },
        example: { text: 'hello' },
      },
    ],
  });
});
