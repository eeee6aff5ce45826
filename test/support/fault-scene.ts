/** A database, a witness, and what fault tests ask of both; nodes are started by the test. */
import { onTestFinished } from 'vitest';
import { createTestDatabase } from './database.ts';
import { type NodeOptions, type NodeProcess, startNode } from './node-process.ts';
import { openSession, type SqlSession } from './sql-session.ts';
import { waitFor } from './wait-for.ts';
import { startWitness, type Witness } from './witness.ts';

export type RunAnswer = {
  id: string;
  status: string;
  reason: string | null;
  attempt: number;
  scheduledFor: string;
  startedAt: string | null;
  finishedAt: string | null;
  error: { type: string; message: string } | null;
  attempts: {
    number: number;
    status: string;
    worker: string | null;
    startedAt: string;
    finishedAt: string | null;
    error: { type: string } | null;
  }[];
};

export type FaultScene = {
  databaseUrl: string;
  witness: Witness;
  sql: SqlSession;
  node(options?: Omit<NodeOptions, 'databaseUrl'>): Promise<NodeProcess>;
  /** A schedule that never fires by itself; its runs call the witness. */
  create(node: NodeProcess, schedule?: Record<string, unknown>): Promise<{ id: string; name: string }>;
  /** A run of a new schedule, whose call the witness holds. */
  hold(node: NodeProcess, job?: Record<string, unknown>): Promise<string>;
  trigger(node: NodeProcess, schedule: string): Promise<string>;
  run(node: NodeProcess, runId: string): Promise<RunAnswer>;
  reaches(node: NodeProcess, runId: string, status: string, timeoutMs?: number): Promise<RunAnswer>;
  /** As if the worker process had last been heard of a minute ago, so that no test waits 30 s. */
  silence(pid: number): Promise<void>;
  doorbells(): Promise<{ run_id: string; attempt: number; locked_by: string | null }[]>;
};

export async function setupScene(options: { url?: string } = {}): Promise<FaultScene> {
  const own = options.url === undefined ? await createTestDatabase() : null;
  if (own !== null) onTestFinished(() => own.drop());
  const databaseUrl = options.url ?? own!.url;
  const witness = await startWitness();
  const sql = await openSession(databaseUrl);
  let schedules = 0;

  const scene: FaultScene = {
    databaseUrl,
    witness,
    sql,
    node: (nodeOptions = {}) => startNode({ databaseUrl, ...nodeOptions }),

    async create(node, schedule = {}) {
      schedules += 1;
      return await node.post('/schedules', {
        name: `scene-${schedules}`,
        at: '2999-01-01T00:00:00Z',
        overlap: 'allow',
        job: { type: 'task', input: { url: witness.url } },
        ...schedule,
      });
    },

    async hold(node, job = {}) {
      const { name } = await scene.create(node, {
        job: { type: 'task', input: { url: witness.holdUrl }, ...job },
      });
      return await scene.trigger(node, name);
    },

    trigger: async (node, schedule) => (await node.post<RunAnswer>(`/schedules/${schedule}/trigger`)).id,

    run: (node, runId) => node.get<RunAnswer>(`/runs/${runId}`),

    reaches: (node, runId, status, timeoutMs = 15_000) =>
      waitFor(
        async () => {
          const run = await scene.run(node, runId);
          if (run.status === status) return run;
          throw new Error(JSON.stringify(run));
        },
        { timeoutMs, what: `run ${runId} to be ${status}` },
      ),

    async silence(pid) {
      const rows = await sql.rows(
        `update workers set heartbeat_at = heartbeat_at - interval '1 minute'
         where pid = $1 and gone_at is null returning id`,
        [pid],
      );
      if (rows.length !== 1) throw new Error(`${rows.length} workers have the pid ${pid}`);
    },

    doorbells: () =>
      sql.rows(
        `select r->>'runId' as run_id, (r->>'attempt')::int as attempt, locked_by
         from graphile_worker._private_jobs j,
           json_array_elements(coalesce(j.payload->'runs', json_build_array(j.payload))) r
         order by id`,
      ),
  };
  return scene;
}
