/** /backups: what backup jobs stored, and where. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import { type Backup, backupKinds, backupStatuses } from '../runs/backup.ts';
import type { BackupService } from '../runs/backup-service.ts';
import { problems } from './documented.ts';
import { presentInstant } from './instant-wire.ts';
import { pageOf, pageQuery, presentPage, toPageRequest } from './page-wire.ts';
import { toRef } from './schedule-name.ts';
import type { ZodApp } from './zod-validation.ts';

const time = z.string().meta({ format: 'date-time' });

export const backupAnswer = z
  .object({
    id: z.string().meta({ examples: ['backup-20260301020000'] }),
    scheduleId: z.string().meta({ format: 'uuid' }),
    scheduleName: z.string(),
    runId: z.string().meta({ format: 'uuid' }),
    kind: z.enum(backupKinds),
    source: z.string().describe('What was backed up; without credentials.'),
    sourceKind: z.enum(['directory', 'postgres']),
    location: z.string(),
    object: z.string().describe('Its name at the location.'),
    manifest: z.string().nullable().describe('Of a directory: the name of the list of what it holds.'),
    base: z.string().nullable().describe('The backup that an incremental one goes on from.'),
    size: z.int().nullable().describe('Bytes, as stored.'),
    sha256: z.string().nullable().describe('Of the object, as stored.'),
    status: z.enum(backupStatuses).describe('`valid` was read back whole.'),
    createdAt: time,
    finishedAt: time.nullable(),
  })
  .meta({ id: 'Backup', description: 'A stored backup.' });

export function backupRoutes(app: ZodApp, backups: BackupService): void {
  app.get(
    '/backups',
    {
      schema: {
        tags: ['runs'],
        operationId: 'listBackups',
        summary: 'List backups',
        description: 'Newest first, in pages. The job type `restore` restores one by its id.',
        querystring: z.strictObject({
          schedule: z.string().optional().describe('Only of this schedule: its id or name.'),
          ...pageQuery,
        }),
        response: { 200: pageOf(backupAnswer), ...problems(400, 404) },
      },
    },
    async (request, reply) => {
      const { schedule, ...page } = request.query;
      const filter = schedule === undefined ? {} : { schedule: toRef(schedule, '?schedule') };
      const found = await backups.list(filter, toPageRequest('backups', page));
      return presentPage('backups', found, presentBackup, request, reply);
    },
  );
}

function presentBackup(backup: Backup): z.output<typeof backupAnswer> {
  return {
    id: backup.id,
    scheduleId: backup.scheduleId,
    scheduleName: backup.scheduleName,
    runId: backup.runId,
    kind: backup.kind,
    source: backup.source,
    sourceKind: backup.sourceKind,
    location: backup.location,
    object: backup.object,
    manifest: backup.manifest,
    base: backup.baseId,
    size: backup.bytes,
    sha256: backup.sha256,
    status: backup.status,
    createdAt: toIso(backup.createdAtMs),
    finishedAt: presentInstant(backup.finishedAtMs),
  };
}
