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

/** In place of what there was of the same size. */
export async function writeScale(cell: ScaleResult): Promise<void> {
  const kept = (await readScale()).filter(
    ({ schedules, runs }) => schedules !== cell.schedules || runs !== cell.runs,
  );
  await writeFile(file, `${JSON.stringify(inOrder([...kept, cell]), null, 2)}\n`);
}
