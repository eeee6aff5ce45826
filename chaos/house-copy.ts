/**
 * A copy of the service's code with one more job type in it, added as docs/writing-a-job.md says; and, to see whether the
 * checker sees anything, with a defect.
 */
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newerEdits, plantMigration } from './newer-version.ts';

export const root = fileURLToPath(new URL('..', import.meta.url));

export type Edit = { file: string; from: string; to: string };

/**
 * Returns the path of its `src/main.ts`. Throws when an edit does not find its place, so that none is silently lost.
 * `newer`: the version after this one, with a migration more (`newer-version.ts`).
 */
export async function copyHouse(
  directory: string,
  edits: readonly Edit[],
  { newer = false }: { newer?: boolean } = {},
): Promise<string> {
  await mkdir(directory, { recursive: true });
  for (const part of ['src', 'migrations', 'package.json']) {
    await cp(join(root, part), join(directory, part), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
  const job = await readFile(join(root, 'chaos/stepping-job.ts'), 'utf8');
  await writeFile(join(directory, 'src/jobs/stepping-job.ts'), job.replaceAll('../src/jobs/', './'));
  const read = new Map<string, string>();
  for (const edit of [...houseEdits, ...(newer ? newerEdits : []), ...edits]) {
    const path = join(directory, edit.file);
    read.set(path, applyEdit(read.get(path) ?? (await readFile(path, 'utf8')), edit));
  }
  for (const [path, text] of read) await writeFile(path, text);
  if (newer) await plantMigration(join(directory, 'migrations'));
  return join(directory, 'src/main.ts');
}

/** Throws where the text has not exactly one such place. */
export function applyEdit(text: string, { file, from, to }: Edit): string {
  if (text.split(from).length !== 2) throw new Error(`${file} does not have once: ${from}`);
  return text.replace(from, () => to);
}

const houseEdits: readonly Edit[] = [
  {
    file: 'src/jobs/house-jobs.ts',
    from: "import { runHttpTask } from './task/http-task.ts';",
    to: "import { steppingJob } from './stepping-job.ts';\nimport { runHttpTask } from './task/http-task.ts';",
  },
  {
    file: 'src/jobs/house-jobs.ts',
    from: '...isolatedJobs({ version, backup }),',
    to: '...isolatedJobs({ version, backup }),\n    steppingJob as never,',
  },
];
