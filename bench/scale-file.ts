/** bench/scale.json: the cells that `scale.ts` measured, one at a time and on different days. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { inOrder, type ScaleResult } from './scale-report.ts';

const file = fileURLToPath(new URL('./scale.json', import.meta.url));

/** None: the file is not there. */
export async function readScale(): Promise<ScaleResult[]> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as ScaleResult[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** In place of what there was of the same sizes. */
export async function writeScale(measured: readonly ScaleResult[]): Promise<void> {
  const isSame = (a: ScaleResult, b: ScaleResult) => a.schedules === b.schedules && a.runs === b.runs;
  const kept = (await readScale()).filter((old) => !measured.some((cell) => isSame(cell, old)));
  await writeFile(file, `${JSON.stringify(inOrder([...kept, ...measured]), null, 2)}\n`);
}
