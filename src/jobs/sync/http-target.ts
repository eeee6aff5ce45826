/**
 * An HTTP endpoint as a target: a POST per page, `{"records": […], "deleted": [{key}, …]}`. The same page has the same
 * Idempotency-Key each time, and records have keys: a receiver that upserts need not mind a repetition.
 */
import type { ColumnPlan } from './column-plan.ts';
import type { HttpJson } from './http-json.ts';
import type { TargetInput } from './sync-input.ts';
import { RecordsRefused, type SyncRow, type SyncTarget, type Written } from './sync-page.ts';

export type HttpTargetOptions = { http: HttpJson; runId: string; scheduleName: string };

export class HttpTarget implements SyncTarget {
  readonly #input: TargetInput;
  readonly #options: HttpTargetOptions;
  #plan: ColumnPlan | undefined;

  constructor(input: TargetInput, options: HttpTargetOptions) {
    this.#input = input;
    this.#options = options;
  }

  async describe(): Promise<null> {
    return null;
  }

  async prepare(plan: ColumnPlan): Promise<void> {
    this.#plan = plan;
  }

  async write(rows: readonly SyncRow[], name: string, signal: AbortSignal): Promise<Written> {
    const { http, runId, scheduleName } = this.#options;
    const gone = rows.filter((row) => row.deleted).map((row) => keyRecord(this.#plan!, row));
    const records = rows.filter((row) => !row.deleted).map((row) => row.data);
    const headers = {
      ...this.#input.headers,
      'idempotency-key': `${runId}-${name}`,
      'x-carillon-run-id': runId,
      'x-carillon-schedule': encodeURIComponent(scheduleName),
    };
    const refused = await http.post(
      new URL(this.#input.url),
      headers,
      JSON.stringify({ records, deleted: gone }),
      signal,
    );
    if (refused !== null) throw new RecordsRefused(`The target answered ${refused.status}: ${refused.text}`);
    return { changed: null, deleted: gone.length };
  }

  close(): void {
    this.#options.http.close();
  }
}

/** The key alone, by its names at the target. */
export function keyRecord({ key }: ColumnPlan, row: SyncRow): Record<string, unknown> {
  const data = Array.isArray(row.data) ? {} : row.data;
  // As the record writes it, a number as a number.
  return Object.fromEntries(
    key.map(({ to }, index) => [to, Object.hasOwn(data, to) ? data[to] : row.key[index]]),
  );
}
