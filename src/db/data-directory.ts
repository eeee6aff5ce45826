/** The data directory (`DATA_DIR`): the embedded database, the key of the secrets, and what can be made anew. */
import { access, constants, lchown, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { accountById } from './embedded-account.ts';

/** What is compiled of the house (compile-cache.ts). */
export const compileCacheName = 'compile-cache';

export const isRoot = (): boolean => process.getuid?.() === 0;

/** Makes the data directory if need be, and makes sure that we can write there. */
export async function createDataDirectory(path: string): Promise<void> {
  try {
    // Root's must let the server's account through; the cluster in it is 0700 in any case.
    const created = await mkdir(path, { recursive: true, mode: isRoot() ? 0o711 : 0o700 });
    if (created !== undefined && isRoot()) await giveToOwnerAbove(created, path);
    await access(path, constants.W_OK);
  } catch (error) {
    throw new Error(
      `cannot use the data directory ${path}: ${String(error)}. Make it writable for this user, or choose another` +
        ' with DATA_DIR.',
      { cause: error },
    );
  }
}

/** What root makes in a directory of somebody else must stay usable for them, when they start Carillon themselves. */
export async function giveToDirectoryOwner(file: string): Promise<void> {
  if (!isRoot()) return;
  const owner = await stat(dirname(file));
  if (owner.uid !== 0) await lchown(file, owner.uid, owner.gid);
}

/** After "sudo npm start" in a user's clone, "npm start" should work too. */
async function giveToOwnerAbove(created: string, path: string): Promise<void> {
  const owner = await stat(dirname(created));
  if (owner.uid === 0 || !(await accountById(owner)).known) return;
  for (let each = path; each.length >= created.length; each = dirname(each)) {
    await lchown(each, owner.uid, owner.gid);
  }
}
