/**
 * How an input names secrets instead of holding them, and what in it looks as if it held one. Pure.
 *
 *     {"$secret": "name"}     anywhere in place of a text: becomes the value
 *     "…${secret:name}…"      inside a text: replaced by the value
 *     "…$${secret:name}…"     is the text ${secret:name} itself
 *
 * Keys are left as they are, and a value that looks like a reference is not one. Where a reference stands in the user
 * name or password of a URL its value is percent-encoded, since the writer of the URL cannot know what characters it has;
 * everywhere else, also in a URL's path and query, it stands as it is.
 *
 * A URL is what has `://` in it, up to the next blank or quotation mark; of the URL parser we want no help here: it
 * refuses what has references in it, and what it refuses may have a password all the same.
 */
import { type Issue, invalidAll } from '../errors.ts';

/** As names of secrets are made (routes/schedule-name.ts). */
const nameLengthMax = 128;
const nameShape = /^[\p{L}\p{N}][\p{L}\p{N}\p{M}._-]*$/u;

export type Reference = { name: string /** Where, as a JSON Pointer into the input. */; pointer: string };

/** The names of all secrets that an input refers to, each once, in their order. What is malformed is left out. */
export function referencesIn(input: unknown): string[] {
  return [...new Set(readReferences(input).references.map(({ name }) => name))];
}

/** False: an input of JSON in which nothing is a reference, nor an escaped or malformed one. Cheap. */
export function mayHaveReferences(input: unknown): boolean {
  // JSON never escapes the character that all of them begin with.
  return JSON.stringify(input)?.includes('$') ?? false;
}

/** All references, and what is meant as one and is none. */
export function readReferences(input: unknown): { references: Reference[]; issues: Issue[] } {
  const references: Reference[] = [];
  const issues: Issue[] = [];
  walk(input, '', {
    text(text, pointer) {
      for (const piece of piecesOf(text)) {
        if (piece.kind === 'secret') references.push({ name: piece.name, pointer });
        if (piece.kind === 'malformed') issues.push({ pointer, detail: malformedText });
      }
    },
    object(value, pointer) {
      const read = readObject(value);
      if ('name' in read) references.push({ name: read.name, pointer });
      else issues.push({ pointer, detail: read.fault });
    },
  });
  return { references, issues };
}

/**
 * A deep copy of the input with all references replaced. `values`: name → value. Throws DomainError `invalid` with an
 * issue for each reference that is malformed, or that `values` does not have.
 */
export function resolveReferences(input: unknown, values: ReadonlyMap<string, string>): unknown {
  const { references, issues } = readReferences(input);
  const unknown = references.filter(({ name }) => !values.has(name));
  const wrong = [...issues, ...unknown.map(unknownSecretAt)];
  if (wrong.length > 0) throw invalidAll(wrong);
  return resolved(input, values);
}

/**
 * What a check of inputs finds in one whose values are not to be had yet: it is given the input with a word in place of
 * each reference, and what it then says of those places is left out, since only the value could tell. An input with malformed
 * references is not checked.
 */
export function checkWithoutValues(
  input: unknown,
  check: (input: unknown) => readonly Issue[],
): readonly Issue[] {
  const { references, issues } = readReferences(input);
  if (issues.length > 0) return [];
  const words = new Map(references.map(({ name }) => [name, 'stand-in']));
  const places = new Set(references.map(({ pointer }) => pointer));
  return check(resolved(input, words)).filter(({ pointer }) => !places.has(pointer));
}

export function unknownSecretAt({ name, pointer }: Reference): Issue {
  const detail = `There is no secret "${name}". Create it with PUT /secrets/${encodeURIComponent(name)}.`;
  return { pointer, detail };
}

/**
 * Texts that hold a credential in the clear, as far as that can be told without guessing:
 * - a URL with a password before its host, unless that is made of secrets altogether. A user name alone passes, also
 *   where it is a token, since `git@` and `app@` are the rule;
 * - a parameter in a URL's query whose name says that it is a password or a key, unless there is a secret in it.
 *   `token` is also what pages and currencies are named by: it counts only with 16 characters or more.
 * The issues do not repeat what they found.
 */
export function clearCredentials(input: unknown): Issue[] {
  const issues: Issue[] = [];
  walk(input, '', {
    text(text, pointer) {
      const found = clearPasswords(text);
      for (const what of new Set(found.map((span) => span.what))) {
        const subject = what === null ? 'The URL has a password' : `The URL has the parameter \`${what}\``;
        const detail = `${subject} in the clear, which everyone who reads the schedule would see: put ${what === null ? 'the password' : 'its value'} into a secret with PUT /secrets/{name}, and write \${secret:name} in its place.`;
        issues.push({ pointer, detail });
      }
    },
    object: () => undefined,
  });
  return issues;
}

/** A part of a text; `what` is the parameter's name, null for the password before a host. */
export type Span = { start: number; end: number; what: string | null };

/**
 * Where passwords stand in the clear in the URLs of a text, in their order. `alsoFine`, a global pattern: what may stand
 * there besides references.
 */
export function clearPasswords(text: string, alsoFine?: RegExp): Span[] {
  if (!text.includes('://')) return [];
  const masked = withReferencesMasked(text, alsoFine);
  const passwords = userinfosIn(masked).flatMap(({ start, end }) => {
    const colon = masked.indexOf(':', start);
    const isThere = colon !== -1 && colon + 1 < end;
    const isClear = isThere && [...masked.slice(colon + 1, end)].some((char) => char !== mask);
    return isClear ? [{ start: colon + 1, end, what: null }] : [];
  });
  return [...passwords, ...parametersIn(masked)].sort((a, b) => a.start - b.start);
}

/** A private character for each one of a reference, so that what is in it is not taken for the URL's, and places stay. */
const mask = '\uE000';

function withReferencesMasked(text: string, alsoFine?: RegExp): string {
  const masked = piecesOf(text)
    .map(({ kind, source }) => (kind === 'secret' ? mask.repeat(source.length) : source))
    .join('');
  return alsoFine === undefined ? masked : masked.replace(alsoFine, (found) => mask.repeat(found.length));
}

type Range = { start: number; end: number };

/**
 * Stretches of a masked text that have URLs in them. A text that is a URL and nothing else may have quotation marks in
 * it; one among other words, or in JSON, ends at them.
 */
function stretchesWithUrls(masked: string): Range[] {
  const isUrlAlone = /^\s*[a-z][a-z0-9+.-]*:/i.test(masked) && !/\s/.test(masked.trim());
  const found = masked.matchAll(isUrlAlone ? /\S+/g : /[^\s"<>`\\]+/g);
  return [...found]
    .filter(([text]) => text.includes('://'))
    .map(({ 0: text, index }) => ({ start: index, end: index + text.length }));
}

/** How far behind the authority an `@` is looked for. Bounds the work for hostile texts. */
const brokenPasswordMax = 512;

/** What stands before the `@` of the hosts of a masked text's URLs. */
function userinfosIn(masked: string): Range[] {
  const found: Range[] = [];
  for (const stretch of stretchesWithUrls(masked)) {
    const text = masked.slice(stretch.start, stretch.end);
    for (let at = text.indexOf('://'); at !== -1; at = text.indexOf('://', at + 3)) {
      if (!/[a-z0-9+.-]/i.test(text[at - 1] ?? '')) continue;
      const start = at + 3;
      const length = userinfoLength(text.slice(start));
      if (length > 0) found.push({ start: stretch.start + start, end: stretch.start + start + length });
    }
  }
  return found;
}

function userinfoLength(rest: string): number {
  const authorityEnd = /[/?#]|$/.exec(rest)!.index;
  const authority = rest.slice(0, authorityEnd);
  const at = authority.lastIndexOf('@');
  if (at !== -1) return at;
  // A password with a "/" in it that nobody encoded: then what follows the first colon is no port.
  const colon = authority.indexOf(':');
  if (colon === -1 || authority.startsWith('[') || /^[\d\uE000]*(?:,|$)/.test(authority.slice(colon + 1)))
    return 0;
  return Math.max(0, rest.slice(0, authorityEnd + brokenPasswordMax).lastIndexOf('@'));
}

const credentialName =
  /^(?:password|passwd|pwd|secret|client_secret|secret_key|secret_access_key|access_key|api_?key|access_token)$/i;
const tokenLengthMin = 16;

function parametersIn(masked: string): Span[] {
  return stretchesWithUrls(masked).flatMap((stretch) => {
    const text = masked.slice(stretch.start, stretch.end);
    const query = text.indexOf('?', text.indexOf('://'));
    if (query === -1) return [];
    return [...text.slice(query).matchAll(/[?&]([^=&#?]+)=([^&#]+)/g)].flatMap(
      ({ 0: all, 1: name = '', 2: value = '', index }) => {
        const isNamedSo =
          credentialName.test(name) || (/^token$/i.test(name) && value.length >= tokenLengthMin);
        if (!isNamedSo || value.includes(mask)) return [];
        const end = stretch.start + query + index + all.length;
        return [{ start: end - value.length, end, what: name }];
      },
    );
  });
}

/** A text in pieces; `source` is the piece as it is written, so that together they are the text. */
type Piece = { source: string } & (
  | { kind: 'text'; text: string }
  | { kind: 'secret'; name: string }
  | { kind: 'malformed' }
);

const opening = '${secret:';
const malformedText = `"${opening}" must be followed by the name of a secret and "}"; for the text itself, write "$${opening}".`;

/** From left to right: of `$$${secret:x}` the first `$` is a text, and the other two make an escape. */
function piecesOf(text: string): Piece[] {
  if (!text.includes(opening)) return [{ kind: 'text', source: text, text }];
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(/\$\$\{secret:|\$\{secret:([^}]*)\}?/g)) {
    const [source, inside] = match;
    if (match.index > from) pieces.push(asText(text.slice(from, match.index)));
    from = match.index + source.length;
    const name = inside === undefined || !source.endsWith('}') ? null : readName(inside);
    if (inside === undefined) pieces.push({ kind: 'text', source, text: opening });
    else pieces.push(name === null ? { kind: 'malformed', source } : { kind: 'secret', source, name });
  }
  if (from < text.length) pieces.push(asText(text.slice(from)));
  return pieces;
}

function asText(text: string): Piece {
  return { kind: 'text', source: text, text };
}

/** In its stored form (NFC), or null. */
function readName(text: string): string | null {
  const name = text.normalize('NFC');
  return nameShape.test(name) && [...name].length <= nameLengthMax ? name : null;
}

type JsonObject = Record<string, unknown>;

const objectKey = '$secret';

function readObject(value: JsonObject): { name: string } | { fault: string } {
  const named = value[objectKey];
  const name = typeof named === 'string' ? readName(named) : null;
  if (name === null) return { fault: '`$secret` must be the name of a secret, as text.' };
  if (Object.keys(value).length > 1) return { fault: 'Beside `$secret` there must be no other field.' };
  return { name };
}

/** Visits every text, and every object that has `$secret`, in the order in which they are written. */
function walk(
  value: unknown,
  pointer: string,
  visit: { text(text: string, pointer: string): void; object(value: JsonObject, pointer: string): void },
): void {
  if (typeof value === 'string') visit.text(value, pointer);
  else if (Array.isArray(value))
    value.forEach((each, index) => void walk(each, `${pointer}/${index}`, visit));
  else if (value !== null && typeof value === 'object') {
    if (Object.hasOwn(value, objectKey)) visit.object(value as JsonObject, pointer);
    else for (const [key, each] of Object.entries(value)) walk(each, pointer + pointerPart(key), visit);
  }
}

/** RFC 6901. */
function pointerPart(key: string): string {
  return `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** Of an input whose references are all well-formed and known. */
function resolved(value: unknown, values: ReadonlyMap<string, string>): unknown {
  if (typeof value === 'string') return resolvedText(value, values);
  if (Array.isArray(value)) return value.map((each) => resolved(each, values));
  if (value === null || typeof value !== 'object') return value;
  if (Object.hasOwn(value, objectKey))
    return values.get((readObject(value as JsonObject) as { name: string }).name);
  // Not by assignment, which would take the key "__proto__" for something else.
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, resolved(each, values)]));
}

function resolvedText(text: string, values: ReadonlyMap<string, string>): string {
  if (!text.includes(opening)) return text;
  const userinfos = text.includes('://') ? userinfosIn(withReferencesMasked(text)) : [];
  let at = 0;
  return piecesOf(text)
    .map((piece) => {
      const start = at;
      at += piece.source.length;
      if (piece.kind !== 'secret') return piece.kind === 'text' ? piece.text : piece.source;
      const value = values.get(piece.name)!;
      const isInUserinfo = userinfos.some((each) => each.start <= start && start < each.end);
      return isInUserinfo ? encodeURIComponent(value.toWellFormed()) : value;
    })
    .join('');
}
