/**
 * What the API is held against: Fastify and pg and nothing between them. It checks nothing, computes no times, and writes and
 * reads the same tables (the triggers of the migrations included) with one prepared statement per request.
 */
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import pg from 'pg';

const { url, connections } = JSON.parse(process.argv[2]!) as { url: string; connections: number };

const pool = new pg.Pool({ connectionString: url, max: connections });
const app = Fastify();

type Body = { name: string; cron: string; timezone: string; job: { type: string; input: object } };

const insert = `with s as (
    insert into schedules (id, name, description, labels, trigger, timezone, dst, overlap, catch_up, catch_up_window_ms,
      job_type, job_input, task_queue, timeout_ms, retry, status, version, created_at, updated_at)
    values ($1, $2, '', '{}', $3, $4, '{"gap":"run","repeat":"auto"}', 'skip', 'latest', 86400000, $5, $6, 'default', 60000,
      '{"maxAttempts":1,"initialIntervalMs":1000,"maxIntervalMs":1000,"backoffCoefficient":1,"nonRetryableErrorTypes":[]}',
      'active', 1, now(), now())
    returning *
  ), h as (
    insert into schedule_states (schedule_id, next_run_at, due_at) values ($1, $7, $7) returning *
  )
  select * from s, h`;
const select = `select * from schedules s join schedule_states h on h.schedule_id = s.id where s.id = $1`;
const nextRunAt = new Date(Date.now() + 86_400_000);

app.post('/schedules', async (request, reply) => {
  const { name, cron, timezone, job } = request.body as Body;
  const trigger = JSON.stringify({ kind: 'cron', expressions: [cron] });
  const values = [randomUUID(), name, trigger, timezone, job.type, JSON.stringify(job.input), nextRunAt];
  const { rows } = await pool.query({ name: 'insert', text: insert, values });
  reply.code(201);
  return rows[0];
});

app.get('/schedules/:id', async (request) => {
  const values = [(request.params as { id: string }).id];
  const { rows } = await pool.query({ name: 'select', text: select, values });
  return rows[0];
});

await app.listen({ host: '127.0.0.1', port: 0 });
const { port } = app.server.address() as AddressInfo;
process.stdout.write(`${JSON.stringify({ address: `http://127.0.0.1:${port}` })}\n`);
