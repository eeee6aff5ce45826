/** The records of a file, one by one, in constant memory: NDJSON a line each, CSV by its heading. */
import type { Readable } from 'node:stream';
import { JobError } from '../job.ts';
import { type JsonValue, parseExactly } from './exact-json.ts';

/** A record beyond this is no record: a file that is something else, or has lost its line breaks. */
export const recordBytesMax = 16 * 1024 * 1024;

/** `null`: what stands there is no record, and why. */
export type FileRecord = { line: number } & ({ record: JsonValue } | { fault: string });

export async function* ndjsonRecords(content: Readable): AsyncGenerator<FileRecord, void, undefined> {
  let line = 0;
  for await (const text of linesOf(content)) {
    line += 1;
    if (text.trim() === '') continue;
    let record: JsonValue;
    try {
      record = parseExactly(text);
    } catch {
      yield { line, fault: 'It is no JSON.' };
      continue;
    }
    yield { line, record };
  }
}

/** Lines without their ends and without a byte order mark. */
async function* linesOf(content: Readable): AsyncGenerator<string, void, undefined> {
  let parts: Buffer[] = [];
  let bytes = 0;
  let isFirst = true;
  const textOf = (tail: Buffer) => {
    const whole = parts.length === 0 ? tail : Buffer.concat([...parts, tail]);
    parts = [];
    bytes = 0;
    const text = whole.toString('utf8').replace(/\r$/, '');
    const clean = isFirst && text.startsWith('\ufeff') ? text.slice(1) : text;
    isFirst = false;
    return clean;
  };
  for await (const chunk of content as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      yield textOf(chunk.subarray(from, end));
      from = end + 1;
    }
    if (from === chunk.length) continue;
    bytes += chunk.length - from;
    if (bytes > recordBytesMax) throw recordTooLong();
    parts.push(chunk.subarray(from));
  }
  if (bytes > 0) yield textOf(Buffer.alloc(0));
}

function recordTooLong(): JobError {
  return new JobError(
    'InvalidData',
    `The file has a record of more than ${recordBytesMax / 1_048_576} MiB: is it one record per line?`,
    { retryable: false },
  );
}

/** A cell that is empty is null; one that is `""` is an empty text. */
export async function* csvRecords(content: Readable): AsyncGenerator<FileRecord, void, undefined> {
  let heading: string[] | undefined;
  for await (const { line, cells } of csvRows(content)) {
    if (heading === undefined) {
      heading = headingOf(cells);
      continue;
    }
    if (cells.length !== heading.length) {
      yield { line, fault: `It has ${cells.length} cells, and the heading has ${heading.length}.` };
      continue;
    }
    yield { line, record: Object.fromEntries(heading.map((name, index) => [name, cells[index] ?? null])) };
  }
}

/** The names in the first row. @throws JobError `InvalidData` */
export async function csvHeading(content: Readable): Promise<string[]> {
  for await (const { cells } of csvRows(content)) return headingOf(cells);
  throw new JobError('InvalidData', 'The CSV file is empty: its first row must name the columns.', {
    retryable: false,
  });
}

function headingOf(cells: readonly (string | null)[]): string[] {
  const names = cells.map((cell) => cell ?? '');
  if (names.includes('') || new Set(names).size < names.length) {
    throw new JobError(
      'InvalidData',
      'The heading of the CSV file has a column without a name, or one twice.',
      {
        retryable: false,
      },
    );
  }
  return names;
}

/** The reader of CSV is loaded when the first file of it is read. */
async function* csvRows(
  content: Readable,
): AsyncGenerator<{ line: number; cells: (string | null)[] }, void, undefined> {
  const { parse } = await import('csv-parse');
  const parser = parse({
    bom: true,
    info: true,
    relaxColumnCount: true,
    skipEmptyLines: true,
    maxRecordSize: recordBytesMax,
    cast: (value, { quoting }) => (value === '' && !quoting ? null : value),
  });
  content.on('error', (error) => parser.destroy(error));
  content.pipe(parser);
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: (string | null)[];
      info: { lines: number };
    }>) {
      yield { line: info.lines, cells: record };
    }
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 'CSV_MAX_RECORD_SIZE') throw recordTooLong();
    if (typeof code === 'string' && code.startsWith('CSV_'))
      throw new JobError('InvalidData', `The file is no CSV: ${(error as Error).message.slice(0, 300)}`, {
        retryable: false,
      });
    throw error;
  } finally {
    content.destroy();
  }
}
