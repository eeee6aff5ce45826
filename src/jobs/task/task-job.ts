/** The job type `task`: calls an HTTP endpoint, or runs a program, and keeps the answer. */
import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { houseBackoff } from '../../runs/retry-policy.ts';
import { defineJob } from '../job.ts';
import { type CommandSettings, noCommands } from './command-allowed.ts';
import { type CommandInput, commandInput, commandOutput } from './command-input.ts';
import { killGraceMs, runCommand } from './command-run.ts';
import { createTaskDispatcher } from './http-dispatcher.ts';
import { runHttpTask } from './http-task.ts';
import { createProcessGroups } from './process-groups.ts';
import { type HttpTaskInput, httpTaskInput, httpTaskOutput, timeoutMsMax } from './task-input.ts';

export type TaskJobOptions = {
  /** Where the calls go through; whoever made it closes it. By default one of its own, whose idle sockets end by themselves. */
  dispatcher?: Dispatcher;
  /** Carillon's, for the User-Agent header. */
  version: string;
  /** Default: none are allowed. */
  commands?: CommandSettings;
};

/** The job type, bound to its connections. */
export function createTaskJob({
  dispatcher = createTaskDispatcher(),
  version,
  commands = noCommands,
}: TaskJobOptions) {
  const http = { dispatcher, userAgent: `carillon/${version}` };
  const command = { settings: commands, groups: createProcessGroups() };
  return defineJob({
    type: 'task',
    description:
      'Calls an HTTP endpoint, or with `command` runs a program, where CARILLON_COMMANDS allows it. 2xx is success; 408, 425, 429, 5xx and network faults are retried, honouring Retry-After; other statuses fail the run. At most 5 redirects are followed. Of a program exit code 0 is success; others are retried.',
    input: taskInput(commands.programs),
    output: z.union([httpTaskOutput, commandOutput]),
    taskQueue: 'default',
    retry: { maxAttempts: 3, ...houseBackoff(5_000) },
    // As long as the longest `timeout` of an input, so that the input decides and not a default it does not know of.
    timeoutMs: timeoutMsMax,
    // A program that was told to end gets its grace, and is killed before this is over.
    abortGraceMs: killGraceMs + 1_000,
    example: { url: 'http://127.0.0.1:3000/healthz' },
    run: async (context, input) =>
      'command' in input
        ? await runCommand(command, context, input)
        : await runHttpTask(http, context, input),
  });
}

const eitherOr =
  'cannot stand beside `command`: a task calls a `url` or runs a `command`, so leave one of them out';

/**
 * One of the two forms, told apart by `command`, so that what is wrong is told of the form that was meant; a union
 * would tell of both.
 */
function taskInput(programs: readonly string[]) {
  const ofCommand = commandInput(programs);
  return z
    .unknown()
    .transform((value, context): HttpTaskInput | CommandInput => {
      const has = (field: string) =>
        typeof value === 'object' && value !== null && Object.hasOwn(value, field);
      const isCommand = has('command');
      if (isCommand && has('url')) {
        context.addIssue({ code: 'custom', path: ['url'], message: eitherOr });
        return z.NEVER;
      }
      const parsed = (isCommand ? ofCommand : httpTaskInput).safeParse(value);
      if (parsed.success) return parsed.data;
      context.issues.push(
        ...parsed.error.issues.map((issue) => ({ ...issue, input: value }) as z.core.$ZodRawIssue),
      );
      return z.NEVER;
    })
    .meta({ anyOf: [schemaOf(httpTaskInput), schemaOf(ofCommand)] });
}

function schemaOf(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
}
