import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { invariants } from '../../chaos/checker.ts';
import { applyEdit, root } from '../../chaos/house-copy.ts';
import { mutations } from '../../chaos/mutations.ts';
import { newerEdits } from '../../chaos/newer-version.ts';

async function edited(edits: readonly { file: string; from: string; to: string }[]) {
  const files = new Map<string, string>();
  for (const edit of edits) {
    const text = files.get(edit.file) ?? (await readFile(join(root, edit.file), 'utf8'));
    files.set(edit.file, applyEdit(text, edit));
  }
  return files;
}

it.each(Object.entries(mutations))('the defect %s finds its place in the code', async (_name, { edits }) => {
  expect((await edited(edits)).size).toBeGreaterThan(0);
});

it.each(Object.entries(mutations))('no later migration mends the defect %s', async (_name, { edits }) => {
  for (const { file, from } of edits.filter((edit) => edit.file.startsWith('migrations/'))) {
    const text = await readFile(join(root, file), 'utf8');
    const [, kind, made] = /.*\b(TRIGGER|FUNCTION) "(\w+)"/s.exec(text.slice(0, text.indexOf(from)))!;
    const later = (await readdir(join(root, 'migrations'))).filter(
      (name) => name.endsWith('.sql') && `migrations/${name}` > file,
    );
    for (const name of later) {
      const sql = await readFile(join(root, 'migrations', name), 'utf8');
      expect(sql, name).not.toMatch(new RegExp(`CREATE (OR REPLACE )?${kind} "${made}"`));
    }
  }
});

it('the version after this one finds its places in the code', async () => {
  expect((await edited(newerEdits)).size).toBe(2);
});

it('each invariant has a defect that breaks it', () => {
  const broken = new Set(Object.values(mutations).flatMap(({ breaks }) => breaks));
  expect(invariants.filter(({ number }) => !broken.has(number))).toEqual([]);
});
