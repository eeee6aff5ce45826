/**
 * The key that secrets are sealed under: 32 bytes, from CARILLON_SECRET_KEY, or from `secret.key` in the data directory,
 * which is made when it is first needed.
 *
 * Whoever has both the database and the key has the secrets; so the key never goes into the database, into a log or
 * into a message, and its file is for its owner alone. A backup of the database without the key holds no secret.
 *
 * What a kill -9 leaves: before the file has its name, a file `secret.key.….new` that nobody reads; after that, the key.
 */
import { createSecretKey, hash, type KeyObject, randomBytes } from 'node:crypto';
import { copyFile, constants as fsConstants, link, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createDataDirectory, giveToDirectoryOwner } from '../db/data-directory.ts';
import { codeOf } from '../errors.ts';

export const keyBytes = 32;
const keyFileName = 'secret.key';
const emptyLooksMax = 20;
const emptyLookEveryMs = 50;

/** A KeyObject rather than bytes: printed or written as JSON it says nothing. */
export type SecretKey = {
  readonly key: KeyObject;
  /**
   * The first 8 hexadecimal digits of the key's SHA-256. It is stored beside what is sealed, so that another key is told
   * from damage; of 256 random bits it gives away nothing that would help to guess them.
   */
  readonly id: string;
};

/** The text or the file holds no key that could be used. The message says what to do, and nothing of the contents. */
export class UnusableSecretKey extends Error {
  override name = 'UnusableSecretKey';
}

const howToMake = 'Make one with: openssl rand -base64 32';

/**
 * A key as text: 32 bytes as base64, base64url (with or without padding) or hexadecimal. Blanks around it are ignored,
 * since files end with a line break. Throws UnusableSecretKey for anything else, also for a passphrase: people's words
 * are not 256 bits, and stretching them would only make that harder to see.
 */
export function readSecretKey(text: string): SecretKey {
  const bytes = decoded(text.trim());
  if (bytes === null) {
    throw new UnusableSecretKey(
      `must be ${keyBytes} random bytes as base64, base64url or hexadecimal, and is not. ${howToMake}`,
    );
  }
  return keyOf(bytes);
}

/**
 * Where a service gets its key from. A text decides at once: a wrong one throws UnusableSecretKey here, at the start,
 * and not when the first secret is needed. Without one (null) the file decides when the returned function is first called, so that a
 * node that never meets a secret leaves no key behind; what fails then is tried again by the next call.
 */
export function secretKeySource(text: string | null, dataDir: string): () => Promise<SecretKey> {
  let key: Promise<SecretKey> | undefined = text === null ? undefined : Promise.resolve(readSecretKey(text));
  return () => {
    key ??= loadSecretKey(dataDir).catch((error: unknown) => {
      key = undefined;
      throw error;
    });
    return key;
  };
}

/**
 * The key in the data directory, made when there is none; of several processes that make one at once, all end with the
 * same. Throws UnusableSecretKey for a file that others may read or that holds no key.
 */
export async function loadSecretKey(dataDir: string): Promise<SecretKey> {
  const file = join(dataDir, keyFileName);
  const found = await readKeyFile(file);
  if (found !== null) return found;
  await createDataDirectory(dataDir);
  await makeKeyFile(file);
  const made = await readKeyFile(file);
  if (made !== null) return made;
  throw new UnusableSecretKey(`${file} vanished while it was made. Start Carillon again.`);
}

/** Null when there is no file. */
async function readKeyFile(file: string): Promise<SecretKey | null> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw new UnusableSecretKey(
      `${file} cannot be read (${codeOf(error) || 'unknown'}). Make it readable for this user.`,
      {
        cause: error,
      },
    );
  }
  try {
    // Of the open file, not of its name, which may be another one's by now.
    const { mode } = await handle.stat();
    // Windows has no such modes; there the directory's access list counts.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new UnusableSecretKey(
        `${file} is open to other users of this machine (mode ${(mode & 0o777).toString(8).padStart(4, '0')}). If nobody has read it: chmod 600 ${file}`,
      );
    }
    let text = await handle.readFile('utf8');
    // Where there are no links (below), a file may be seen that somebody is about to write.
    for (let looks = 0; text === '' && looks < emptyLooksMax; looks += 1) {
      await pause(emptyLookEveryMs);
      text = await handle.readFile('utf8');
    }
    return readKeyText(file, text);
  } finally {
    await handle.close();
  }
}

function readKeyText(file: string, text: string): SecretKey {
  const bytes = decoded(text.trim());
  if (bytes !== null) return keyOf(bytes);
  throw new UnusableSecretKey(
    `${file} holds no key. Restore it from a backup; without it, what was sealed under it cannot be opened. To begin anew, delete the file and store every secret again with PUT /secrets/{name}.`,
  );
}

/**
 * Written whole and onto the disk under another name first, then given its own by a link, which fails when the name
 * is taken: a rename would replace the key of a process that was faster and may have sealed something already.
 */
async function makeKeyFile(file: string): Promise<void> {
  const made = `${file}.${process.pid}.${randomBytes(6).toString('hex')}.new`;
  try {
    const handle = await open(made, 'wx', 0o600);
    try {
      await handle.writeFile(`${randomBytes(keyBytes).toString('base64')}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await giveToDirectoryOwner(made);
    await nameExclusively(made, file);
  } finally {
    await rm(made, { force: true });
  }
  await syncDirectoryOf(file);
}

async function nameExclusively(made: string, file: string): Promise<void> {
  try {
    await link(made, file);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return;
    // Some file systems have no links (exFAT, some network mounts). A copy is exclusive too, only not in one stroke.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(codeOf(error))) throw error;
    await copyFile(made, file, fsConstants.COPYFILE_EXCL).catch((again: unknown) => {
      if (codeOf(again) !== 'EEXIST') throw again;
    });
  }
}

/** Else a power cut could take the name away again, and with it all that was sealed by then. */
async function syncDirectoryOf(file: string): Promise<void> {
  const handle = await open(join(file, '..'), 'r').catch(() => null);
  // Not every file system syncs directories, and Windows does not open them.
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

function keyOf(bytes: Buffer): SecretKey {
  return { key: createSecretKey(bytes), id: hash('sha256', bytes, 'hex').slice(0, 8) };
}

/** Node's readers of base64 skip what they do not know, so what was read is written again and compared. */
function decoded(text: string): Buffer | null {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  const unpadded = text.replace(/=$/, '');
  for (const encoding of ['base64', 'base64url'] as const) {
    const bytes = Buffer.from(unpadded, encoding);
    if (bytes.length === keyBytes && bytes.toString(encoding).replace(/=$/, '') === unpadded) return bytes;
  }
  return null;
}
