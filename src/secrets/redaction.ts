/**
 * Takes secrets out of texts that are to be kept or shown: outputs, errors, log lines. Pure. The last line of defence:
 * a receiver may say back what it was sent, and a driver may put its whole connection into its message.
 *
 * Redact before a text is cut to its length: half a secret is not found.
 */
import { clearPasswords } from './secret-references.ts';

export type Redact = (text: string) => string;

/**
 * Values shorter than this stay where they are part of a longer text: "on" or "7" is everywhere, and taking it out
 * would tell more than it hides. As the whole of a text they are hidden.
 */
export const redactedLengthMin = 4;

/** Of what base64 makes of a value inside of a longer one, this much must be there before it is taken for the value. */
const fragmentLengthMin = 8;
/** Lines of a value of several lines are hidden singly too, from this length on: texts are told line by line. */
const lineLengthMin = 8;

const anonymous = '***';
const marks = /\[secret:[\p{L}\p{N}\p{M}._-]+\]|\*\*\*/gu;

/** Each secret, with its name, becomes `[secret:name]` in all forms that it is likely to have in a text. */
export function createRedactor(secrets: Iterable<readonly [name: string, value: string]>): Redact {
  const needles = new Map<string, string>();
  const whole = new Map<string, string>();
  for (const [name, value] of secrets) {
    if (value === '') continue;
    const mark = `[secret:${name}]`;
    whole.set(value, mark);
    for (const form of formsOf(value)) if (!needles.has(form)) needles.set(form, mark);
  }
  if (whole.size === 0) return (text) => text;
  return (text) => {
    const first = whole.get(text) ?? withoutNeedles(text, needles);
    // A mark may have a secret in it, or make one with what is beside it: a secret called as another one's value is.
    // Each further round makes the text shorter, so that it ends.
    let result = first;
    while (hasAny(result, needles)) result = withoutNeedles(result, needles, anonymous);
    return whole.has(result) ? anonymous : result;
  };
}

/** Passwords in the URLs of a text become `***`, also those in their queries; references to secrets stay readable. */
export function redactUrls(text: string): string {
  const spans = clearPasswords(text, marks);
  return replaced(
    text,
    spans.map((span) => ({ ...span, mark: anonymous })),
  );
}

/** Takes these values, and the passwords of all URLs, out of a text: what every attempt is given. */
export function redactorOf(values: ReadonlyMap<string, string>): Redact {
  const redactValues = createRedactor(values);
  return (text) => redactUrls(redactValues(text));
}

/** A copy of a JSON value in which every text, also every key and a number that is a secret, went through `redact`. */
export function redactJson(value: unknown, redact: Redact): unknown {
  if (typeof value === 'string') return redact(value);
  if (typeof value === 'number') return redactedNumber(value, redact);
  if (Array.isArray(value)) return value.map((each) => redactJson(each, redact));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [redact(key), redactJson(each, redact)]),
  );
}

/** Only when nothing of it is left: an id that happens to have a short secret's digits in it is a number still. */
function redactedNumber(value: number, redact: Redact): number | string {
  const text = redact(String(value));
  return text.replace(marks, '') === '' ? text : value;
}

type Match = { start: number; end: number; mark: string };

function hasAny(text: string, needles: ReadonlyMap<string, string>): boolean {
  for (const needle of needles.keys()) if (text.includes(needle)) return true;
  return false;
}

/**
 * All places are found first and those that overlap are hidden as one: replacing one secret after the other would leave
 * the rest of the second where the two overlap.
 */
function withoutNeedles(text: string, needles: ReadonlyMap<string, string>, mark?: string): string {
  const found: Match[] = [];
  for (const [needle, own] of needles) {
    for (let at = text.indexOf(needle); at !== -1; at = text.indexOf(needle, at + needle.length)) {
      found.push({ start: at, end: at + needle.length, mark: mark ?? own });
    }
  }
  if (found.length === 0) return text;
  found.sort((a, b) => a.start - b.start || b.end - a.end);
  const merged: Match[] = [];
  for (const each of found) {
    const last = merged.at(-1);
    if (last === undefined || each.start >= last.end) {
      merged.push({ ...each });
    } else {
      last.end = Math.max(last.end, each.end);
      if (last.mark !== each.mark) last.mark = anonymous;
    }
  }
  return replaced(text, merged);
}

function replaced(text: string, matches: readonly Match[]): string {
  if (matches.length === 0) return text;
  let result = '';
  let from = 0;
  for (const { start, end, mark } of matches) {
    if (start < from) continue;
    result += text.slice(from, start) + mark;
    from = end;
  }
  return result + text.slice(from);
}

/** The value as it is, and as JSON, URLs, forms and Basic authentication write it. */
function formsOf(value: string): Set<string> {
  if (value.length < redactedLengthMin) return new Set();
  const wellFormed = value.toWellFormed();
  const json = jsonText(value);
  const percent = encodeURIComponent(wellFormed);
  const strict = percent.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  const form = new URLSearchParams([['', wellFormed]]).toString().slice(1);
  const lines = value
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line.length >= lineLengthMin);
  return new Set([
    value,
    ...lines,
    json,
    jsonText(json),
    asciiJson(json),
    encodeURI(wellFormed),
    ...[percent, strict, form].flatMap((text) => [text, inLowerCase(text)]),
    ...base64Forms(Buffer.from(wellFormed)),
  ]);
}

function jsonText(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** As writers do that trust nothing but ASCII, of a text that is JSON's already. */
function asciiJson(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function inLowerCase(percentEncoded: string): string {
  return percentEncoded.replace(/%[0-9A-F]{2}/g, (octet) => octet.toLowerCase());
}

/** By itself; and behind one, two or three bytes of something else (`user:password`), what is the value's alone of it. */
function base64Forms(bytes: Buffer): string[] {
  const forms = [bytes.toString('base64'), bytes.toString('base64').replace(/=+$/, '')];
  for (const before of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    const ofValue = text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    if (ofValue.length >= fragmentLengthMin) forms.push(ofValue);
  }
  return forms.flatMap((form) => [form, form.replaceAll('+', '-').replaceAll('/', '_')]);
}
