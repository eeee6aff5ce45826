/** The wire format of a `task` that runs a program. */
import { z } from 'zod';
import { durationField } from '../../duration.ts';
import { commandFault } from './command-allowed.ts';

const argumentsMax = 256;
const textLengthMax = 65_536;
const variablesMax = 64;
/** As long as an attempt may be given. */
const timeoutMsMax = 7 * 86_400_000;

const noNul = (text: string) => !text.includes('\0');

/** What decides which code runs, and would so get round the list of programs. */
const codeVariables =
  /^(PATH|IFS|ENV|PS4|BASH_ENV|BASHOPTS|SHELLOPTS|LD_.*|DYLD_.*|GCONV_PATH|GLIBC_TUNABLES|NODE_OPTIONS|NODE_PATH|PERL5.*|PERLLIB|PYTHON.*|RUBY(OPT|LIB)|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS)$/i;

function variableFault(name: string): string | null {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) {
    return 'Not a name of a variable: use letters, digits and "_".';
  }
  if (/^CARILLON_/i.test(name)) return `${name} cannot be set: Carillon says there which run it is.`;
  return codeVariables.test(name)
    ? `${name} cannot be set: it decides which code runs, as CARILLON_COMMANDS is to do.`
    : null;
}

/** `programs`: those that are allowed. */
export function commandInput(programs: readonly string[]) {
  return z.strictObject({
    command: z
      .array(z.string().max(textLengthMax).refine(noNul, { error: 'Must not contain NUL characters.' }))
      .min(1)
      .max(argumentsMax)
      .superRefine(([program = ''], context) => {
        const fault = commandFault(programs, program);
        if (fault !== null) context.addIssue({ code: 'custom', message: fault, path: [0] });
      })
      .meta({
        description:
          'A program by its absolute path, and its arguments. No shell looks at them. Only what CARILLON_COMMANDS lists.',
        examples: [['/usr/bin/rsync', '-a', '/srv/a/', '/srv/b/']],
      }),
    env: z
      .record(
        z.string(),
        z.string().max(textLengthMax).refine(noNul, { error: 'Must not contain NUL characters.' }),
      )
      .superRefine((given, context) => {
        const names = Object.keys(given);
        if (names.length > variablesMax) {
          context.addIssue({ code: 'custom', message: `Must have at most ${variablesMax} variables.` });
        }
        for (const name of names.slice(0, variablesMax)) {
          const fault = variableFault(name);
          if (fault !== null) context.addIssue({ code: 'custom', message: fault, path: [name] });
        }
      })
      .optional()
      .meta({ description: 'Variables beside PATH, HOME, LANG and CARILLON_…; the place for secrets.' }),
    cwd: z
      .string()
      .max(4_096)
      .refine((path) => path.startsWith('/') && noNul(path), { error: 'Must be an absolute path.' })
      .optional()
      .meta({ description: 'The directory that it runs in; `/` by default.' }),
    timeout: durationField({
      minMs: 1,
      maxMs: timeoutMsMax,
      description: "Then it is ended. The attempt's own timeout holds as well.",
    }).optional(),
  });
}

export type CommandInput = z.output<ReturnType<typeof commandInput>>;

const tail = z.string().meta({ description: 'Its end, at most 64 KiB.' });

export const commandOutput = z.object({
  exitCode: z.literal(0),
  durationMs: z.int().min(0),
  stdout: tail,
  stderr: tail,
  stdoutTruncated: z.literal(true).optional().meta({ description: 'Present when there was more.' }),
  stderrTruncated: z.literal(true).optional(),
});

export type CommandOutput = z.output<typeof commandOutput>;
