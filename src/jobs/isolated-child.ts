/**
 * The program of an isolated run: one process, one attempt. It has no connections of its own to the house; steps, log
 * and outcome go through its worker. It ends with its worker, whatever its job is doing: a thread beside it looks, since
 * a job in an endless loop hears nothing.
 */
import { flushCompileCache } from 'node:module';
import { Worker } from 'node:worker_threads';
import { machineMs } from '../clock.ts';
import { messageOf } from '../errors.ts';
import { redactorOf } from '../secrets/redaction.ts';
import type { FromChild, JournalCall, ToChild } from './isolated-protocol.ts';
import type { JobType } from './job.ts';
import { LiveAttempt } from './live-attempt.ts';
import { createJobRegistry } from './registry.ts';
import { runJob } from './run-job.ts';
import type { StepJournal, StepRecord } from './step-record.ts';
import { handleUncaught } from './stray-faults.ts';

const watchEveryMs = 500;

const live = new LiveAttempt();
const calls = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
let callsMade = 0;

new Worker(
  `const { workerData: { parent, everyMs } } = require('node:worker_threads');
   setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL'); }, everyMs);`,
  { eval: true, workerData: { parent: process.ppid, everyMs: watchEveryMs } },
).unref();
// What its job leaves behind is told as its fault; what is not the job's ends the process, as ever.
handleUncaught(
  () => {},
  (error) => {
    process.stderr.write(`${error.name}: ${messageOf(error)}\n`, () => process.exit(1));
  },
);
process.on('disconnect', () => process.exit(1));
process.on('message', (message: ToChild) => {
  switch (message.kind) {
    case 'start':
      void execute(message);
      break;
    case 'abort':
      live.abort(message.why, message.message);
      break;
    case 'stop':
      live.stopRequested = true;
      break;
    case 'reply': {
      const waiting = calls.get(message.id);
      calls.delete(message.id);
      if (message.error === undefined) waiting?.resolve(message.value);
      else waiting?.reject(new Error(message.error));
      break;
    }
  }
});

async function execute(start: ToChild & { kind: 'start' }): Promise<void> {
  // Before anything is awaited: a stop may come meanwhile.
  live.stopRequested ||= start.stopRequested;
  const { jobs } = (await import(start.module.url)) as { jobs(settings: unknown): readonly JobType[] };
  // For the next one (compile-cache.ts). Now: its worker ends this process once it has heard of the end.
  flushCompileCache();
  const job = createJobRegistry(jobs(start.module.settings)).find(start.run.jobType);
  const end = await runJob(start.run, job, live, {
    clock: { now: () => machineMs() + start.clockAheadMs, monotonic: machineMs },
    log: (level, message) => send({ kind: 'log', level, message: String(message) }),
    journal,
    redact: redactorOf(new Map(start.secrets)),
  });
  send({ kind: 'end', end }, () => process.exit(0));
}

const journal: StepJournal = {
  load: async () => (await call({ method: 'load' })) as StepRecord[],
  save: async (record) => (await call({ method: 'save', record })) as boolean,
  saveProgress: async (progress) => (await call({ method: 'saveProgress', progress })) as boolean,
};

function call(what: JournalCall): Promise<unknown> {
  callsMade += 1;
  const id = callsMade;
  return new Promise((resolve, reject) => {
    calls.set(id, { resolve, reject });
    send({ kind: 'call', id, call: what });
  });
}

function send(message: FromChild, then: () => void = () => {}): void {
  process.send?.(message, then);
}
