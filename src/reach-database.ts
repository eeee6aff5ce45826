/** The database of this environment: the one at DATABASE_URL, or the embedded one of the data directory. */
import type { Config } from './config.ts';
import { type EmbeddedLog, startEmbeddedPostgres } from './db/embedded.ts';

/**
 * An embedded one is started, or joined if another process has it running; `stop` stops it in the first case only.
 * `filesElsewhere`: where its files lie, if not in the data directory.
 *
 * @throws Error that says why there is none, and what to do
 */
export async function reachDatabase(
  config: Pick<Config, 'databaseUrl' | 'dataDir'>,
  log: EmbeddedLog,
): Promise<{ url: string; filesElsewhere: string | null; stop(): Promise<void> }> {
  if (config.databaseUrl !== null) {
    const { hostname, port, pathname } = new URL(config.databaseUrl);
    log.info(
      `connecting to Postgres at ${hostname || 'its socket'}:${port || 5432}${pathname}, for up to 30 s`,
    );
    return { url: config.databaseUrl, filesElsewhere: null, stop: async () => {} };
  }
  return await startEmbeddedPostgres({ dataDir: config.dataDir, log });
}
