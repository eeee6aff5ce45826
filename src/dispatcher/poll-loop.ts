/**
 * A loop that knows no domain: it runs a pass, sleeps as long as the pass said, and goes on whatever the pass throws.
 */
export type PollLoop = {
  start(): void;
  /** Ends the present sleep early. */
  wake(): void;
  /** Resolves when the pass that is running has ended; no other will begin. */
  stop(): Promise<void>;
};

export type PollLoopOptions = {
  /** One pass; answers how many milliseconds to sleep before the next. */
  pass(): Promise<number>;
  /** Told of what a pass threw; answers how many milliseconds to sleep. */
  onError(error: unknown): number;
};

export function createPollLoop(options: PollLoopOptions): PollLoop {
  let stopped = false;
  let woken = false;
  let endSleep: (() => void) | null = null;
  let running: Promise<void> | null = null;

  async function loop(): Promise<void> {
    while (!stopped) {
      woken = false;
      let sleepMs: number;
      try {
        sleepMs = await options.pass();
      } catch (error) {
        sleepMs = options.onError(error);
      }
      // A wake during the pass may be about something that it did not see.
      if (!stopped && !woken) await sleep(sleepMs);
    }
  }

  function sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, Math.max(0, ms));
      function done() {
        clearTimeout(timer);
        endSleep = null;
        resolve();
      }
      endSleep = done;
    });
  }

  return {
    start() {
      running ??= loop();
    },
    wake() {
      woken = true;
      endSleep?.();
    },
    async stop() {
      stopped = true;
      endSleep?.();
      await running;
    },
  };
}
