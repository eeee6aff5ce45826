/** What a program writes, line by line into the run's log: the first lines as they come, the last ones at its end. */
import { StringDecoder } from 'node:string_decoder';
import type { LogLevel } from '../job.ts';
import { printable } from './output-tail.ts';

/** Of both streams together. */
export const linesLoggedMax = 500;
export const lastLinesLoggedMax = 100;
/** A longer line is only mentioned: cut before it is redacted, half a secret would not be found. */
export const lineLengthMax = 8_192;

export type CommandLines = {
  /** Takes the chunks of one stream. */
  stream(level: LogLevel): { add(chunk: Buffer): void; end(): void };
  /** When lines were left out: how many, and the last ones of these texts, which are redacted. */
  close(tails: readonly { text: string; level: LogLevel }[]): void;
};

export function createCommandLines(log: (message: string, level: LogLevel) => void): CommandLines {
  let lines = 0;
  let leftOut = 0;

  function line(text: string, length: number, level: LogLevel): void {
    lines += 1;
    if (lines > linesLoggedMax) leftOut += 1;
    else if (length > lineLengthMax) log(`(a line of ${length} characters)`, level);
    else log(printable(text.replace(/\r$/, '')), level);
  }

  return {
    stream(level) {
      const decoder = new StringDecoder('utf8');
      let rest = '';
      /** Also of what is not in `rest` any more. */
      let restLength = 0;
      return {
        add(chunk) {
          if (lines > linesLoggedMax) {
            leftOut += countLines(chunk);
            return;
          }
          const parts = decoder.write(chunk).split('\n');
          for (const [index, part] of parts.entries()) {
            if (index > 0) {
              line(rest, restLength, level);
              rest = '';
              restLength = 0;
            }
            restLength += part.length;
            if (restLength <= lineLengthMax) rest += part;
          }
        },
        end() {
          if (restLength > 0) line(rest, restLength, level);
        },
      };
    },

    close(tails) {
      if (leftOut === 0) return;
      log(`${leftOut} lines are left out here; the last ones were:`, 'info');
      for (const { text, level } of tails) {
        const last = text.replace(/\n$/, '').split('\n').slice(-lastLinesLoggedMax);
        // The first may have lost its beginning.
        for (const each of last.length > 1 ? last.slice(1) : last) {
          if (each !== '') log(each.slice(0, lineLengthMax), level);
        }
      }
    },
  };
}

function countLines(chunk: Buffer): number {
  let count = 0;
  for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) count += 1;
  return count;
}
