/**
 * Runs a program for a task: no shell, an environment of its own, a process group of its own.
 *
 *   start ─► its end ─► what it left in its group is ended ─► output
 *      └ timeout, cancel, shutdown: SIGTERM to the group, SIGKILL after a grace
 *
 * A command is done at least once: when its attempt is lost, the next one runs it again with the same
 * CARILLON_IDEMPOTENCY_KEY. What leaves its process group (setsid) is out of reach.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { toIso } from '../../clock.ts';
import { formatDuration } from '../../duration.ts';
import { codeOf, messageOf } from '../../errors.ts';
import { type JobContext, JobError } from '../job.ts';
import { type CommandSettings, commandFault } from './command-allowed.ts';
import type { CommandInput, CommandOutput } from './command-input.ts';
import { type CommandLines, createCommandLines } from './command-lines.ts';
import { OutputTail } from './output-tail.ts';
import { type ProcessGroups, signalGroup } from './process-groups.ts';
import { excerpt } from './response-text.ts';

export type CommandParts = { settings: CommandSettings; groups: ProcessGroups };

/** From SIGTERM to SIGKILL. Less than what a worker gives an aborted attempt (task-job.ts) and a drain. */
export const killGraceMs = 3_000;
/** After the end of the program: for what it wrote last, and for what others of its group may still write. */
const streamGraceMs = 500;
/** A program that writes without end takes no more of us than this. */
const readPerWindowBytesMax = 4 * 1_024 * 1_024;
const readWindowMs = 100;
const excerptLengthMax = 300;

/** Rejects with JobError (`CommandFailed`, `Timeout`, `InvalidConfiguration`) or with the signal's reason. */
export async function runCommand(
  { settings, groups }: CommandParts,
  context: JobContext,
  input: CommandInput,
): Promise<CommandOutput> {
  const [program = '', ...args] = input.command;
  const cwd = input.cwd ?? '/';
  await check(settings, program, cwd);
  context.signal.throwIfAborted();
  const startedAt = context.now();
  groups.prepare();
  const child = await start(groups, program, args, cwd, environment(settings, context, input));
  const group = child.pid!;
  const lines = createCommandLines((message, level) => context.log(message, level));
  const stdout = follow(child.stdout!, lines, 'info');
  const stderr = follow(child.stderr!, lines, 'warn');
  const ended = ending(child);
  let why: { timedOut: true } | null = null;
  const killer = createKiller(group);
  const timer =
    input.timeout === undefined
      ? undefined
      : setTimeout(
          () => {
            why = { timedOut: true };
            killer.end();
          },
          Math.min(input.timeout, 2 ** 31 - 1),
        );
  context.signal.addEventListener('abort', killer.end, { once: true });
  try {
    if (context.signal.aborted) killer.end();
    const { code, signal } = await ended;
    clearTimeout(timer);
    await Promise.race([Promise.all([stdout.ended, stderr.ended]), delay(streamGraceMs)]);
    await killer.endRest();
    for (const stream of [child.stdout!, child.stderr!]) stream.destroy();
    const [out, err] = [stdout.close(context), stderr.close(context)];
    lines.close([
      { text: out.text, level: 'info' },
      { text: err.text, level: 'warn' },
    ]);
    context.signal.throwIfAborted();
    const durationMs = Math.max(0, Math.round(context.now() - startedAt));
    if (why !== null) {
      throw new JobError(
        'Timeout',
        `${program} took longer than ${formatDuration(input.timeout!)} and was ended.`,
      );
    }
    if (code !== 0) throw commandFailed(program, code, signal, err.text);
    context.log(`${program} ended well in ${durationMs} ms`);
    return {
      exitCode: 0,
      durationMs,
      stdout: out.text,
      stderr: err.text,
      ...(out.isTruncated && { stdoutTruncated: true as const }),
      ...(err.isTruncated && { stderrTruncated: true as const }),
    };
  } finally {
    clearTimeout(timer);
    context.signal.removeEventListener('abort', killer.end);
    killer.close();
    groups.forget(group);
  }
}

/** What a person must mend is told as such, and before anything runs. */
async function check(settings: CommandSettings, program: string, cwd: string): Promise<void> {
  const fault = commandFault(settings.programs, program);
  if (fault !== null) throw unusable(fault);
  const file = await stat(program).catch(() => null);
  if (file === null) throw unusable(`There is no program ${program} on this node.`);
  const isExecutable = await access(program, constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!file.isFile() || !isExecutable) throw unusable(`${program} is not a program that may be executed.`);
  const directory = await stat(cwd).catch(() => null);
  if (directory?.isDirectory() !== true)
    throw unusable(`There is no directory ${cwd} on this node (\`cwd\`).`);
}

function unusable(message: string, cause?: unknown): JobError {
  return new JobError('InvalidConfiguration', message, { retryable: false, cause });
}

/** Nothing of the service's own environment but what `settings` has of it: that one holds its secrets. */
function environment(
  settings: CommandSettings,
  context: JobContext,
  input: CommandInput,
): Record<string, string> {
  return {
    ...settings.env,
    ...input.env,
    CARILLON_RUN_ID: context.runId,
    CARILLON_SCHEDULE: context.scheduleName,
    CARILLON_SCHEDULED_FOR: toIso(context.scheduledForMs),
    CARILLON_ATTEMPT: String(context.attempt),
    CARILLON_IDEMPOTENCY_KEY: context.idempotencyKey,
  };
}

async function start(
  groups: ProcessGroups,
  program: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string>,
): Promise<ChildProcess> {
  let child: ChildProcess;
  try {
    child = spawn(program, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw notStarted(program, error);
  }
  if (child.pid !== undefined) {
    groups.watch(child.pid);
    // Faults after the start are told by its end.
    child.on('error', () => undefined);
    return child;
  }
  const { promise, reject } = Promise.withResolvers<never>();
  child.on('error', (error) => reject(notStarted(program, error)));
  return await promise;
}

/** Too few processes or too little memory may be better in a while. */
function notStarted(program: string, error: unknown): JobError {
  const message = `${program} could not be started: ${messageOf(error)}`;
  if (['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ETXTBSY'].includes(codeOf(error))) {
    return new JobError('CommandFailed', message, { cause: error });
  }
  return unusable(message, error);
}

type Ending = { code: number | null; signal: NodeJS.Signals | null };

function ending(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve({ code: child.exitCode, signal: child.signalCode });
    } else child.on('exit', (code, signal) => resolve({ code, signal }));
  });
}

/** SIGTERM, and SIGKILL after the grace. */
function createKiller(group: number) {
  let timer: NodeJS.Timeout | undefined;
  function end(): void {
    if (timer !== undefined) return;
    signalGroup(group, 'SIGTERM');
    timer = setTimeout(() => signalGroup(group, 'SIGKILL'), killGraceMs);
  }
  return {
    end,
    /** What the program left running in its group. */
    async endRest(): Promise<void> {
      if (!signalGroup(group, 0)) return;
      const already = timer !== undefined;
      end();
      // Those that were told already have had their grace; the dead that nobody collects look alive.
      for (let waitedMs = 0; signalGroup(group, 0) && waitedMs < killGraceMs; waitedMs += 50) await delay(50);
      if (already || signalGroup(group, 0)) signalGroup(group, 'SIGKILL');
    },
    close: () => clearTimeout(timer),
  };
}

function follow(stream: Readable, lines: CommandLines, level: 'info' | 'warn') {
  const tail = new OutputTail();
  const log = lines.stream(level);
  let windowBytes = 0;
  let timer: NodeJS.Timeout | undefined;
  stream.on('data', (chunk: Buffer) => {
    tail.add(chunk);
    log.add(chunk);
    windowBytes += chunk.length;
    timer ??= setTimeout(() => {
      timer = undefined;
      windowBytes = 0;
      stream.resume();
    }, readWindowMs);
    if (windowBytes > readPerWindowBytesMax) stream.pause();
  });
  const ended = new Promise<void>((resolve) => {
    stream.on('close', resolve);
    stream.on('error', () => resolve());
  });
  return {
    ended,
    close(context: Pick<JobContext, 'redact'>) {
      clearTimeout(timer);
      log.end();
      return tail.text(context.redact);
    },
  };
}

function commandFailed(
  program: string,
  code: number | null,
  signal: NodeJS.Signals | null,
  stderr: string,
): JobError {
  const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
  const last = excerpt(stderr.trimEnd().split('\n').at(-1) ?? '', excerptLengthMax);
  return new JobError('CommandFailed', `${program} ${how}${last === '' ? '.' : `: ${last}`}`);
}
