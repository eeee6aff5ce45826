/** Names of the files in a target. */
import { invalidConfiguration } from './target-faults.ts';

/** File systems allow 255 bytes; what is put beside a backup gets room for a suffix. */
const nameBytesMax = 200;

/**
 * A name that is the same on a disk and in a bucket, and cannot lead out of the folder. A leading dot is kept for our
 * own passing files, which lists do not show.
 *
 * @throws JobError `InvalidConfiguration`
 */
export function checkName(name: string): string {
  const wrong =
    name === ''
      ? 'is empty'
      : /[/\\]/.test(name)
        ? 'contains a slash'
        : name.startsWith('.')
          ? 'begins with a dot'
          : /\p{Cc}/u.test(name)
            ? 'contains control characters'
            : Buffer.byteLength(name) > nameBytesMax
              ? `is longer than ${nameBytesMax} bytes`
              : undefined;
  if (wrong === undefined) return name;
  throw invalidConfiguration(
    `A backup cannot be named ${JSON.stringify(name.slice(0, 80))}: the name ${wrong}.`,
  );
}

/** Like a bucket's own order: by bytes, so that both kinds of targets list alike. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
