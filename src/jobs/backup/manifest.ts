/**
 * What a backup of a tree holds: JSON lines in the order of `comparePaths`. The first line says what it is, the last
 * how many lines there are, so that a manifest that was cut is not taken for a smaller tree. Between them, one line per
 * entry of the tree, packed or not, and one per entry of the base that is gone.
 *
 * Both written and read as streams, and compared as sorted lists: a million entries cost no more memory than one
 * (about 1 KiB of text, and 64 KiB of buffer). On disk an entry takes some 250 bytes and its path.
 */
import { finished, type Writable } from 'node:stream';
import { z } from 'zod';
import { bytesOf, comparePaths, exactTextOf, type PathBytes, pathOfBytes, pathOfText } from './path-bytes.ts';
import { damaged } from './tar-format.ts';
import { type EntryData, entryTypes } from './tree-walk.ts';

export const manifestVersion = 1;

export type ManifestHeader = {
  version: typeof manifestVersion;
  kind: 'full' | 'incremental';
  /** The backup that an incremental one goes on from. */
  baseId: string | null;
  /** RFC 3339, UTC. */
  createdAt: string;
  /** The directory's own name, for people. */
  rootName: string;
};

export type ManifestEntry = EntryData & {
  /** Of the content, lower-case hex; files only. Taken over from the base if not packed. */
  sha256?: string;
  /** Whether the archive of this backup has it; if not, one of the bases does. */
  packed: boolean;
  /** The file was written to while it was read: what is packed may be a mixture, and is never trusted as a base. */
  changed?: true;
  /** Could not be read this time: this is what the base knew. */
  stale?: true;
};

/** An entry of the base that is not there any more. */
export type Deletion = { path: PathBytes; deleted: true };
export type ManifestLine = ManifestEntry | Deletion;

export const isDeletion = (line: ManifestLine): line is Deletion => 'deleted' in line;

const wholeNumber = z.number().int().nonnegative();
const headerSchema = z.strictObject({
  version: z.literal(manifestVersion),
  kind: z.enum(['full', 'incremental']),
  baseId: z.string().nullable(),
  createdAt: z.iso.datetime(),
  rootName: z.string(),
});
const footerSchema = z.strictObject({ end: z.literal(true), entries: wholeNumber, deleted: wholeNumber });
/** A name that is not UTF-8 stands as base64 of its bytes beside, not in, the usual field. */
const path = { path: z.string().min(1).optional(), pathBase64: z.base64().min(1).optional() };
const deletionSchema = z.strictObject({ ...path, deleted: z.literal(true) });
const entrySchema = z.strictObject({
  ...path,
  type: z.enum(entryTypes),
  size: wholeNumber,
  mtimeNs: z.string().regex(/^-?\d{1,20}$/),
  mode: wholeNumber.max(0o7777),
  uid: wholeNumber,
  gid: wholeNumber,
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  linkTarget: z.string().optional(),
  linkTargetBase64: z.base64().optional(),
  packed: z.boolean(),
  changed: z.literal(true).optional(),
  stale: z.literal(true).optional(),
});
const lineSchema = z.union([entrySchema, deletionSchema, footerSchema]);

function named<K extends string>(key: K, value: PathBytes): Record<string, string> {
  const text = exactTextOf(value);
  return text === null ? { [`${key}Base64`]: bytesOf(value).toString('base64') } : { [key]: text };
}

function lineOf(line: ManifestLine): object {
  if (isDeletion(line)) return { ...named('path', line.path), deleted: true };
  const { path, mtimeNs, linkTarget, ...rest } = line;
  return {
    ...named('path', path),
    ...rest,
    mtimeNs: `${mtimeNs}`,
    ...(linkTarget !== undefined && named('linkTarget', linkTarget)),
  };
}

const writeBytes = 64 * 1024;

/** Writes lines to a stream at the stream's pace. */
export class ManifestWriter {
  readonly #out: Writable;
  readonly #over: Promise<unknown>;
  #fault: unknown = null;
  #text: string;
  #entries = 0;
  #deleted = 0;

  constructor(out: Writable, header: ManifestHeader) {
    this.#out = out;
    this.#over = new Promise((resolve) => {
      finished(out, { readable: false }, (error) => {
        this.#fault = error ?? null;
        resolve(error);
      });
    });
    this.#text = `${JSON.stringify(header)}\n`;
  }

  /** In the order of `comparePaths`. Errors: the stream's own. */
  async write(line: ManifestLine): Promise<void> {
    if (isDeletion(line)) this.#deleted++;
    else this.#entries++;
    this.#text += `${JSON.stringify(lineOf(line))}\n`;
    if (this.#text.length >= writeBytes) await this.#flush();
  }

  async #flush(): Promise<void> {
    const text = this.#text;
    this.#text = '';
    if (this.#fault) throw this.#fault;
    if (!this.#out.write(text)) {
      await Promise.race([new Promise<void>((resolve) => void this.#out.once('drain', resolve)), this.#over]);
    }
    if (this.#fault) throw this.#fault;
  }

  /** The last line, and until the stream has taken it all. */
  async end(): Promise<void> {
    this.#text += `${JSON.stringify({ end: true, entries: this.#entries, deleted: this.#deleted })}\n`;
    await this.#flush();
    this.#out.end();
    await this.#over;
    if (this.#fault) throw this.#fault;
  }
}

/**
 * Reads a manifest; it may come from anywhere, so each line is looked at. Errors: JobError `BackupDamaged`, also when
 * the order is wrong or the last line is missing, which `lines` tells at its end.
 */
export async function readManifest(
  source: AsyncIterable<Uint8Array>,
): Promise<{ header: ManifestHeader; lines: AsyncGenerator<ManifestLine, void, undefined> }> {
  const texts = textLines(source);
  const first = await texts.next();
  const header = parse(headerSchema, first.done ? '' : first.value, 1);
  return { header, lines: linesOf(texts) };
}

async function* linesOf(texts: AsyncGenerator<string, void, undefined>) {
  let entries = 0;
  let deleted = 0;
  let last: PathBytes | null = null;
  let number = 1;
  for await (const text of texts) {
    const line = parse(lineSchema, text, ++number);
    if ('end' in line) {
      if (line.entries !== entries || line.deleted !== deleted) throw damaged('the manifest has lost lines');
      if (!(await texts.next()).done) throw damaged('the manifest goes on after its end');
      return;
    }
    const path = unnamed(line.path, line.pathBase64, number);
    if (last !== null && comparePaths(last, path) >= 0)
      throw damaged(`line ${number} of the manifest is out of order`);
    last = path;
    if ('deleted' in line) {
      deleted++;
      yield { path, deleted: true } as const;
    } else {
      entries++;
      const { pathBase64: _, linkTarget, linkTargetBase64, mtimeNs, ...rest } = line;
      yield {
        ...rest,
        path,
        mtimeNs: BigInt(mtimeNs),
        ...(line.type === 'symlink' && { linkTarget: unnamed(linkTarget, linkTargetBase64, number) }),
      };
    }
  }
  throw damaged('the manifest ends too early');
}

function unnamed(text: string | undefined, base64: string | undefined, number: number): PathBytes {
  if (text !== undefined) return pathOfText(text);
  if (base64 !== undefined) return pathOfBytes(Buffer.from(base64, 'base64'));
  throw damaged(`line ${number} of the manifest lacks a name`);
}

function parse<T>(schema: z.ZodType<T>, text: string, number: number): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw damaged(`line ${number} of the manifest is not readable`, cause);
  }
}

/** A path and a link target of 4 KiB each, every byte escaped as `\u0001`, and the rest. */
const lineBytesMax = 64 * 1024;

async function* textLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a, from)) {
      yield rest.toString('utf8', from, end);
      from = end + 1;
    }
    rest = rest.subarray(from);
    if (rest.length > lineBytesMax) throw damaged('the manifest has a line that is too long');
  }
  if (rest.length > 0) throw damaged('the manifest ends within a line');
}
