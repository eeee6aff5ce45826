/** Tasks that run a program: real children, and what they may do to us. */
import { chmod, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { type JobContext, JobError } from '../../src/jobs/job.ts';
import type { CommandOutput } from '../../src/jobs/task/command-input.ts';
import { linesLoggedMax } from '../../src/jobs/task/command-lines.ts';
import { tailBytesMax } from '../../src/jobs/task/output-tail.ts';
import { createTaskJob } from '../../src/jobs/task/task-job.ts';
import { redactorOf } from '../../src/secrets/redaction.ts';
import { withoutSteps } from '../support/memory-journal.ts';
import { waitFor } from '../support/wait-for.ts';

vi.setConfig({ testTimeout: 30_000 });

const sh = '/bin/sh';

async function folder(): Promise<string> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'carillon-command-')));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

function setup(options: { allowed?: string[]; context?: Partial<JobContext> } = {}) {
  const job = createTaskJob({
    version: '1',
    commands: {
      programs: options.allowed ?? [sh],
      env: { PATH: '/usr/bin:/bin', HOME: '/', LANG: 'C.UTF-8' },
    },
  });
  const log: string[] = [];
  const abort = new AbortController();
  const context: JobContext = {
    runId: 'run-1',
    attempt: 2,
    scheduleId: 'schedule-1',
    scheduleName: 'nightly',
    scheduledForMs: Date.UTC(2026, 0, 31, 2, 0, 0),
    idempotencyKey: 'key-1',
    signal: abort.signal,
    stopRequested: false,
    now: () => performance.now(),
    log: (message, level = 'info') => log.push(`${level} ${context.redact(message)}`),
    ...withoutSteps,
    ...options.context,
  };
  const run = async (input: object) => (await job.run(context, job.input.parse(input))) as CommandOutput;
  const failure = async (input: object): Promise<JobError> => {
    const error = await run(input).then(
      (output) => expect.fail(`It succeeded: ${JSON.stringify(output).slice(0, 200)}`),
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(JobError);
    return error as JobError;
  };
  return { job, run, failure, log, abort };
}

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
/** Gone, or dead and not collected by whoever adopted it. */
async function isGone(pid: number): Promise<boolean> {
  if (!isAlive(pid)) return true;
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return state.split(') ')[1]!.startsWith('Z');
}
const pidsIn = async (file: string) =>
  (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean).map(Number);

it('gives arguments as they are, keeps both streams, and tells the lines', async () => {
  const { run, log } = setup();
  const output = await run({
    command: [sh, '-c', 'printf "%s\\n" "$@"; echo oops >&2', 'x', 'a b', '$HOME; ls', '*', '中文', ''],
  });
  expect(output).toEqual({
    exitCode: 0,
    durationMs: expect.any(Number),
    stdout: 'a b\n$HOME; ls\n*\n中文\n\n',
    stderr: 'oops\n',
  });
  expect(log).toEqual(expect.arrayContaining(['info a b', 'info 中文', 'warn oops']));
  expect(log.at(-1)).toMatch(/^info \/bin\/sh ended well in \d+ ms$/);
});

it('gives an environment of its own, and nothing of the service’s', async () => {
  process.env.CARILLON_SECRET_KEY_OF_TEST = 'hunter2';
  onTestFinished(() => {
    delete process.env.CARILLON_SECRET_KEY_OF_TEST;
  });
  const { run } = setup({ allowed: ['/usr/bin/env'] });
  const { stdout } = await run({ command: ['/usr/bin/env'], env: { TOKEN: 'x=y' } });
  expect(stdout.trim().split('\n').sort()).toEqual([
    'CARILLON_ATTEMPT=2',
    'CARILLON_IDEMPOTENCY_KEY=key-1',
    'CARILLON_RUN_ID=run-1',
    'CARILLON_SCHEDULE=nightly',
    'CARILLON_SCHEDULED_FOR=2026-01-31T02:00:00.000Z',
    'HOME=/',
    'LANG=C.UTF-8',
    'PATH=/usr/bin:/bin',
    'TOKEN=x=y',
  ]);
});

it('runs in / or in the directory that is asked for, with no input', async () => {
  const { run } = setup();
  const cwd = await folder();
  expect((await run({ command: [sh, '-c', 'pwd; cat'] })).stdout).toBe('/\n');
  expect((await run({ command: [sh, '-c', 'pwd'], cwd })).stdout).toBe(`${cwd}\n`);
});

it('a program that fails is tried again, and says how', async () => {
  const { failure, log } = setup();
  const failed = await failure({ command: [sh, '-c', 'echo first >&2; echo it broke >&2; exit 3'] });
  expect(failed).toMatchObject({
    type: 'CommandFailed',
    retryable: true,
    message: '/bin/sh ended with exit code 3: it broke',
  });
  expect(log).toContain('warn first');
  const killed = await failure({ command: [sh, '-c', 'kill -SEGV $$'] });
  expect(killed).toMatchObject({ type: 'CommandFailed', message: '/bin/sh was ended by SIGSEGV.' });
});

it.each<[string, (path: string) => Promise<object>, string]>([
  ['that is not there', async (path) => ({ command: [join(path, 'gone')] }), 'There is no program'],
  [
    'that may not be executed',
    async (path) => {
      await writeFile(join(path, 'data'), 'x');
      return { command: [join(path, 'data')] };
    },
    'not a program that may be executed',
  ],
  ['that is a directory', async (path) => ({ command: [join(path, 'dir')] }), 'not a program'],
  [
    'without its interpreter',
    async (path) => {
      await writeFile(join(path, 'script'), '#!/nowhere/interpreter\n');
      await chmod(join(path, 'script'), 0o755);
      return { command: [join(path, 'script')] };
    },
    'could not be started',
  ],
  [
    'whose directory is not there',
    async (path) => ({ command: [sh, '-c', 'true'], cwd: join(path, 'gone') }),
    '`cwd`',
  ],
])('a program %s is a fault of configuration', async (_what, make, words) => {
  const path = await folder();
  await import('node:fs/promises').then(({ mkdir }) => mkdir(join(path, 'dir')));
  const allowed = [sh, ...['gone', 'data', 'dir', 'script'].map((name) => join(path, name))];
  const { failure } = setup({ allowed });
  const error = await failure(await make(path));
  expect(error).toMatchObject({ type: 'InvalidConfiguration', retryable: false });
  expect(error.message).toContain(words);
});

it('a program that vanishes after its schedule was made is refused when it runs', async () => {
  const path = await folder();
  const program = join(path, 'tool');
  await writeFile(program, '#!/bin/sh\necho here\n');
  await chmod(program, 0o755);
  const { run, failure } = setup({ allowed: [program] });
  expect((await run({ command: [program] })).stdout).toBe('here\n');
  await rm(program);
  expect((await failure({ command: [program] })).message).toContain(`There is no program ${program}`);
});

it('only what is listed is taken, by its real directory and its name', async () => {
  const path = await folder();
  const other = await folder();
  await symlink(path, join(other, 'link'));
  for (const name of ['tool', 'box']) {
    await writeFile(join(path, name), '#!/bin/sh\necho $0\n');
    await chmod(join(path, name), 0o755);
  }
  await symlink(join(path, 'box'), join(path, 'ls'));
  await symlink(join(path, 'box'), join(path, 'evil'));
  await symlink(join(path, 'tool'), join(other, 'tool'));
  const { job, run } = setup({ allowed: [join(path, 'tool'), join(path, 'ls')] });
  const faultOf = (program: string) => job.input.safeParse({ command: [program] }).error?.issues[0];
  for (const fine of [join(path, 'tool'), join(path, 'ls'), join(other, 'link', 'tool')]) {
    expect(faultOf(fine), fine).toBeUndefined();
    await run({ command: [fine] });
  }
  // A link beside it to the same file is another program: busybox is all of them.
  for (const bad of [join(path, 'evil'), join(path, 'box'), join(other, 'tool'), sh]) {
    expect(faultOf(bad)).toMatchObject({
      path: ['command', 0],
      message: expect.stringMatching(
        /^The program .* is not allowed\. .* list it in CARILLON_COMMANDS .*; it has .*tool,.*ls\.$/,
      ),
    });
  }
  expect(faultOf('tool')?.message).toContain('absolute path');
});

it('without CARILLON_COMMANDS commands are off', () => {
  const { job } = setup({ allowed: [] });
  const [issue] = job.input.safeParse({ command: [sh] }).error!.issues;
  expect(issue!.message).toContain('it is not set, so that commands are off');
});

it.each([
  ['PATH', 'which code runs'],
  ['LD_PRELOAD', 'which code runs'],
  ['NODE_OPTIONS', 'which code runs'],
  ['CARILLON_RUN_ID', 'which run it is'],
  ['A B', 'Not a name'],
  ['A=B', 'Not a name'],
])('the variable %s is refused', (name, words) => {
  const { job } = setup();
  const [issue] = job.input.safeParse({ command: [sh], env: { [name]: 'x' } }).error!.issues;
  expect(issue).toMatchObject({ path: ['env', name], message: expect.stringContaining(words) });
});

it('of endless output the end is kept, and some of the lines', async () => {
  const { run, log } = setup();
  const program = 'i=0; while [ $i -lt 60000 ]; do echo "line $i of many, to make it long"; i=$((i+1)); done';
  const { stdout, stdoutTruncated, stderrTruncated } = await run({ command: [sh, '-c', program] });
  expect([stdoutTruncated, stderrTruncated]).toEqual([true, undefined]);
  expect(Buffer.byteLength(stdout)).toBeLessThanOrEqual(tailBytesMax);
  expect(Buffer.byteLength(stdout)).toBeGreaterThan(tailBytesMax - 100);
  expect(stdout.endsWith('line 59999 of many, to make it long\n')).toBe(true);
  expect(log.length).toBeLessThan(linesLoggedMax + 110);
  const wide = await setup().run({ command: [sh, '-c', 'yes 中文中文中文 | head -n 60000'] });
  expect(Buffer.byteLength(wide.stdout)).toBeGreaterThan(tailBytesMax - 100);
  expect(wide.stdout.replaceAll('中文中文中文\n', '').length).toBeLessThan(8);
  expect(log[0]).toBe('info line 0 of many, to make it long');
  expect(log.filter((line) => /\d+ lines are left out here/.test(line))).toHaveLength(1);
  expect(log).toContain('info line 59999 of many, to make it long');
});

it('output without end or lines is read no faster than is good for us, until its time is up', async () => {
  const { failure, log } = setup();
  const before = process.memoryUsage.rss();
  const error = await failure({ command: [sh, '-c', 'exec cat /dev/zero'], timeout: '1s' });
  expect(error).toMatchObject({ type: 'Timeout', retryable: true });
  expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 1_024 * 1_024);
  expect(log.join('\n').length).toBeLessThan(1_000);
});

it('binary output becomes text that can be stored, and is never too large', async () => {
  const { run } = setup();
  const { stdout } = await run({ command: [sh, '-c', 'printf "a\\000b\\377\\033[31m\\tc\\r\\n"'] });
  expect(stdout).toBe('a\uFFFDb\uFFFD\uFFFD[31m\tc\r\n');
  const worst = await run({
    command: [sh, '-c', 'head -c 300000 /dev/zero | tr "\\0" "\\""; head -c 300000 /dev/zero >&2'],
  });
  expect(Buffer.byteLength(JSON.stringify(worst))).toBeLessThan(256 * 1_024);
});

it('secrets are taken out of output, lines and errors, also where the end was cut', async () => {
  const value = 'correct-horse-battery-staple';
  const redact = redactorOf(new Map([['token', value]]));
  const { run, failure, log } = setup({ context: { redact } });
  const env = { TOKEN: value };
  const { stdout } = await run({ command: [sh, '-c', 'echo "it is $TOKEN"'], env });
  expect(stdout).toBe('it is [secret:token]\n');
  const error = await failure({ command: [sh, '-c', 'echo "bad $TOKEN" >&2; exit 1'], env });
  expect(error.message).toContain('bad [secret:token]');
  // Wherever the cut falls, none of it is left.
  const flood = 'i=0; while [ $i -lt 30000 ]; do printf "%s " "$TOKEN"; i=$((i+1)); done';
  const flooded = await run({ command: [sh, '-c', flood], env });
  expect(flooded.stdout.length).toBeGreaterThan(20_000);
  expect(flooded.stdout.endsWith('[secret:token] [secret:token] ')).toBe(true);
  for (const part of ['horse', 'battery', 'staple', 'rrect']) {
    expect(flooded.stdout + log.join('\n')).not.toContain(part);
  }
});

it('a timeout ends the whole group, also grandchildren that ignore SIGTERM', async () => {
  const path = await folder();
  const pids = join(path, 'pids');
  const { failure } = setup();
  const stubborn = `trap "" TERM; echo $$ >> ${pids}; while :; do sleep 1; done`;
  const error = await failure({
    command: [sh, '-c', `(sh -c '${stubborn}' &) ; sh -c '${stubborn}' & echo $$ >> ${pids}; wait`],
    timeout: '500ms',
  });
  expect(error).toMatchObject({ type: 'Timeout', message: '/bin/sh took longer than 500ms and was ended.' });
  const all = await pidsIn(pids);
  expect(all).toHaveLength(3);
  await waitFor(async () => (await Promise.all(all.map(isGone))).every(Boolean));
});

it('a cancel ends it with the reason of the signal', async () => {
  const path = await folder();
  const pids = join(path, 'pids');
  const { run, abort } = setup();
  const running = run({ command: [sh, '-c', `echo $$ > ${pids}; sleep 600`] });
  running.catch(() => undefined);
  await waitFor(async () => (await pidsIn(pids)).length === 1);
  abort.abort(new Error('cancelled by hand'));
  await expect(running).rejects.toThrow('cancelled by hand');
  const [pid] = await pidsIn(pids);
  await waitFor(() => isGone(pid!));
});

it('a program may end in order when it is told to, and what it says then is kept', async () => {
  const { failure, log } = setup();
  const error = await failure({
    command: [sh, '-c', 'trap "echo tidied up; exit 0" TERM; while :; do sleep 0.05; done'],
    timeout: '300ms',
  });
  expect(error.type).toBe('Timeout');
  expect(log).toContain('info tidied up');
});

it('what it leaves in the background ends with it, though that holds its output', async () => {
  const path = await folder();
  const pids = join(path, 'pids');
  const { run } = setup();
  const output = await run({ command: [sh, '-c', `sleep 600 & echo $! > ${pids}; echo done`] });
  expect(output.stdout).toBe('done\n');
  const [pid] = await pidsIn(pids);
  await waitFor(() => isGone(pid!));
});
