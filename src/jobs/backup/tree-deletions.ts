/** What an incremental backup's manifest says is gone, taken away from the tree that its base was restored to. */
import { resolve } from 'node:path';
import { isDeletion, readManifest } from './manifest.ts';
import { parentOf, pathOfText, rootPath } from './path-bytes.ts';
import { hostile, mustStayInside, RestoreGround } from './restore-ground.ts';
import { rightsOf } from './tree-unpack.ts';

/**
 * Before `unpackTree` of the same backup. Directories keep their mtimes and modes: those that the archive changes come
 * with it. Doing it again does nothing more. Returns the number of entries that were taken away, without those that
 * went with their directory. Errors: as `unpackTree`.
 */
export async function applyDeletions(
  manifest: AsyncIterable<Uint8Array>,
  into: string,
  signal?: AbortSignal,
): Promise<number> {
  const { lines } = await readManifest(manifest);
  const ground = new RestoreGround(pathOfText(resolve(into)), rightsOf({}));
  let removed = 0;
  for await (const line of lines) {
    signal?.throwIfAborted();
    if (!isDeletion(line)) continue;
    mustStayInside(line.path);
    if (line.path === rootPath) throw hostile(line.path, 'is the directory itself');
    if (!(await ground.enter(parentOf(line.path), false))) continue;
    if (await ground.remove(line.path)) removed++;
  }
  await ground.close();
  return removed;
}
