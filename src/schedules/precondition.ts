/**
 * Who asks for a change, and of which version it is to be one (RFC 9110 section 13: If-Match, If-None-Match). It is
 * looked at under the schedule's lock, so that of two who have read the same version only one can change it. Pure.
 */
import { DomainError } from '../errors.ts';

/** An entity tag; the version is null where it is not one that Carillon gives out. */
export type Tag = { version: number | null; weak: boolean };
export type Tags = '*' | readonly Tag[];

export type Caller = {
  actor: string;
  ifMatch?: Tags;
  ifNoneMatch?: Tags;
};

/** Who says nothing of it. */
export const anyone: Caller = { actor: 'api' };
/** Who Carillon is in the history of a schedule. */
export const houseActor = 'carillon';

/** Section 8.8.3.2: for If-Match a weak tag is never the same, for If-None-Match it is. */
export function matches(tags: Tags, version: number, compare: 'strong' | 'weak'): boolean {
  if (tags === '*') return true;
  return tags.some((tag) => tag.version === version && (compare === 'weak' || !tag.weak));
}

/** DomainError `precondition_failed` unless the version is as the caller wants it; null: there is no such schedule. */
export function checkPrecondition(
  { ifMatch, ifNoneMatch }: Caller,
  name: string,
  version: number | null,
): void {
  if (ifMatch !== undefined && (version === null || !matches(ifMatch, version, 'strong'))) {
    throw failed(
      version === null
        ? `There is no schedule "${name}" that \`If-Match\` could be about. Leave the header out to create it.`
        : `Schedule "${name}" is at version ${version}, which \`If-Match\` does not name. Read it again, and send its \`ETag\`, "${version}".`,
    );
  }
  if (ifNoneMatch !== undefined && version !== null && matches(ifNoneMatch, version, 'weak')) {
    throw failed(
      `Schedule "${name}" is there already, at version ${version}, which \`If-None-Match\` rules out. Leave the header out to change it.`,
    );
  }
}

function failed(detail: string): DomainError {
  return new DomainError('precondition_failed', detail);
}
