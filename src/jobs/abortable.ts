/** What ends from outside: waits that an AbortSignal ends, and what is heeded without one. */

/** What can be aborted while one waits for an answer. */
export type Abortable = {
  /** Null or undefined while it is not aborted. */
  readonly reason: unknown;
  /** Calls this when it is aborted, at once when it is already; one at a time. */
  heed(onAbort: () => void): void;
  /** Forgets who heeds it. */
  unheed(): void;
};

export function abortableBy(signal: AbortSignal): Abortable {
  let heeding: (() => void) | null = null;
  return {
    get reason() {
      return signal.reason;
    },
    heed(onAbort) {
      if (signal.aborted) return onAbort();
      heeding = onAbort;
      signal.addEventListener('abort', onAbort, { once: true });
    },
    unheed() {
      if (heeding !== null) signal.removeEventListener('abort', heeding);
    },
  };
}

/**
 * The answer; or, when whoever makes it goes on regardless, the reason `graceMs` after it was aborted. A late answer is
 * dropped.
 */
export function untilAborted<T>(abortable: Abortable, answer: Promise<T>, graceMs: number): Promise<T> {
  // By hand, since every attempt comes here: a race of promises would make five of them.
  return new Promise<T>((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const decided = () => {
      clearTimeout(timer);
      abortable.unheed();
    };
    abortable.heed(() => {
      timer = setTimeout(() => reject(abortable.reason), graceMs);
    });
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
