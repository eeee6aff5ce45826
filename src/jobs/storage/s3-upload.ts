/** A stream of unknown length into a bucket, in parts, with as much memory for a terabyte as for a gigabyte. */
import type { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import type { S3Access } from './s3-client.ts';
import { relayed } from './target-stream.ts';

/** At least; with two parts on their way and one being filled, this bounds the memory. */
const partBytesMin = 8 * 1024 * 1024;
const partsMax = 10_000;
/** An expectation may be too small by this factor. */
const reserve = 1.5;
const partsAtOnce = 2;

export type UploadParts = {
  access: S3Access;
  bucket: string;
  key: string;
  content: Readable;
  signal: AbortSignal | undefined;
  bytesExpected: number | undefined;
};

/** A fault of the content, to be told apart from those of the store. */
export class ContentFault extends Error {}

/**
 * Resolves when the store has all of it under its key; on a fault no part stays. lib-storage alone does not keep that:
 * its `abort` answers before it has cleaned up and lets requests go on, and when a part fails it still uploads what is
 * left of the content before it tells. So the abort goes into the requests, and any first fault ends the content;
 * then `done` has an end soon, and has cleaned up by then.
 *
 * A killed process leaves its parts: a lifecycle rule of the bucket (AbortIncompleteMultipartUpload) removes those.
 *
 * @throws ContentFault with the content's own fault as its cause; the signal's reason; what the store said
 */
export async function uploadInParts(options: UploadParts): Promise<{ bytes: number }> {
  const { access, signal } = options;
  let bytes = 0;
  let first: unknown;
  const stop = new AbortController();
  const fail = (error: unknown) => {
    first ??= error;
    stop.abort();
  };
  const body = relayed(options.content, {
    signal,
    fault: (error) => {
      fail(new ContentFault('the content failed', { cause: error }));
      return error;
    },
    onBytes: (count) => {
      bytes += count;
    },
  });
  const onAbort = () => fail(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const client = watched(access, stop.signal, (error) => {
    fail(error);
    body.destroy();
  });
  try {
    signal?.throwIfAborted();
    const upload = new access.storage.Upload({
      client,
      params: {
        Bucket: options.bucket,
        Key: options.key,
        Body: body,
        ContentType: 'application/octet-stream',
      },
      partSize: Math.max(partBytesMin, Math.ceil(((options.bytesExpected ?? 0) * reserve) / partsMax)),
      queueSize: partsAtOnce,
      leavePartsOnError: false,
    });
    await upload.done();
    return { bytes };
  } catch (error) {
    throw first ?? error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    body.destroy();
  }
}

/** The client, with each request bound to the signal and each fault told at once. */
function watched(access: S3Access, signal: AbortSignal, onFault: (error: unknown) => void): S3Client {
  const { client, sdk } = access;
  const send = async (command: Parameters<S3Client['send']>[0]) => {
    // Cleaning up comes after the abort. And a beginning that is cut off may have begun all the same, under an id that
    // nobody knows: it is short, so it is let through.
    const isLetThrough =
      command instanceof sdk.AbortMultipartUploadCommand ||
      command instanceof sdk.CreateMultipartUploadCommand;
    try {
      return await client.send(command as never, isLetThrough ? {} : { abortSignal: signal });
    } catch (error) {
      if (!(command instanceof sdk.AbortMultipartUploadCommand)) onFault(error);
      throw error;
    }
  };
  return Object.create(client, { send: { value: send } }) as S3Client;
}
