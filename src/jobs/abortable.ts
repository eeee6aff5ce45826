/** Waits that an AbortSignal ends. */

/**
 * The answer; or, when whoever makes it ignores the signal, the signal's reason `graceMs` after it was aborted. A late
 * answer is dropped.
 */
export async function untilAborted<T>(signal: AbortSignal, answer: Promise<T>, graceMs: number): Promise<T> {
  const { promise: deaf, reject } = Promise.withResolvers<never>();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = () => {
    timer = setTimeout(() => reject(signal.reason), graceMs);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([answer, deaf]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    // Neither may become an unhandled rejection after the race is decided.
    answer.catch(() => {});
    deaf.catch(() => {});
  }
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
