/** Where jobs keep files. One interface for a folder and for a bucket, so that the job does not care. */
import type { Readable } from 'node:stream';
import { openFileTarget } from './file-target.ts';
import type { S3Options } from './s3-client.ts';
import { openS3Target } from './s3-target.ts';
import { invalidConfiguration } from './target-faults.ts';

/**
 * Faults of all methods: `InvalidConfiguration` (not retryable; says what to do), `TargetUnreachable`, `TargetFull` and
 * `TargetRefused` (retryable). An abort rejects with the signal's reason.
 */
export interface StorageTarget {
  /** As given, in its one normal spelling, with a slash at the end; never with credentials. */
  readonly location: string;
  /** Reachable, readable and writable now, or a fault that says why not. */
  check(signal?: AbortSignal): Promise<void>;
  /**
   * Stores the content under a name, in place of what bore it. All or nothing: the name appears when all bytes are
   * safe, and on any fault or abort nothing stays. A fault of the content is thrown as it is, and the content is
   * destroyed whenever this fails.
   */
  put(name: string, content: Readable, options?: PutOptions): Promise<{ bytes: number }>;
  /** The content from its beginning. @throws JobError `BackupMissing`, before anything is read */
  get(name: string, options?: Abortable): Promise<Readable>;
  /** Null: there is none. */
  stat(name: string, options?: Abortable): Promise<{ bytes: number } | null>;
  /** In the order of the names' bytes; folders in it, and names with a leading dot, are not shown. */
  list(prefix?: string, options?: Abortable): AsyncIterable<StoredFile>;
  /** That it is gone already is no fault. */
  delete(name: string, options?: Abortable): Promise<void>;
  /** Gives connections back. What is in flight fails. */
  close(): void;
}

export type Abortable = { signal?: AbortSignal | undefined };

export type PutOptions = Abortable & {
  /** About how large it will be. A bucket needs to know beyond 75 GiB, as it takes at most 10,000 parts. */
  bytesExpected?: number | undefined;
};

export type StoredFile = { name: string; bytes: number; modifiedAtMs: number };

export type TargetOptions = {
  /** Epoch milliseconds; says which leftovers of killed processes are old enough to be swept. */
  now(): number;
  s3?: S3Options | undefined;
};

/**
 * Opens nothing yet: whether the place is there is what `check` tells.
 *
 * @param location `file:///folder/` or `s3://bucket/prefix/`
 * @throws JobError `InvalidConfiguration`, without the location when it may hold a password
 */
export function openTarget(location: string, options: TargetOptions): StorageTarget {
  const scheme = /^[a-z][a-z0-9+.-]*(?=:)/i.exec(location)?.[0]?.toLowerCase();
  if (scheme === 'file') return openFileTarget(location, options);
  if (scheme === 's3') return openS3Target(location, options.s3 ?? {});
  throw invalidConfiguration(
    `A place for files is file:///folder/ or s3://bucket/prefix/${scheme === undefined ? '' : `, not ${scheme}:`}.`,
  );
}
