/** A node with the job types of tests beside those of the house; configured by the environment, as `src/main.ts` is. */
import pino from 'pino';
import { startService } from '../../src/compose.ts';
import { loadConfig } from '../../src/config.ts';
import { handleUncaught, refuseExitInJobs } from '../../src/jobs/stray-faults.ts';
import { jobs as isolatedJobs, isolatedModule } from './isolated-jobs.ts';
import { poisonJob } from './poison-job.ts';
import { steppingJob } from './stepping-job.ts';
import { testJobs } from './test-jobs.ts';

const config = loadConfig(process.env);
handleUncaught(
  (error) => process.stderr.write(`left by a job: ${error.message}\n`),
  (error) => {
    process.stderr.write(`uncaught: ${error.stack}\n`);
    process.exit(1);
  },
);
refuseExitInJobs();
const service = await startService({
  config,
  databaseUrl: config.databaseUrl!,
  logger: pino({ level: config.logLevel }),
  version: '0',
  moreJobs: [...testJobs, ...isolatedJobs(), steppingJob, poisonJob],
  jobModule: isolatedModule,
});
process.stdout.write(`\n  API    ${service.address}\n`);
process.on('SIGTERM', () => void service.stop().then(() => process.exit(0)));
