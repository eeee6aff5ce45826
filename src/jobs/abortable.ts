/** Waits that an AbortSignal ends. */

/**
 * The answer; or, when whoever makes it ignores the signal, the signal's reason `graceMs` after it was aborted. A late
 * answer is dropped.
 */
export function untilAborted<T>(signal: AbortSignal, answer: Promise<T>, graceMs: number): Promise<T> {
  // By hand, since every attempt comes here: a race of promises would make five of them.
  return new Promise<T>((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const onAbort = () => {
      timer = setTimeout(() => reject(signal.reason), graceMs);
    };
    const decided = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    // Both ways are heard, so that none becomes an unhandled rejection after the grace.
    answer.then(
      (value) => {
        decided();
        resolve(value);
      },
      (error) => {
        decided();
        reject(error);
      },
    );
  });
}

/** Rejects with the signal's reason when that is aborted before. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const onAbort = () => resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  await promise;
  clearTimeout(timer);
  signal.removeEventListener('abort', onAbort);
  signal.throwIfAborted();
}
