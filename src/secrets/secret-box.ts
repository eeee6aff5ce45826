/**
 * How one secret is kept: AES-256-GCM (NIST SP 800-38D). What is stored is
 *
 *     version (1 byte) | nonce (12) | ciphertext (as long as the value in UTF-8) | tag (16)
 *
 * The name goes into the tag (as additional authenticated data), so that a row that was given another one's bytes does
 * not open: nobody who can write into the database can make a job send the wrong secret. The nonce is random: under
 * one key 2^32 values may be sealed before two nonces are likely to meet, and a house seals thousands.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { SecretKey } from './secret-key.ts';

/** In UTF-8. As much as a private key with its whole chain, and no more: secrets are read with every run. */
export const valueBytesMax = 65_536;

const algorithm = 'aes-256-gcm';
const version = 1;
const nonceBytes = 12;
const tagBytes = 16;
const headBytes = 1 + nonceBytes;

/** What is stored cannot be opened. The message names the secret, says why, and what to do. */
export class SecretUnreadable extends Error {
  override name = 'SecretUnreadable';
  readonly why: 'other_key' | 'damaged';

  constructor(why: 'other_key' | 'damaged', message: string) {
    super(message);
    this.why = why;
  }
}

/** Why a text cannot be a secret's value, as a predicate without the text; null when it can. */
export function valueFault(value: string): string | null {
  if (value === '') return 'must not be empty';
  if (!value.isWellFormed()) return 'must be text that has a form in UTF-8';
  const size = Buffer.byteLength(value);
  return size > valueBytesMax ? `must have at most ${valueBytesMax} bytes in UTF-8, and has ${size}` : null;
}

/** Throws RangeError for what valueFault refuses. */
export function seal(value: string, { key, name }: { key: SecretKey; name: string }): Buffer {
  const fault = valueFault(value);
  if (fault !== null) throw new RangeError(`The value of secret "${name}" ${fault}.`);
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key.key, nonce, { authTagLength: tagBytes }).setAAD(boundTo(name));
  const text = [cipher.update(value, 'utf8'), cipher.final()];
  return Buffer.concat([Buffer.of(version), nonce, ...text, cipher.getAuthTag()]);
}

/**
 * The value. `keyId` is what stands beside the sealed bytes, of the key that they were sealed under. Throws
 * SecretUnreadable: `other_key` when that is not this key, `damaged` when the bytes are not those that were sealed
 * under this name.
 */
export function open(
  sealed: Uint8Array,
  { key, keyId, name }: { key: SecretKey; keyId: string; name: string },
): string {
  if (keyId !== key.id) {
    throw new SecretUnreadable(
      'other_key',
      `Secret "${name}" was sealed under another key (${keyId}) than the one of this node (${key.id}). Every node needs the same key: set CARILLON_SECRET_KEY to it everywhere, or bring its secret.key back into the data directory. If it is lost, store the secret again with ${putOf(name)}.`,
    );
  }
  const damaged = (what: string) =>
    new SecretUnreadable(
      'damaged',
      `Secret "${name}" cannot be opened: ${what}. Store it again with ${putOf(name)}.`,
    );
  if (sealed.length <= headBytes + tagBytes) throw damaged('what is stored is too short');
  if (sealed[0] !== version) {
    throw damaged(`what is stored has the form ${sealed[0]}, and this version of Carillon knows ${version}`);
  }
  const decipher = createDecipheriv(algorithm, key.key, sealed.subarray(1, headBytes), {
    authTagLength: tagBytes,
  })
    .setAAD(boundTo(name))
    .setAuthTag(sealed.subarray(-tagBytes));
  const text = decipher.update(sealed.subarray(headBytes, -tagBytes));
  try {
    return Buffer.concat([text, decipher.final()]).toString('utf8');
  } catch {
    throw damaged('what is stored was changed, or was sealed under another name');
  }
}

/** With words of our own in front, so that the key could be used for other things without one passing for the other. */
function boundTo(name: string): Buffer {
  return Buffer.from(`carillon secret ${version}\n${name}`);
}

function putOf(name: string): string {
  return `PUT /secrets/${encodeURIComponent(name)}`;
}
