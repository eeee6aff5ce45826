/** What passes between the two ends of a sync. */
import type { ColumnPlan, SourceColumn, TargetColumn } from './column-plan.ts';
import type { JsonValue } from './exact-json.ts';
import type { PackedRows } from './packed-rows.ts';

/** As Postgres writes values, in the order of the plan's columns. Exact for every type that there is. */
export type Cells = (string | null)[];
/** By the names at the target. */
export type JsonRecord = Record<string, JsonValue>;

export type SyncRow = {
  /** As texts, in the order of `source.key`. */
  readonly key: readonly string[];
  readonly deleted: boolean;
  readonly data: Cells | JsonRecord;
};

/** Left out. `record` says which one. */
export type BadRecord = { record: string; message: string };

/**
 * How far a schedule has come: everything up to this watermark is stored. `keys`: of the records that have just this
 * watermark the ones that are stored, for Postgres the last one; null: not known, they are read again.
 */
export type Mark = { watermark: string; keys: string[][] | null };

export type SyncPage = {
  readonly rows: readonly SyncRow[] | PackedRows;
  readonly bad: readonly BadRecord[];
  /** Where this run goes on behind the page. JSON, for the source alone. */
  readonly position: unknown;
  /** The highest mark of all pages so far. */
  readonly mark: Mark | null;
};

export type SyncStart = {
  /** Of the schedule. */
  mark: Mark | null;
  /** Of this run, when an attempt before has stored pages. */
  goOn: { position: unknown; mark: Mark | null } | null;
};

/** Faults: `InvalidConfiguration`, `SourceUnreachable` and others of JobError; an abort rejects with the signal's reason. */
export interface SyncSource {
  /** Whether the watermark may move with each page: all later pages are above it. */
  readonly sorted: boolean;
  /** Its columns; null where each record has its own. */
  describe(signal: AbortSignal): Promise<readonly SourceColumn[] | null>;
  /** At most one page is read ahead of the one that was taken. */
  pages(plan: ColumnPlan, start: SyncStart, signal: AbortSignal): AsyncGenerator<SyncPage, void, undefined>;
  close(): void;
}

export interface SyncTarget {
  /** Its columns; null where anything is taken. */
  describe(signal: AbortSignal): Promise<readonly TargetColumn[] | null>;
  /** Last checks before the first page. */
  prepare(plan: ColumnPlan, signal: AbortSignal): Promise<void>;
  /**
   * Stores the rows, of which no two have the same key; writing them twice is as good as once. All or nothing, as far as
   * the target can.
   *
   * @param name of the page or of the part of it, the same when it is written again
   * @throws RecordsRefused when some of the rows are at fault
   */
  write(rows: readonly SyncRow[], name: string, signal: AbortSignal): Promise<Written>;
  /** As `write`, of a page that a source packed for it. */
  writePacked?(rows: PackedRows, signal: AbortSignal): Promise<Written>;
  close(): void;
}

/** `changed`: how many of the upserts changed something; null where that is not known. */
export type Written = { changed: number | null; deleted: number };

/** Something about the rows themselves: they are tried in halves, to find which. */
export class RecordsRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RecordsRefused';
  }
}
