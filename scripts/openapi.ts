/**
 * Writes openapi.yaml from the routes; no database is needed. `--check` writes nothing and exits with 1 when the file
 * is not what the routes say.
 */
import { readFile, writeFile } from 'node:fs/promises';
import pino from 'pino';
import { stringify } from 'yaml';
import { buildApp } from '../src/app.ts';
import { createClock } from '../src/clock.ts';
import type { Db } from '../src/db/client.ts';
import { houseJobs } from '../src/jobs/house-jobs.ts';
import { createJobRegistry } from '../src/jobs/registry.ts';
import type { HealthService } from '../src/routes/health.ts';
import type { SecretService } from '../src/secrets/secret-service.ts';
import type { Services } from '../src/services.ts';

const file = new URL('../openapi.yaml', import.meta.url);

/** The document as it stands in openapi.yaml. */
export async function renderDocument(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const app = await buildApp({
    // Routes ask their services for nothing until a request comes, and none will.
    ...({} as Services),
    health: {} as HealthService,
    metrics: { contentType: 'text/plain', render: async () => '' },
    jobCatalog: createJobRegistry(
      houseJobs({
        version,
        queue: { db: {} as Db, clock: createClock(), secrets: {} as SecretService },
        backup: { databaseUrl: 'postgres://nowhere/none', pgBin: null, path: null, s3: {} },
      }),
    ).catalog,
    clock: createClock(),
    apiKey: null,
    logger: pino({ level: 'silent' }),
    version,
    serveApi: true,
  });
  const document = app.swagger();
  await app.close();
  const heading = '# Made by `npm run openapi` from the routes in src/routes. Edits are lost.\n';
  return heading + stringify(document, { lineWidth: 110, aliasDuplicateObjects: false });
}

/** The first line in which two texts differ, for a message. */
function firstDifference(before: string, after: string): string {
  const [old, fresh] = [before.split('\n'), after.split('\n')];
  const line = fresh.findIndex((text, index) => text !== old[index]);
  const at = line === -1 ? fresh.length : line;
  return `line ${at + 1}:\n- ${old[at] ?? '(end)'}\n+ ${fresh[at] ?? '(end)'}\n`;
}

if (import.meta.main) {
  const fresh = await renderDocument();
  const stored = await readFile(file, 'utf8').catch(() => '');
  if (!process.argv.includes('--check')) {
    await writeFile(file, fresh);
  } else if (stored !== fresh) {
    const difference = firstDifference(stored, fresh);
    process.stderr.write(`openapi.yaml differs from the routes; run npm run openapi.\n${difference}`);
    process.exitCode = 1;
  }
}
