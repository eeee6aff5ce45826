/**
 * Gathers single writes into batches without waiting: while one batch is being written, the next one fills. An idle
 * house writes each item at once; a busy one writes hundreds in a statement.
 */
export type Batcher<I, O> = {
  /** Resolves with what `write` answered for this item; rejects when its batch failed. */
  add(item: I): Promise<O>;
  /** Items that are waiting or being written. */
  readonly pending: number;
  /** Resolves when nothing is pending. */
  drained(): Promise<void>;
};

type Waiting<I, O> = { item: I; resolve(value: O): void; reject(reason: unknown): void };

export type BatcherOptions<I, O> = {
  batchSizeMax: number;
  /** Batches being written at once. */
  inFlightMax: number;
  /** Answers in the order of the items. */
  write(items: readonly I[]): Promise<readonly O[]>;
};

export function createBatcher<I, O>(options: BatcherOptions<I, O>): Batcher<I, O> {
  const waiting: Waiting<I, O>[] = [];
  let inFlight = 0;
  let pending = 0;
  let scheduled = false;
  const idle: Array<() => void> = [];

  function schedule(): void {
    if (scheduled || inFlight >= options.inFlightMax) return;
    scheduled = true;
    // Everything that is added in this turn of the event loop goes together.
    setImmediate(() => {
      scheduled = false;
      while (waiting.length > 0 && inFlight < options.inFlightMax) {
        void flush(waiting.splice(0, options.batchSizeMax));
      }
    });
  }

  async function flush(batch: Waiting<I, O>[]): Promise<void> {
    inFlight += 1;
    try {
      const answers = await options.write(batch.map((each) => each.item));
      batch.forEach((each, index) => {
        each.resolve(answers[index] as O);
      });
    } catch (error) {
      for (const each of batch) each.reject(error);
    } finally {
      inFlight -= 1;
      pending -= batch.length;
      if (waiting.length > 0) schedule();
      if (pending === 0) {
        for (const resolve of idle.splice(0)) resolve();
      }
    }
  }

  return {
    add(item) {
      pending += 1;
      return new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject });
        schedule();
      });
    },
    get pending() {
      return pending;
    },
    drained() {
      return pending === 0 ? Promise.resolve() : new Promise((resolve) => idle.push(resolve));
    },
  };
}
