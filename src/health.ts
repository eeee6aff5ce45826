/** Whether this process can do its work, for /readyz. */
import type pg from 'pg';
import type { Background } from './background.ts';
import { type Clock, toIso } from './clock.ts';
import { messageOf } from './errors.ts';
import type { HealthCheck, HealthService } from './routes/health.ts';

/** A dispatcher that has not finished a pass for this long does not dispatch. */
const dispatchSilenceMsMax = 5000;
const databaseAnswerMsMax = 2000;

export type HealthParts = {
  pool: pg.Pool;
  clock: Clock;
  dispatching: Background | null;
  worker: { readonly healthy: boolean; readonly live: number } | null;
  /** What is late by `lateAfter`, the longest first. */
  late(): readonly { scheduleName: string; scheduledForMs: number }[];
};

function silence(ms: number): string {
  return Number.isFinite(ms)
    ? `no pass has succeeded for ${Math.round(ms / 1000)} s`
    : 'no pass has succeeded yet';
}

function lateness(late: ReturnType<HealthParts['late']>): HealthCheck {
  const [longest] = late;
  if (longest === undefined) return { ok: true, detail: 'nothing is late' };
  const { scheduleName, scheduledForMs } = longest;
  return {
    ok: false,
    detail: `${late.length} ${late.length === 1 ? 'run has' : 'runs have'} not started within lateAfter, the longest "${scheduleName}" of ${toIso(scheduledForMs)}`,
  };
}

export function createHealth({ pool, dispatching, worker, late }: HealthParts): HealthService {
  async function database(): Promise<HealthCheck> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`no answer within ${databaseAnswerMsMax} ms`)),
        databaseAnswerMsMax,
      );
    });
    // The service migrates before it listens, so a table that answers is a migrated one.
    const answer = pool.query('select from schedules limit 1');
    try {
      await Promise.race([answer, late]);
      return { ok: true, detail: 'reached and migrated' };
    } catch (error) {
      return { ok: false, detail: `the database does not answer: ${messageOf(error)}` };
    } finally {
      clearTimeout(timer);
      answer.catch(() => {});
    }
  }

  return {
    async ready() {
      const checks: Record<string, HealthCheck> = { database: await database() };
      if (dispatching !== null) {
        const silentMs = dispatching.sinceGoodMs();
        checks.dispatcher =
          silentMs <= dispatchSilenceMsMax
            ? { ok: true, detail: 'dispatching' }
            : {
                ok: false,
                detail: `${silence(silentMs)}: ${dispatching.fault ?? 'it is still busy'}`,
              };
      }
      if (worker !== null) {
        checks.worker = worker.healthy
          ? { ok: true, detail: `${worker.live} attempts in flight` }
          : { ok: false, detail: 'the lease is lost; it is taken again as soon as the database answers' };
      }
      checks.lateness = lateness(late());
      return { ready: Object.values(checks).every((check) => check.ok), checks };
    },
  };
}
