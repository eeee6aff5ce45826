/** Running one of Postgres' programs, with a stream on one side of it, and leaving nothing of it behind. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { codeOf } from '../../errors.ts';
import { JobError } from '../job.ts';
import { invalidConfiguration, messageOf } from '../storage/target-faults.ts';
import { relayed } from '../storage/target-stream.ts';
import type { PgClient } from './pg-client.ts';

export type PgProcess = {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /**
   * When it has ended and said all; rejects only when it could not be started. Somebody has to read stdout or destroy
   * it, else a program that writes more than a pipe holds never ends.
   */
  readonly ended: Promise<ProgramEnd>;
  /** Asks it to end, and makes it after 2 s. */
  stop(): void;
};

export type ProgramEnd = {
  /** Of the exit code: 0. */
  isGood: boolean;
  /** The end of what it wrote, at most 16 KiB. Not redacted. */
  stderr: string;
  /** As "exit code 1" or "SIGKILL", for when it wrote nothing. */
  how: string;
};

/** Long enough for pg_dump to take its query back at the server. */
const patienceMs = 2000;
const stderrCharsMax = 16_384;

/** @param environment all that it gets: our own has secrets that are none of its business */
export function startProgram(
  client: PgClient,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): PgProcess {
  const child = spawn(client.path, args, {
    cwd: '/', // ours may be closed to it, or be removed
    env: environment,
    stdio: ['pipe', 'pipe', 'pipe'],
    windowsHide: true,
  });
  child.stdin.on('error', () => undefined); // who writes is told
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-stderrCharsMax);
  });
  let timer: NodeJS.Timeout | undefined;
  const ended = endOf(child).then(
    ({ code, signal }) => {
      clearTimeout(timer);
      return { isGood: code === 0, stderr: stderr.trim(), how: signal ?? `exit code ${code}` };
    },
    (error) => {
      clearTimeout(timer);
      throw startFault(client, codeOf(error) || messageOf(error));
    },
  );
  ended.catch(() => undefined);
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    ended,
    stop: () => {
      if (timer !== undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    },
  };
}

/**
 * All of the content into the program, or as much as it wants: one that has seen enough closes its side, which is no
 * fault. When the content fails the program is stopped *before* its input ends, so that it cannot take the end of a
 * broken stream for the end of a backup; on an abort the caller does that, who listens before we do.
 *
 * @throws what the content failed with; the signal's reason
 */
export async function feed(content: Readable, program: PgProcess, signal?: AbortSignal): Promise<void> {
  let fault: unknown;
  const source = relayed(content, {
    signal,
    fault: (error) => {
      fault = error;
      program.stop();
      return error;
    },
  });
  try {
    await pipeline(source, program.stdin);
  } catch {
    if (fault !== undefined) throw fault;
    signal?.throwIfAborted();
  }
}

function startFault(client: PgClient, code: string): JobError {
  const message = `${client.path} cannot be started (${code}).`;
  if (['ENOENT', 'EACCES', 'ENOEXEC'].includes(code))
    return invalidConfiguration(`${message} Install it again.`);
  return new JobError('ProgramNotStarted', message); // no memory, no process or file left: that passes
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

async function endOf(child: Child): Promise<{ code: number | null; signal: string | null }> {
  const said = new Promise<void>((resolve) => child.stderr.once('close', resolve));
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]; // rejects on 'error'
  await said;
  return { code, signal };
}
