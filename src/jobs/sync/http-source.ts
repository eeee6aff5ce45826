/** An HTTP API as a source: one answer of JSON per page, by page number or by cursor. */
import { createHash } from 'node:crypto';
import type { ColumnPlan, SourceColumn } from './column-plan.ts';
import { atPointer, type JsonValue, textOf } from './exact-json.ts';
import { type HttpJson, invalidResponse } from './http-json.ts';
import { createRecordReader } from './record-reader.ts';
import type { SourceInput } from './sync-input.ts';
import type { BadRecord, SyncPage, SyncRow, SyncSource, SyncStart } from './sync-page.ts';

/** The page to ask for next. `cursor` null: the first one. */
type Position = { page: number; cursor: string | null };
/** Null: there is none. In an object, since a run that has not begun has no position either. */
type Place = { next: Position | null };

export class HttpSource implements SyncSource {
  readonly sorted: boolean;
  readonly #input: SourceInput;
  readonly #http: HttpJson;

  constructor(input: SourceInput, http: HttpJson) {
    this.#input = input;
    this.#http = http;
    this.sorted = input.sorted;
  }

  async describe(): Promise<readonly SourceColumn[] | null> {
    return null;
  }

  async *pages(
    plan: ColumnPlan,
    start: SyncStart,
    signal: AbortSignal,
  ): AsyncGenerator<SyncPage, void, undefined> {
    const { paging, pagesMax, url } = this.#input;
    const reader = createRecordReader(this.#input, { plan, start, asCells: false });
    const seen = new Set<string>();
    let before = '';
    let position = start.goOn === null ? { page: 0, cursor: null } : (start.goOn.position as Place).next;
    while (position !== null) {
      const { page, cursor }: Position = position;
      if (page >= pagesMax)
        throw invalidResponse(
          `${origin(url)} has more than ${pagesMax} pages (source.pagesMax), or goes on for ever; raise it, or correct \`source.paging\`.`,
        );
      const answer = await this.#http.get(
        this.#address(position, reader.since),
        this.#input.headers ?? {},
        signal,
      );
      const records = this.#recordsOf(answer);
      const digest = digestOf(records);
      if (page > 0 && records.length > 0 && digest === before)
        throw invalidResponse(
          `${origin(url)} gave the same page twice (the ${page}th and the one behind it): it does not heed the parameter "${paging?.param}".`,
        );
      before = digest;
      const next = paging?.kind === 'cursor' ? textOf(atPointer(answer, paging.next)) : null;
      if (next !== null && next !== '' && (next === cursor || seen.has(next)))
        throw invalidResponse(
          `${origin(url)} gave the cursor ${JSON.stringify(next.slice(0, 100))} twice, and so would never end.`,
        );
      if (next !== null) seen.add(next);
      const rows: SyncRow[] = [];
      const bad: BadRecord[] = [];
      for (const [index, record] of records.entries()) {
        const read = reader.read(record, `record ${index + 1} of page ${page + 1}`);
        if (read === undefined) continue;
        if ('row' in read) rows.push(read.row);
        else bad.push(read.bad);
      }
      if (paging === undefined) position = null;
      else if (paging.kind === 'page')
        position = records.length === 0 ? null : { page: page + 1, cursor: null };
      else position = next === null || next === '' ? null : { page: page + 1, cursor: next };
      yield { rows, bad, mark: reader.mark, position: { next: position } satisfies Place };
    }
  }

  close(): void {
    this.#http.close();
  }

  #address({ page, cursor }: Position, since: string | null): URL {
    const { url, paging, since: sinceParam } = this.#input;
    const address = new URL(url);
    if (sinceParam !== undefined && since !== null) address.searchParams.set(sinceParam, since);
    if (paging?.kind === 'page') address.searchParams.set(paging.param, String(page + paging.first));
    if (paging?.kind === 'cursor' && cursor !== null) address.searchParams.set(paging.param, cursor);
    return address;
  }

  #recordsOf(answer: JsonValue): JsonValue[] {
    const { records, url } = this.#input;
    const found = atPointer(answer, records);
    if (Array.isArray(found)) return found;
    throw invalidResponse(
      `${origin(url)} answered JSON with no array at ${records === '' ? 'its top' : `"${records}"`}: say in \`source.records\` where the records stand.`,
    );
  }
}

/** Without what may be secret. */
function origin(url: string): string {
  const { origin: shown, pathname } = new URL(url);
  return shown + pathname;
}

function digestOf(records: readonly JsonValue[]): string {
  const hash = createHash('sha256');
  for (const record of records) hash.update(JSON.stringify(record)).update('\n');
  return hash.digest('base64');
}
