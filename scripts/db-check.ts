/**
 * Tells whether migrations/ is what src/db/schema.ts says; no database is needed and nothing is written. Exits with 1
 * when it is not. What the migrations make of a real database, `test/db/schema-drift.test.ts` looks at.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { generateDrizzleJson } from 'drizzle-kit/api';
import { migrationsFolder } from '../src/db/migrate.ts';
import * as schema from '../src/db/schema.ts';

type Journal = { entries: { idx: number; tag: string; when: number }[] };
type Part = Record<string, unknown>;
type Snapshot = { id: string; prevId: string; tables: Record<string, Part> } & Part;

const firstPrevId = '00000000-0000-0000-0000-000000000000';

/**
 * What would break the version before, whose nodes go on while the database is migrated and for a while after. A column is
 * taken away in two versions: the first stops using it, the second drops it, and says so with `-- unused since <version>`.
 */
const breaking: readonly [RegExp, string][] = [
  [/\bdrop\s+(table|column)\b/i, 'drops what the version before may use'],
  [/\brename\s+(to|column|table|"|\w+\s+to)/i, 'renames what the version before may use'],
  [/\bset\s+not\s+null\b/i, 'forbids a null that the version before may write'],
  [/\bset\s+data\s+type\b/i, 'changes a type, which writes the whole table while everybody waits'],
  [
    /\badd\s+column\b(?=[^;]*\bnot\s+null\b)(?![^;]*\bdefault\b)/i,
    'adds a column that the version before cannot fill',
  ],
];
const excuse = '-- unused since ';

/** What is wrong with the migrations, a line each; empty when all is well. */
export async function findDrift(folder: string): Promise<string[]> {
  const read = async (name: string): Promise<unknown> =>
    JSON.parse(await readFile(join(folder, 'meta', name), 'utf8'));
  const { entries } = (await read('_journal.json')) as Journal;
  const found: string[] = [];

  const told = entries.map((entry) => `${entry.tag}.sql`);
  const files = (await readdir(folder)).filter((name) => name.endsWith('.sql'));
  for (const name of files)
    if (!told.includes(name)) found.push(`${name} is not in the journal, so it is never applied`);
  for (const name of told)
    if (!files.includes(name)) found.push(`${name} is in the journal and not in the folder`);

  for (const [at, { tag, when }] of entries.entries()) {
    // The migrator looks at the newest one alone.
    if (at > 0 && when <= entries[at - 1]!.when)
      found.push(`${tag} is dated before the one it follows, so a database that has that one never gets it`);
    if (!files.includes(`${tag}.sql`)) continue;
    const text = await readFile(join(folder, `${tag}.sql`), 'utf8');
    if (text.includes(excuse)) continue;
    for (const [pattern, why] of breaking) if (pattern.test(text)) found.push(`${tag} ${why}`);
  }

  let prevId = firstPrevId;
  let last: Snapshot | null = null;
  for (const { idx } of entries) {
    const name = `${String(idx).padStart(4, '0')}_snapshot.json`;
    last = (await read(name)) as Snapshot;
    if (last.prevId !== prevId) found.push(`meta/${name} does not follow the one before it`);
    prevId = last.id;
  }
  if (last !== null) found.push(...differences(last, snapshotOf(schema)));
  return found;
}

/** As drizzle-kit would store it. */
function snapshotOf(imports: Record<string, unknown>): Part & { tables: Record<string, Part> } {
  return JSON.parse(JSON.stringify(generateDrizzleJson(imports)));
}

function differences(stored: Snapshot, fresh: Part & { tables: Record<string, Part> }): string[] {
  const found: string[] = [];
  for (const name of names(stored.tables, fresh.tables)) {
    const [before, after] = [stored.tables[name], fresh.tables[name]];
    if (after === undefined) found.push(`${name} is in the migrations and not in the schema`);
    else if (before === undefined) found.push(`${name} is in the schema and not in the migrations`);
    else {
      const parts = names(before, after).filter((part) => !isDeepStrictEqual(before[part], after[part]));
      if (parts.length > 0)
        found.push(`${name} differs in ${parts.map((part) => within(part, before, after)).join(', ')}`);
    }
  }
  for (const part of ['enums', 'schemas', 'sequences', 'views']) {
    if (!isDeepStrictEqual(stored[part], fresh[part])) found.push(`the ${part} differ`);
  }
  return found;
}

/** "columns (due_at, fault)" */
function within(part: string, before: Part, after: Part): string {
  const [old, fresh] = [(before[part] ?? {}) as Part, (after[part] ?? {}) as Part];
  return `${part} (${names(old, fresh)
    .filter((name) => !isDeepStrictEqual(old[name], fresh[name]))
    .join(', ')})`;
}

function names(a: Part, b: Part): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
}

if (import.meta.main) {
  const found = await findDrift(process.argv[2] ?? migrationsFolder);
  if (found.length > 0) {
    const list = found.map((line) => `- ${line}\n`).join('');
    process.stderr.write(`migrations/ is not what src/db/schema.ts says; run npm run db:generate.\n${list}`);
    process.exitCode = 1;
  }
}
