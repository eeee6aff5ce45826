/** What a schedule or a calendar may be called, and what a path may call it by. Pure. */
import { DomainError, invalid } from '../errors.ts';

export const nameLengthMax = 128;

/** Letters and digits of any script, with their marks. */
const shape = /^[\p{L}\p{N}][\p{L}\p{N}\p{M}._-]*$/u;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Words that are, or may become, routes below /schedules. */
const routeWords = new Set(['preview', 'apply', 'export', 'pause', 'resume', 'stop', 'forecast']);

/** The name in its stored form (NFC: two ways of writing "é" are one name), or why it cannot be one. */
export function readName(text: string): { name: string } | { reason: string } {
  const name = text.normalize('NFC');
  const length = [...name].length;
  if (length === 0) return { reason: 'must not be empty' };
  if (length > nameLengthMax)
    return { reason: `must have at most ${nameLengthMax} characters, and has ${length}` };
  if (!shape.test(name)) {
    return { reason: 'must consist of letters, digits, ".", "_" and "-", and begin with a letter or digit' };
  }
  if (routeWords.has(name)) return { reason: `must not be "${name}", which is a word of the API's paths` };
  if (uuid.test(name)) return { reason: 'must not look like an id' };
  return { name };
}

/** The id or name that a path or a parameter names. DomainError `not_found` for what can be neither. */
export function toRef(text: string, pointer = '{id}'): string {
  if (uuid.test(text)) return text.toLowerCase();
  const read = readName(text);
  if ('name' in read) return read.name;
  const detail = `There is no schedule ${JSON.stringify(text)}: a name ${read.reason}.`;
  throw new DomainError('not_found', detail, [{ pointer, detail }]);
}

/** The name of a calendar that a path names. DomainError `not_found` for what can be none. */
export function toCalendarRef(text: string): string {
  const read = readName(text);
  if ('name' in read) return read.name;
  const detail = `There is no calendar ${JSON.stringify(text)}: a name ${read.reason}.`;
  throw new DomainError('not_found', detail, [{ pointer: '{name}', detail }]);
}

/** The name of a path that creates (PUT). DomainError `invalid` at /name. */
export function toNewName(text: string): string {
  const read = readName(text);
  if ('name' in read) return read.name;
  throw invalid('/name', `The name in the path ${read.reason}.`);
}

/** The run that a path names. DomainError `invalid` for what is no id. */
export function toRunId(text: string): string {
  if (uuid.test(text)) return text.toLowerCase();
  throw invalid('{id}', `${JSON.stringify(text)} is not the id of a run; ids are UUIDs.`);
}
