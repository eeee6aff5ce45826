/** Files in a bucket of S3, or of what speaks like it. */
import { Readable } from 'node:stream';
import { openS3, type S3Access, type S3Options } from './s3-client.ts';
import { isMissing, s3Fault } from './s3-faults.ts';
import { ContentFault, uploadInParts } from './s3-upload.ts';
import type { Abortable, PutOptions, StorageTarget, StoredFile } from './storage-target.ts';
import { backupMissing, invalidConfiguration } from './target-faults.ts';
import { checkName } from './target-name.ts';
import { relayed } from './target-stream.ts';

/** Written and deleted by `check`; the same each time, so that nothing piles up where deleting is not allowed. */
const probeName = '.carillon-check';

export function openS3Target(location: string, options: S3Options): StorageTarget {
  return new S3Target(placeOf(location), options);
}

class S3Target implements StorageTarget {
  readonly location: string;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #where: string;
  readonly #options: S3Options;
  #access: Promise<S3Access> | undefined;

  constructor({ bucket, prefix }: Place, options: S3Options) {
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.location = `s3://${bucket}/${prefix}`;
    this.#where = `The bucket ${bucket}${options.endpoint === undefined ? '' : ` at ${hostOf(options.endpoint)}`}`;
    this.#options = options;
  }

  /** A list instead of HeadBucket: the answer to a HEAD has no body, and so never says what is wrong. */
  async check(signal?: AbortSignal): Promise<void> {
    const Bucket = this.#bucket;
    const Key = this.#prefix + probeName;
    await this.#do(signal, async ({ client, sdk }) => {
      const abort = { abortSignal: signal };
      await client.send(new sdk.ListObjectsV2Command({ Bucket, Prefix: this.#prefix, MaxKeys: 1 }), abort);
      const Body = 'Carillon looks whether it may write here.\n';
      await client.send(new sdk.PutObjectCommand({ Bucket, Key, Body, ContentType: 'text/plain' }), abort);
      await client.send(new sdk.DeleteObjectCommand({ Bucket, Key }), abort);
    });
  }

  async put(name: string, content: Readable, options: PutOptions = {}): Promise<{ bytes: number }> {
    const { signal, bytesExpected } = options;
    try {
      const key = this.#keyOf(name);
      return await this.#do(signal, (access) =>
        uploadInParts({ access, bucket: this.#bucket, key, content, signal, bytesExpected }),
      );
    } finally {
      content.destroy(); // has ended, or is of no use any more
    }
  }

  async get(name: string, { signal }: Abortable = {}): Promise<Readable> {
    const input = { Bucket: this.#bucket, Key: this.#keyOf(name) };
    const body = await this.#do(signal, async ({ reader, sdk }) => {
      try {
        return (await reader.send(new sdk.GetObjectCommand(input), { abortSignal: signal })).Body;
      } catch (error) {
        throw isMissing(error) ? backupMissing(name, this.location) : error;
      }
    });
    const source = body instanceof Readable ? body : Readable.from([]);
    return relayed(source, { signal, fault: (error) => s3Fault(error, this.#where) });
  }

  async stat(name: string, { signal }: Abortable = {}): Promise<{ bytes: number } | null> {
    const input = { Bucket: this.#bucket, Key: this.#keyOf(name) };
    return await this.#do(signal, async ({ client, sdk }) => {
      try {
        const found = await client.send(new sdk.HeadObjectCommand(input), { abortSignal: signal });
        return { bytes: found.ContentLength ?? 0 };
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    });
  }

  async *list(prefix = '', { signal }: Abortable = {}): AsyncIterable<StoredFile> {
    let next: string | undefined;
    do {
      const page = await this.#do(signal, ({ client, sdk }) => {
        const input = {
          Bucket: this.#bucket,
          Prefix: this.#prefix + prefix,
          Delimiter: '/', // what lies deeper is not ours
          ContinuationToken: next,
        };
        return client.send(new sdk.ListObjectsV2Command(input), { abortSignal: signal });
      });
      for (const each of page.Contents ?? []) {
        const name = (each.Key ?? '').slice(this.#prefix.length);
        if (name === '' || name.startsWith('.')) continue; // "" is how consoles make a folder
        yield { name, bytes: each.Size ?? 0, modifiedAtMs: each.LastModified?.getTime() ?? 0 };
      }
      next = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (next !== undefined);
  }

  async delete(name: string, { signal }: Abortable = {}): Promise<void> {
    const input = { Bucket: this.#bucket, Key: this.#keyOf(name) };
    await this.#do(signal, async ({ client, sdk }) => {
      try {
        await client.send(new sdk.DeleteObjectCommand(input), { abortSignal: signal });
      } catch (error) {
        if (!isMissing(error)) throw error; // Google's store says 404 where Amazon's says 204
      }
    });
  }

  close(): void {
    const access = this.#access;
    this.#access = undefined;
    access?.then(
      (opened) => opened.close(),
      () => undefined,
    );
  }

  #keyOf(name: string): string {
    return this.#prefix + checkName(name);
  }

  async #do<T>(signal: AbortSignal | undefined, work: (access: S3Access) => Promise<T>): Promise<T> {
    signal?.throwIfAborted();
    try {
      this.#access ??= openS3(this.#options).catch((error) => {
        this.#access = undefined; // what was missing may be set by the next time
        throw error;
      });
      return await work(await this.#access);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (error instanceof ContentFault) throw error.cause;
      throw s3Fault(error, this.#where);
    }
  }
}

type Place = { bucket: string; prefix: string };

/** As the AWS tools read it: what follows the bucket is the key's beginning as it stands, without escapes. */
function placeOf(location: string): Place {
  const match = /^s3:\/\/([^/]*)(?:\/(.*))?$/is.exec(location);
  const bucket = match?.[1] ?? '';
  const prefix = match?.[2] ?? '';
  if (bucket.includes('@')) {
    throw invalidConfiguration(
      'The location of a bucket holds no credentials: write s3://bucket/prefix/ and set AWS_ACCESS_KEY_ID and' +
        ' AWS_SECRET_ACCESS_KEY.',
    );
  }
  // Uppercase and underscores are in names of old.
  if (!/^[a-z0-9][a-z0-9._-]{1,253}[a-z0-9]$/i.test(bucket)) {
    throw invalidConfiguration('A bucket is written as s3://bucket/prefix/; this names no bucket.');
  }
  if (/[?#\p{Cc}]/u.test(prefix) || prefix.startsWith('/')) {
    throw invalidConfiguration(
      'The prefix in s3://bucket/prefix/ begins with no slash and has no "?", "#" or control characters; the' +
        ' endpoint and the region of a store are set elsewhere.',
    );
  }
  return { bucket, prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/` };
}

function hostOf(endpoint: string): string {
  if (URL.canParse(endpoint)) return new URL(endpoint).host; // without what may stand before the host
  throw invalidConfiguration('The endpoint of S3 is not a URL: write it as https://host:port.');
}
