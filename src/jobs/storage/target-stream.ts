/** Passing a stream on under one's own words for its faults. */
import { Readable } from 'node:stream';

const bufferBytes = 64 * 1024;

export type RelayOptions = {
  /** Told of the source's own fault, also of an end before its time; what it answers is what the reader gets. */
  fault(error: Error): Error;
  /** Ends the relay, and its source, with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Of each chunk that is passed on. */
  onBytes?: ((bytes: number) => void) | undefined;
};

/**
 * The source, byte by byte, at the reader's pace. Whoever destroys the relay destroys the source, also when nothing was
 * read yet: of a generator around the source that could not be said, and a file or a connection would stay open.
 */
export function relayed(source: Readable, options: RelayOptions): Readable {
  const { signal } = options;
  const onAbort = () => relay.destroy(signal?.reason);
  const relay = new Readable({
    highWaterMark: bufferBytes,
    read: () => void source.resume(),
    destroy: (error, done) => {
      signal?.removeEventListener('abort', onAbort);
      source.destroy();
      done(error);
    },
  });
  const fail = (error: Error) => {
    if (!relay.destroyed) relay.destroy(options.fault(error));
  };
  const early = () => new Error('the data ended before their time');

  relay.on('error', () => undefined); // whoever comes to read later is told; until then it is not an uncaught one
  source.pause(); // a listener for data would make it flow
  source.on('data', (chunk: Buffer | string) => {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    options.onBytes?.(bytes.length);
    if (!relay.push(bytes)) source.pause();
  });
  source.on('end', () => relay.push(null));
  source.on('error', fail);
  source.on('close', () => {
    if (!source.readableEnded) fail(early());
  });

  if (source.readableEnded) relay.push(null);
  // What has failed before we listened will not tell again.
  else if (source.destroyed) process.nextTick(() => fail(source.errored ?? early()));
  if (signal?.aborted) process.nextTick(onAbort);
  else signal?.addEventListener('abort', onAbort, { once: true });
  return relay;
}
