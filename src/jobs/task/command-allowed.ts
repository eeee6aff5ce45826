/**
 * Which programs a command may run: those that CARILLON_COMMANDS lists, by absolute path.
 *
 * Paths are compared as real directory and name, so that /bin/rsync is /usr/bin/rsync where the one directory is a link
 * to the other. The last link is not followed for that: where /bin/ls and /bin/sh are both links to busybox, whoever
 * allows the one does not mean the other.
 */
import { realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Plain JSON. */
export type CommandSettings = {
  /** Absolute paths; none: commands are off. */
  programs: readonly string[];
  /** PATH, HOME and LANG, as commands get them. */
  env: Readonly<Record<string, string>>;
};

export const noCommands: CommandSettings = { programs: [], env: {} };

/** Null: it may be run. Else why not, and what a person must do, as a sentence. */
export function commandFault(programs: readonly string[], program: string): string | null {
  if (!program.startsWith('/')) return 'Must be the absolute path of a program, such as /usr/bin/rsync.';
  const place = placeOf(program);
  if (programs.some((each) => placeOf(each) === place)) return null;
  const now =
    programs.length === 0 ? 'it is not set, so that commands are off' : `it has ${programs.join(',')}`;
  return `The program ${program} is not allowed. Whoever runs the service must list it in CARILLON_COMMANDS (absolute paths with commas between) on each node; ${now}.`;
}

function placeOf(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    // There is no such directory here; on the node that runs it there may be.
    return join(dirname(path), basename(path));
  }
}
