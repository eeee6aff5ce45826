/**
 * The version after this one, for a rolling update: a migration as an ordinary change brings it (columns that may be null
 * on the tables that are busiest, an index, a table), and the code that reads and writes what it added.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Edit } from './house-copy.ts';

const tag = '9999_newer';
const statements = [
  'ALTER TABLE "runs" ADD COLUMN "made_by" text',
  'ALTER TABLE "schedules" ADD COLUMN "made_by" text',
  'ALTER TABLE "schedule_states" ADD COLUMN "made_by" text',
  'ALTER TABLE "workers" ADD COLUMN "release" text',
  'CREATE INDEX "runs_made_by_idx" ON "runs" ("made_by") WHERE made_by is not null',
  'CREATE TABLE "releases" ("name" text PRIMARY KEY NOT NULL)',
];

/** Adds it to the migrations of a copy. */
export async function plantMigration(folder: string): Promise<void> {
  const path = join(folder, 'meta/_journal.json');
  const journal = JSON.parse(await readFile(path, 'utf8')) as {
    entries: { idx: number; version: string; when: number; tag: string; breakpoints: boolean }[];
  };
  const last = journal.entries.at(-1)!;
  journal.entries.push({ ...last, idx: last.idx + 1, when: last.when + 1, tag });
  await writeFile(join(folder, `${tag}.sql`), statements.join(';\n--> statement-breakpoint\n'));
  await writeFile(path, JSON.stringify(journal));
}

const column = (table: string, name: string): Edit => ({
  file: 'src/db/schema.ts',
  from: `  '${table}',\n  {\n    id: uuid('id').primaryKey(),`,
  to: `  '${table}',\n  {\n    id: uuid('id').primaryKey(),\n    ${name === 'made_by' ? 'madeBy' : name}: text('${name}'),`,
});

/** What a worker of this version leaves in the database: its row says so. */
export const newerEdits: readonly Edit[] = [
  column('runs', 'made_by'),
  column('schedules', 'made_by'),
  column('workers', 'release'),
  {
    file: 'src/db/worker-store.ts',
    from: '    poolIds: [],\n',
    to: "    poolIds: [],\n    release: 'newer',\n",
  },
];
