/** A counting semaphore: how many runs of a task queue this process executes at once, whatever its pools do. */
export type Slots = {
  /** The way to give a slot back, where one is free now; else null. */
  tryTake(): (() => void) | null;
  /** Resolves with the way to give the slot back; first come, first served. */
  take(): Promise<() => void>;
  /** Slots taken so far. With `waiting` it tells the place in the line of who comes now, and later its pace. */
  readonly taken: number;
  readonly waiting: number;
};

export function createSlots(count: number): Slots {
  let free = count;
  let taken = 0;
  const line: Array<() => void> = [];

  function give(): void {
    const next = line.shift();
    if (next === undefined) free += 1;
    else next();
  }

  function tryTake(): (() => void) | null {
    if (free === 0) return null;
    free -= 1;
    taken += 1;
    return give;
  }

  return {
    tryTake,
    take() {
      const at = tryTake();
      if (at !== null) return Promise.resolve(at);
      return new Promise((resolve) =>
        line.push(() => {
          taken += 1;
          resolve(give);
        }),
      );
    },
    get taken() {
      return taken;
    },
    get waiting() {
      return line.length;
    },
  };
}
