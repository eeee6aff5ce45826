/** A counting semaphore: how many runs of a task queue this process executes at once, whatever its pools do. */
export type Slots = {
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

  return {
    take() {
      if (free > 0) {
        free -= 1;
        taken += 1;
        return Promise.resolve(give);
      }
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
