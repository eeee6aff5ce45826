/** GET /job-types */
import { afterAll, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';

const api = await setupApi();
afterAll(() => api.close());

test('each job type tells its name, what it takes and gives as JSON Schema, and its defaults', async () => {
  const response = await api.get('/job-types');
  expect(response.status).toBe(200);
  expect(Object.keys(response.body)).toEqual(['items']);
  const fields = [
    ...['name', 'description', 'taskQueue', 'timeout', 'retry', 'inputSchema', 'outputSchema', 'example'],
  ];
  for (const item of response.body.items) expect(Object.keys(item)).toEqual(fields);
  const task = response.body.items.find((item: { name: string }) => item.name === 'task');
  expect(task).toMatchObject({
    taskQueue: 'default',
    timeout: '1h',
    retry: { maxAttempts: 3, initialInterval: '5s', maxInterval: '5m', backoffCoefficient: 2 },
    inputSchema: {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      anyOf: [
        { type: 'object', required: ['url'], additionalProperties: false },
        { type: 'object', required: ['command'], additionalProperties: false },
      ],
    },
    outputSchema: {
      anyOf: [
        { type: 'object', required: ['statusCode', 'durationMs', 'body'] },
        { type: 'object', required: ['exitCode', 'durationMs', 'stdout', 'stderr'] },
      ],
    },
  });
  const [http, command] = task.inputSchema.anyOf;
  expect(Object.keys(http.properties)).toEqual([
    ...['url', 'method', 'headers', 'body', 'expectStatus', 'timeout'],
  ]);
  expect(Object.keys(command.properties)).toEqual(['command', 'env', 'cwd', 'timeout']);
});

test('a schedule can be made of each one’s name and example, and has its defaults', async () => {
  for (const item of (await api.get('/job-types')).body.items) {
    const { job } = await api.create(`by-${item.name}`, { job: { type: item.name, input: item.example } });
    expect(job).toEqual({
      type: item.name,
      input: item.example,
      taskQueue: item.taskQueue,
      timeout: item.timeout,
      retry: item.retry,
    });
  }
});
