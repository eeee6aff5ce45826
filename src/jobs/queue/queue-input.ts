/** What a drain is asked for, and what it answers. */
import { z } from 'zod';
import { durationField } from '../../duration.ts';

export const batchSizeDefault = 10;
export const batchSizeMax = 500;

export const queueInput = z.strictObject({
  queueName: z
    .string()
    .max(128)
    .normalize('NFC')
    .regex(
      /^[\p{L}\p{N}][\p{L}\p{N}\p{M}._-]*$/u,
      'must consist of letters, digits, ".", "_" and "-", and begin with a letter or digit',
    )
    .meta({ description: 'The queue whose tasks it executes. One without tasks is empty, not unknown.' }),
  batchSize: z
    .int()
    .min(1)
    .max(batchSizeMax)
    .default(batchSizeDefault)
    .meta({ description: 'How many tasks are executed at once.' }),
  idleWait: durationField({
    minMs: 1_000,
    maxMs: 86_400_000,
    description:
      'How long to wait, without holding a slot, before an empty queue is looked at again; it goes on until the schedule is stopped. Without it the run ends when the queue is empty.',
  }).optional(),
});
export type QueueInput = z.output<typeof queueInput>;

const count = z.int().min(0);

export const queueOutput = z.object({
  queueName: z.string(),
  processedTasks: count.meta({ description: 'Tasks that succeeded.' }),
  failedTasks: count.meta({ description: 'Tries that failed and are made again later.' }),
  deadTasks: count.meta({ description: 'Tasks that are given up.' }),
  status: z.enum(['empty', 'stopped']).meta({ description: 'Why it ended.' }),
});
