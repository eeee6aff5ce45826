/** Defects for a copy of the service, to see that a run finds them: `npm run chaos -- --short --mutation <name>`. */
import type { Edit } from './house-copy.ts';

export const mutations: Readonly<Record<string, readonly Edit[]>> = {
  /** A pass forgets that what passed while nobody dispatched belongs to catch-up. */
  'no-outages': [
    {
      file: 'src/dispatcher/dispatcher.ts',
      from: 'const outages = pulse.outages();',
      to: 'const outages: ReturnType<typeof pulse.outages> = [];',
    },
  ],
  /** The end of a run is taken from whatever attempt says so. */
  'no-fence': [
    {
      file: 'src/db/run-end-store.ts',
      from: 'where r.id = e.id and r.attempt = e.attempt and',
      to: 'where r.id = e.id and',
    },
  ],
  /** Overlap is not looked at. */
  'no-overlap': [
    {
      file: 'src/schedules/overlap.ts',
      from: "if (policy === 'allow' || active === 0) return 'start';",
      to: "if (policy !== 'cancel_running') return 'start';",
    },
  ],
  /** The end of a run is forgotten now and then. */
  'lost-ends': [
    {
      file: 'src/jobs/outcome-recorder.ts',
      from: 'const { status, reason, output, error } = end;',
      to: "if (run.id.endsWith('7')) return true;\n        const { status, reason, output, error } = end;",
    },
  ],
  /** Retries come at once. */
  'no-backoff': [
    {
      file: 'src/runs/retry-policy.ts',
      from: 'return { retryInMs: Math.max(backoffMs(policy, failures), asked) };',
      to: 'return { retryInMs: asked };',
    },
  ],
  /** A pause does not take the next time away. */
  'late-pause': [
    {
      file: 'src/schedules/schedule-service.ts',
      from: "await updateSchedule(tx, schedule.id, { status: 'paused', note, pausedAtMs: nowMs }, nowMs);\n        await setNext(tx, schedule.id, null);",
      to: "await updateSchedule(tx, schedule.id, { status: 'paused', note, pausedAtMs: nowMs }, nowMs);",
    },
  ],
};
