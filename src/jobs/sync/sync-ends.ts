/** Opens the two ends of a sync by their addresses. */
import type { JobContext } from '../job.ts';
import type { S3Options } from '../storage/s3-client.ts';
import { openTarget } from '../storage/storage-target.ts';
import { invalidConfiguration } from '../storage/target-faults.ts';
import { FilePages } from './file-pages.ts';
import { placeOfFile } from './file-place.ts';
import { FileSource } from './file-source.ts';
import { createHttpJson } from './http-json.ts';
import { HttpSource } from './http-source.ts';
import { HttpTarget } from './http-target.ts';
import { PgSource } from './pg-source.ts';
import { PgTarget } from './pg-target.ts';
import { kindOfEnd, type SyncInput } from './sync-input.ts';
import type { SyncSource, SyncTarget } from './sync-page.ts';

export type EndSettings = { version: string; s3: S3Options };

/** Opens no connection yet. @throws JobError `InvalidConfiguration` */
export function openEnds(
  { source, target }: SyncInput,
  settings: EndSettings,
  context: JobContext,
): { source: SyncSource; target: SyncTarget } {
  const now = () => context.now();
  const http = () =>
    createHttpJson({ userAgent: `carillon/${settings.version}`, now, redact: context.redact });
  const storage = (location: string) => openTarget(location, { now, s3: settings.s3 });
  const targetKind = kindOfEnd(target.url);
  const asCells = targetKind === 'postgres';
  return { source: openSource(), target: openTargetEnd() };

  function openSource(): SyncSource {
    switch (kindOfEnd(source.url)) {
      case 'postgres':
        return new PgSource(source, { asCells, log: (message, level) => context.log(message, level) });
      case 'http':
        checkAddress(source.url, 'source');
        return new HttpSource(source, http());
      case 'file': {
        const place = placeOfFile(source.url);
        return new FileSource(source, { storage: storage(place.location), place, asCells });
      }
    }
  }

  function openTargetEnd(): SyncTarget {
    switch (targetKind) {
      case 'postgres':
        return new PgTarget(target);
      case 'http':
        checkAddress(target.url, 'target');
        return new HttpTarget(target, {
          http: http(),
          runId: context.runId,
          scheduleName: context.scheduleName,
        });
      case 'file': {
        const place = placeOfFile(target.url);
        const { runId, scheduledForMs } = context;
        const hasTombstones = source.tombstone !== undefined;
        return new FilePages({
          storage: storage(place.location),
          place,
          runId,
          scheduledForMs,
          hasTombstones,
        });
      }
    }
  }
}

function checkAddress(url: string, end: 'source' | 'target'): void {
  const parsed = URL.parse(url);
  if (parsed === null) throw invalidConfiguration(`\`${end}.url\` is no complete address.`);
  if (parsed.username !== '' || parsed.password !== '')
    throw invalidConfiguration(
      `\`${end}.url\` has a user name or password, which is not sent: use an authorization header in \`${end}.headers\`.`,
    );
}
