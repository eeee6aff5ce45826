/** The job type `restore`. */
import { houseBackoff } from '../../runs/retry-policy.ts';
import { defineJob } from '../job.ts';
import { restoreInput, restoreOutput } from './backup-input.ts';
import { type BackupSettings, withTools } from './backup-tools.ts';
import { restoreBackup } from './restore-backup.ts';

export function createRestoreJob(settings: BackupSettings) {
  return defineJob({
    type: 'restore',
    description:
      'Restores a backup into an empty directory or a database without tables. Checks it before it writes.',
    input: restoreInput,
    output: restoreOutput,
    taskQueue: 'backup',
    isolated: true,
    timeoutMs: 6 * 3_600_000,
    retry: { maxAttempts: 1, ...houseBackoff(60_000) },
    example: { backupId: 'backup-20260301020000', to: 'file:///var/restored' },
    run: (context, input) => withTools(settings, context, (tools) => restoreBackup(context, input, tools)),
  });
}
