/** A database as a stream: what `pg_dump -Fc` writes, which is compressed and complete, large objects included. */
import { type Readable, Transform } from 'node:stream';
import { codeOf } from '../../errors.ts';
import { JobError } from '../job.ts';
import { readConnection } from '../postgres/pg-connection.ts';
import { messageOf } from '../storage/target-faults.ts';
import type { PgClient } from './pg-client.ts';
import { programFault } from './pg-faults.ts';
import { startProgram } from './pg-process.ts';

export type DumpOptions = {
  url: string;
  client: PgClient;
  signal?: AbortSignal | undefined;
  /** Told of warnings, in one line without secrets. */
  note?: ((message: string) => void) | undefined;
};

export type Dump = {
  /** Ends only after pg_dump has ended well; of a dump that fails in the middle it fails, and so does who stores it. */
  content: Readable;
  /**
   * When pg_dump is gone. Rejects like the content does: `InvalidConfiguration` (login, rights), retryable
   * `SourceUnreachable` and `DumpFailed`, the signal's reason. Need not be awaited.
   */
  finished: Promise<void>;
};

/**
 * Starts pg_dump. It is stopped by the signal and by destroying the content. One dump is one snapshot of the database;
 * it waits for nobody but those who change tables.
 *
 * @throws JobError `InvalidConfiguration` when the URL is none
 */
export function dumpDatabase(options: DumpOptions): Dump {
  const { client, signal, note } = options;
  const connection = readConnection(options.url);
  signal?.throwIfAborted();
  const program = startProgram(client, ['--format=custom', '--no-password'], connection.environment);
  program.stdin.destroy();

  let isGivenUp = false;
  const finished = program.ended.then(({ isGood, stderr, how }) => {
    if (signal?.aborted) throw signal.reason;
    if (isGood) {
      if (stderr !== '') note?.(connection.redacted(stderr));
      return;
    }
    if (isGivenUp)
      throw new JobError('DumpFailed', `The dump of ${connection.label} was given up by its reader.`);
    throw programFault(stderr || how, connection, 'source');
  });
  finished.catch(() => undefined);

  const onAbort = () => content.destroy(signal?.reason);
  const content = new Transform({
    transform: (chunk, _encoding, done) => done(null, chunk),
    flush: (done) => void finished.then(() => done(), done),
    destroy: (error, done) => {
      signal?.removeEventListener('abort', onAbort);
      isGivenUp = true;
      program.stop();
      program.stdout.destroy();
      done(error);
    },
  });
  signal?.addEventListener('abort', onAbort, { once: true });
  content.on('error', () => undefined); // who does not read it, awaits `finished`: no uncaught error for them
  program.stdout.on('error', (error) => {
    content.destroy(
      new JobError('DumpFailed', `pg_dump could not be read: ${codeOf(error) || messageOf(error)}`),
    );
  });
  program.stdout.pipe(content);
  return { content, finished };
}
