/** Runs of jobs, asked for over the API. */
import { readFile } from 'node:fs/promises';
import { type BenchNode, pause, rssMb } from './bench-service.ts';

export type EndedRun = {
  id: string;
  status: string;
  durationMs: number;
  finishedAt: string | null;
  error: unknown;
  output: Record<string, unknown>;
  steps: { name: string; startedAt: string; finishedAt: string }[];
};

const pollMs = 100;

export async function call<Answer>(
  node: BenchNode,
  path: string,
  body?: object,
  method = 'POST',
): Promise<Answer> {
  const init = body === undefined ? {} : { method, body: JSON.stringify(body) };
  const response = await fetch(`${node.address}${path}`, init);
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Answer;
}

/**
 * Makes a schedule that never fires by itself, and runs its job once.
 *
 * @returns the run, seconds from the trigger until it was seen to have ended, and the most memory that a process of an isolated
 * run had meanwhile (0 for others)
 */
export async function runOnce(
  node: BenchNode,
  name: string,
  job: { type: string; input: object },
): Promise<{ run: EndedRun; seconds: number; rssMb: number }> {
  await call(node, '/schedules', { name, at: '2999-01-01T00:00:00Z', job });
  const startedAt = performance.now();
  const { id } = await call<{ id: string }>(node, `/schedules/${name}/trigger`, {});
  let most = 0;
  for (;;) {
    for (const pid of await childrenOf(node.pid)) most = Math.max(most, await rssMb(pid).catch(() => 0));
    const run = await call<EndedRun>(node, `/runs/${id}`);
    const seconds = (performance.now() - startedAt) / 1000;
    // What was sought is the time of a success; what else it is would be faster.
    if (run.finishedAt !== null && run.status !== 'succeeded')
      throw new Error(`the run of ${name} ${run.status}: ${JSON.stringify(run.error)}`);
    if (run.finishedAt !== null) return { run, seconds, rssMb: most };
    await pause(pollMs);
  }
}

/** How long one of its steps took, seconds. */
export function stepSeconds(run: EndedRun, name: string): number {
  const step = run.steps.find((each) => each.name === name)!;
  return (Date.parse(step.finishedAt) - Date.parse(step.startedAt)) / 1000;
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}
