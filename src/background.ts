/** A background pass that the process keeps up: its loop, and what it last did, for the log, the metrics and /readyz. */
import type { Logger } from 'pino';
import type { Clock } from './clock.ts';
import { createPollLoop, type PollLoop } from './dispatcher/poll-loop.ts';
import { messageOf } from './errors.ts';

export type Background = PollLoop & {
  readonly name: string;
  /** Null when its last pass went well. */
  readonly fault: string | null;
  /** Since the last pass that went well; infinite before the first. */
  sinceGoodMs(): number;
};

const pauseMsMin = 100;
const pauseMsMax = 2000;

/** `pass` answers how many milliseconds to sleep; a pass that throws is told once per kind of fault and tried again. */
export function createBackground(
  parts: { clock: Clock; logger: Logger; onFault(name: string): void },
  name: string,
  pass: () => Promise<number>,
): Background {
  const { clock, logger } = parts;
  let fault: string | null = null;
  let goodAtMs = Number.NEGATIVE_INFINITY;
  let pauseMs = pauseMsMin;
  const loop = createPollLoop({
    async pass() {
      const sleepMs = await pass();
      if (fault !== null) logger.info(`${name}: well again`);
      fault = null;
      pauseMs = pauseMsMin;
      goodAtMs = clock.monotonic();
      return sleepMs;
    },
    onError(error) {
      const message = messageOf(error);
      if (message !== fault)
        logger.error({ err: error }, `${name}: ${message}; it is tried again, nothing is lost`);
      fault = message;
      parts.onFault(name);
      pauseMs = Math.min(pauseMs * 2, pauseMsMax);
      return pauseMs;
    },
  });
  return {
    name,
    ...loop,
    get fault() {
      return fault;
    },
    sinceGoodMs: () => clock.monotonic() - goodAtMs,
  };
}
