/** A logger whose lines a test can read. */
import pino, { type Logger } from 'pino';

export type LogLine = { level: number; msg: string };

export function createLogRecorder(): { logger: Logger; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const logger = pino(
    { level: 'debug', base: undefined },
    { write: (line) => void lines.push(JSON.parse(line) as LogLine) },
  );
  return { logger, lines };
}
