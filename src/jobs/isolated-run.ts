/**
 * Executes one attempt in a process of its own, for job types that are heavy: an endless loop or a lack of memory there
 * takes nothing with it. The worker keeps the lease, the slot and the database; the process does the work.
 *
 * What happens when
 * - the process ends before the attempt has: the attempt is lost, and the run goes on as the next one; a run that has
 *   lost three is not tried again (`poisoned`);
 * - the attempt is aborted (timeout, cancel, lease, shutdown): the process is told, and killed when it does not end;
 * - the worker is killed: its processes see that they have another parent, and end.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Clock, machineMs } from '../clock.ts';
import type { ClaimedRun } from '../db/run-store.ts';
import { messageOf } from '../errors.ts';
import type { FromChild, JobModule, JournalCall, ToChild } from './isolated-protocol.ts';
import type { LiveAttempt } from './live-attempt.ts';
import { type AttemptEnd, endOfAbort, type RunJobParts } from './run-job.ts';
import type { StepJournal } from './step-record.ts';

/** Attempts that a run may lose with its process. */
export const processesLostMax = 3;
/** How long a process that was told to end may take. */
const killAfterMs = 1_500;
/** The heap of a job's process, MiB. Job types stream; what needs more has a leak. */
const heapMbMax = 1_024;
const lostRetryMs = 1_000;

const program = fileURLToPath(new URL('./isolated-child.ts', import.meta.url));

export type IsolatedParts = RunJobParts & { secrets: ReadonlyMap<string, string> };

/** Never throws. `run` has its secrets in its input. */
export async function runIsolated(
  run: ClaimedRun,
  module: JobModule,
  live: LiveAttempt,
  parts: IsolatedParts,
): Promise<AttemptEnd> {
  const timeout = setTimeout(
    () => live.abort('timeout', `The attempt took longer than its timeout of ${run.timeoutMs} ms.`),
    Math.min(run.timeoutMs, 2 ** 31 - 1),
  );
  const child = fork(program, [], {
    // Young garbage is collected early: what streams makes much of it, and memory is told by its most.
    execArgv: [`--max-old-space-size=${heapMbMax}`, '--max-semi-space-size=2'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'json',
  });
  try {
    return await attend(child, run, module, live, parts);
  } finally {
    clearTimeout(timeout);
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
}

async function attend(
  child: ChildProcess,
  run: ClaimedRun,
  module: JobModule,
  live: LiveAttempt,
  { clock, log, journal, redact, secrets }: IsolatedParts,
): Promise<AttemptEnd> {
  const { promise, resolve } = Promise.withResolvers<AttemptEnd>();
  const send = (message: ToChild) => {
    if (child.connected) child.send(message, () => {});
  };
  let lastWords = '';
  let killTimer: NodeJS.Timeout | undefined;
  const onAbort = () => {
    const { why, message } = live.reason!;
    send({ kind: 'abort', why, message });
    killTimer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  };
  const stopTimer = setInterval(() => {
    if (!live.stopRequested) return;
    send({ kind: 'stop' });
    clearInterval(stopTimer);
  }, 100);
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    lastWords = (lastWords + text).slice(-2_000);
  });
  child.on('error', (error) => resolve(lost(run, clock, `it could not be started: ${messageOf(error)}`)));
  child.on('exit', (code, signal) => {
    // It was told to end, or killed since it did not.
    if (live.reason !== null) resolve(endOfAbort(run, live, live.reason));
    else resolve(lost(run, clock, `it ended with ${signal ?? `code ${code}`}${redact(told(lastWords))}`));
  });
  child.on('message', (message: FromChild) => {
    if (message.kind === 'end') resolve(message.end);
    else if (message.kind === 'log') log(message.level, message.message);
    else void reply(message.id, message.call, journal, send);
  });
  live.heed(onAbort);
  send({
    kind: 'start',
    run,
    secrets: [...secrets],
    module,
    clockAheadMs: clock.now() - machineMs(),
    stopRequested: live.stopRequested,
  });
  try {
    return await promise;
  } finally {
    clearTimeout(killTimer);
    clearInterval(stopTimer);
    live.unheed();
  }
}

async function reply(
  id: number,
  call: JournalCall,
  journal: StepJournal,
  send: (message: ToChild) => void,
): Promise<void> {
  try {
    const value =
      call.method === 'load'
        ? await journal.load()
        : call.method === 'save'
          ? await journal.save(call.record)
          : await journal.saveProgress(call.progress);
    send({ kind: 'reply', id, value });
  } catch (error) {
    send({ kind: 'reply', id, error: messageOf(error) });
  }
}

function lost(run: ClaimedRun, clock: Pick<Clock, 'now'>, what: string): AttemptEnd {
  if (run.lost + 1 >= processesLostMax) {
    const message = `The process of this run ended ${run.lost + 1} times before the run did; the last time ${what}.`;
    return {
      kind: 'ended',
      status: 'failed',
      reason: 'poisoned',
      output: null,
      error: { type: 'Poisoned', message },
    };
  }
  const error = {
    type: 'ProcessLost',
    message: `The process of this attempt did not live to its end: ${what}.`,
  };
  return { kind: 'lost', error, untilMs: clock.now() + lostRetryMs };
}

/** The end of what a dying process wrote, where V8 says that its heap is full. */
function told(lastWords: string): string {
  const line = /FATAL ERROR: .*|^\w*Error: .*/m.exec(lastWords)?.[0];
  return line === undefined ? '' : ` (${line.slice(0, 300)})`;
}
