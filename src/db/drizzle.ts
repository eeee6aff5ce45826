/**
 * What the house takes from drizzle, as CommonJS. As ES modules, Node reads drizzle's package.json, which is of 180 kB,
 * anew for each of its hundred files: half a second of processor time in every process that starts.
 */
import { createRequire } from 'node:module';

// drizzle-kit reads the schema as CommonJS, where there is no import.meta.
const require = createRequire(import.meta.url ?? __filename);

export type { InferSelectModel, Placeholder as PlaceholderOf, SQL } from 'drizzle-orm';
export type { MigrationMeta } from 'drizzle-orm/migrator';
export type { NodePgDatabase } from 'drizzle-orm/node-postgres';
export type { PgTable } from 'drizzle-orm/pg-core';

export const { and, asc, desc, eq, getTableColumns, gte, inArray, is, isNull, lt, lte, Placeholder, sql } =
  require('drizzle-orm') as typeof import('drizzle-orm');
export const { drizzle } = require('drizzle-orm/node-postgres') as typeof import('drizzle-orm/node-postgres');
export const { migrate: migrateDrizzle } =
  require('drizzle-orm/node-postgres/migrator') as typeof import('drizzle-orm/node-postgres/migrator');
export const pgCore = require('drizzle-orm/pg-core') as typeof import('drizzle-orm/pg-core');
export const { readMigrationFiles } =
  require('drizzle-orm/migrator') as typeof import('drizzle-orm/migrator');

/** Makes the text of a statement. */
export const dialect = new pgCore.PgDialect();
