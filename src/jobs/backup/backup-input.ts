/** What a backup and a restore are asked for, and what they answer. */
import { z } from 'zod';

export const retentionDaysDefault = 30;

/** Absolute, since a worker may run anywhere. */
const directory = /^file:\/\/\/./;
const database = /^postgres(ql)?:\/\/./;
const bucket = /^s3:\/\/[^/]+/;

const source = z
  .string()
  .max(2_000)
  .refine((text) => directory.test(text) || database.test(text), 'must be file:///directory or postgres://…')
  .meta({
    description:
      'What to back up: `file:///dir` or `postgres://…`. Default: the database of Carillon itself.',
  });

export const backupInput = z.strictObject({
  backupType: z.enum(['full', 'incremental']).meta({
    description: 'Incremental: of a directory what changed since the last good backup of this schedule.',
  }),
  source: source.optional(),
  targetLocation: z
    .string()
    .max(2_000)
    .refine(
      (text) => directory.test(text) || bucket.test(text),
      'must be file:///dir/ or s3://bucket/prefix/',
    )
    .meta({ description: 'Where to keep it: `file:///dir/` or `s3://bucket/prefix/`.' }),
  retentionDays: z.int().min(1).max(36_500).default(retentionDaysDefault).meta({
    description: 'Older backups of this schedule are deleted, but for the last good one and what it needs.',
  }),
});
export type BackupInput = z.output<typeof backupInput>;

export const backupOutput = z.object({
  backupId: z.string(),
  /** Incremental ones begin with a full one. */
  backupType: z.enum(['full', 'incremental']),
  /** Bytes, as stored. */
  backupSize: z.int(),
  sha256: z.string(),
  location: z.string(),
  durationSeconds: z.number(),
  deletedBackups: z.int(),
});

export const restoreInput = z.strictObject({
  backupId: z
    .string()
    .regex(/^backup-\d{14}$/, 'must be the id of a backup, such as "backup-20260301020000"'),
  to: z
    .string()
    .max(2_000)
    .refine(
      (text) => directory.test(text) || database.test(text),
      'must be file:///directory or postgres://…',
    )
    .meta({ description: 'Where to: an empty or missing directory, or a database without tables.' }),
});
export type RestoreInput = z.output<typeof restoreInput>;

export const restoreOutput = z.object({
  backupId: z.string(),
  /** How many archives it took: 1, or a chain. */
  backups: z.int(),
  entries: z.int().nullable(),
  durationSeconds: z.number(),
});
