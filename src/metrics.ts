/** What Prometheus may ask of this process (`GET /metrics`). */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { DispatchCounts } from './dispatcher/dispatcher.ts';
import type { WorkerEvents } from './jobs/worker.ts';

export type ServiceMetrics = {
  readonly contentType: string;
  render(): Promise<string>;
  worker: WorkerEvents;
  notified(channel: string, outcome: string): void;
  dispatched(counts: DispatchCounts, durationMs: number): void;
  /** Counts a fault of a background pass, by its name. */
  fault(pass: string): void;
};

/** A block of the event loop that is shorter than this may be missed. */
const eventLoopSampleMs = 100;

const secondsBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600];

export function createMetrics(live: () => number, late: () => number = () => 0): ServiceMetrics {
  const registry = new Registry();
  const registers = [registry];
  // Of 10 ms, its default, the wake-ups alone are a third of what an idle house costs.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: eventLoopSampleMs });
  const fires = new Counter({
    name: 'carillon_fires_total',
    help: 'Fires that this process dispatched, by disposition.',
    labelNames: ['disposition'],
    registers,
  });
  const retries = new Counter({
    name: 'carillon_retries_total',
    help: 'Runs put back into the queue for a retry.',
    registers,
  });
  const passSeconds = new Histogram({
    name: 'carillon_dispatch_pass_seconds',
    help: 'Duration of dispatch passes that claimed something.',
    buckets: secondsBuckets,
    registers,
  });
  const lateness = new Histogram({
    name: 'carillon_run_lateness_seconds',
    help: 'From the nominal time to the start, first attempts only.',
    labelNames: ['job_type'],
    buckets: secondsBuckets,
    registers,
  });
  const duration = new Histogram({
    name: 'carillon_attempt_duration_seconds',
    help: 'From the start of an attempt to its end.',
    labelNames: ['job_type'],
    buckets: secondsBuckets,
    registers,
  });
  const attempts = new Counter({
    name: 'carillon_attempts_total',
    help: 'Attempts that ended in this process, by how.',
    labelNames: ['job_type', 'status'],
    registers,
  });
  const faults = new Counter({
    name: 'carillon_pass_faults_total',
    help: 'Background passes that failed and were tried again.',
    labelNames: ['pass'],
    registers,
  });
  const notifications = new Counter({
    name: 'carillon_notifications_total',
    help: 'Tries to deliver notifications, by how they ended.',
    labelNames: ['channel', 'outcome'],
    registers,
  });
  new Gauge({
    name: 'carillon_late_runs',
    help: 'Nominal times whose run has not started within lateAfter, as this process sees it.',
    registers,
    collect() {
      this.set(late());
    },
  });
  new Gauge({
    name: 'carillon_live_attempts',
    help: 'Attempts that this process executes or records at the moment.',
    registers,
    collect() {
      this.set(live());
    },
  });

  return {
    contentType: registry.contentType,
    // What was not measured yet is left out: prom-client would write a "Nan" that not every reader takes for a number.
    render: async () => (await registry.metrics()).replaceAll(/^\S+ Nan\n/gm, ''),
    worker: {
      started(run, startedAtMs) {
        if (run.attempt === 1)
          lateness.observe({ job_type: run.jobType }, Math.max(0, startedAtMs - run.scheduledForMs) / 1000);
      },
      ended(run, status, durationMs) {
        attempts.inc({ job_type: run.jobType, status });
        duration.observe({ job_type: run.jobType }, durationMs / 1000);
      },
    },
    notified(channel, outcome) {
      notifications.inc({ channel, outcome });
    },
    dispatched(counts, durationMs) {
      if (counts.claimed + counts.retried === 0) return;
      fires.inc({ disposition: 'started' }, counts.started);
      fires.inc({ disposition: 'skipped' }, counts.skipped);
      fires.inc({ disposition: 'missed' }, counts.missed);
      retries.inc(counts.retried);
      passSeconds.observe(durationMs / 1000);
    },
    fault(pass) {
      faults.inc({ pass });
    },
  };
}
