/** A counting semaphore: how many runs of a task queue this process executes at once, whatever its pools do. */
export type Slots = {
  /** Resolves with the way to give the slot back; first come, first served. */
  take(): Promise<() => void>;
};

export function createSlots(count: number): Slots {
  let free = count;
  const waiting: Array<() => void> = [];

  function give(): void {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  }

  return {
    take() {
      if (free > 0) {
        free -= 1;
        return Promise.resolve(give);
      }
      return new Promise((resolve) => waiting.push(() => resolve(give)));
    },
  };
}
