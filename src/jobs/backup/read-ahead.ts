/**
 * Small files are read some entries ahead, side by side: for them the round trips to the thread pool are nearly all of
 * the work. Memory: 32 files of at most 64 KiB. Large ones are opened when it is their turn.
 */
import { heardLater } from '../../errors.ts';
import { type FileRead, fileBlocks, type OpenFile, openFile } from './file-blocks.ts';
import type { PathBytes } from './path-bytes.ts';
import type { PlanStep } from './tree-plan.ts';

const stepsAheadMax = 32;
const smallBytesMax = 64 * 1024;

/** Null: it is no file any more. `block` is header, content and padding, if the file was read already and is closed. */
export type Loaded = { file: OpenFile; whole?: { block: Buffer; read: FileRead } } | null;
export type StepAhead = { step: PlanStep; loaded: Promise<Loaded> | null };

/** The steps in their order. `load` rejects with the file system's fault; `onRead` is called before each read. */
export async function* readAhead(
  root: PathBytes,
  steps: AsyncIterable<PlanStep>,
  onRead: (path: PathBytes) => void,
): AsyncGenerator<StepAhead, void, undefined> {
  const ahead: StepAhead[] = [];
  try {
    for await (const step of steps) {
      const small = step.kind === 'pack' && step.entry.type === 'file' && step.entry.size <= smallBytesMax;
      const loaded = small ? heardLater(load(root, step.entry.path, onRead)) : null;
      ahead.push({ step, loaded });
      if (ahead.length > stepsAheadMax) yield ahead.shift()!;
    }
    for (let next = ahead.shift(); next; next = ahead.shift()) yield next;
  } finally {
    for (const { loaded } of ahead) {
      const left = await loaded?.catch(() => null);
      if (left && !left.whole) left.file.handle.close();
    }
  }
}

async function load(root: PathBytes, path: PathBytes, onRead: (path: PathBytes) => void): Promise<Loaded> {
  const file = await openFile(root, path);
  // It may have grown since the walk saw it.
  if (file === null || file.entry.size > smallBytesMax) return file && { file };
  try {
    const blocks = fileBlocks(file, () => onRead(path));
    const parts: Buffer[] = [];
    let step = await blocks.next();
    for (; !step.done; step = await blocks.next()) parts.push(step.value);
    return {
      file,
      whole: { block: parts.length === 1 ? parts[0]! : Buffer.concat(parts), read: step.value },
    };
  } finally {
    file.handle.close();
  }
}
