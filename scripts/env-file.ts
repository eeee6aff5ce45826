/** Preloaded by the npm scripts: the variables of a file `.env`, where there is one. What is set already stays as it is. */
import { existsSync } from 'node:fs';

// Node's own --env-file-if-exists tells everybody who has none that there is none.
if (existsSync('.env')) process.loadEnvFile('.env');
