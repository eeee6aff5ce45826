/**
 * The clients: create, change, pause, resume, trigger, cancel and delete as planned, and log each answer. The calls for one
 * schedule follow each other, so that what was acknowledged last is known. A call that was not answered is made again
 * until it is: but for `trigger`, all are idempotent.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Ack, SeenEnd, Surprise } from './evidence.ts';
import type { FleetNode } from './fleet.ts';
import type { PlannedCall, PlannedOp, PlannedSchedule, PlannedTrigger } from './plan.ts';

export type Load = {
  acks: readonly Ack[];
  surprises: readonly Surprise[];
  seen: readonly SeenEnd[];
  /** Answers by status; `none` where no answer came. */
  answers: ReadonlyMap<string, number>;
  /** Plays the calls; resolves when the last one is answered. */
  play(schedules: readonly PlannedSchedule[], calls: readonly PlannedCall[]): Promise<void>;
  /**
   * Pauses all that is there, and cancels what overlap holds, of which `queue_all` may have minutes; resolves when all of
   * that has been acknowledged.
   */
  pauseAll(): Promise<void>;
  /** What was created so far was created at this instant, and nothing else happened since. */
  turnBack(atMs: number): void;
};

export type LoadOptions = { nodes: readonly FleetNode[]; witnessUrl: string };

type Answer = { status: number; body: Record<string, unknown> | null };
type Known = { definition: PlannedSchedule; scheduleId: string };

/** Longer than any node is frozen: who hangs up early does not know what will still happen. */
const patienceMs = 170_000;
const pauseMs = 400;

export function createLoad({ nodes, witnessUrl }: LoadOptions): Load {
  const acks: Ack[] = [];
  const surprises: Surprise[] = [];
  const seen: SeenEnd[] = [];
  const answers = new Map<string, number>();
  const known = new Map<string, Known>();
  const turns = new Map<string, Promise<void>>();
  let calls = 0;

  const count = (status: string) => answers.set(status, (answers.get(status) ?? 0) + 1);

  async function once(method: string, path: string, body?: unknown): Promise<Answer | null> {
    calls += 1;
    const apis = nodes.filter((node) => node.roles.includes('api') && node.address !== null);
    const node = apis[calls % Math.max(1, apis.length)];
    if (node === undefined) return null;
    try {
      const response = await fetch(`${node.address}${path}`, {
        method,
        signal: AbortSignal.timeout(patienceMs),
        ...(body !== undefined && {
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        }),
      });
      const text = await response.text();
      count(String(response.status));
      return { status: response.status, body: text === '' ? null : JSON.parse(text) };
    } catch {
      count('none');
      return null;
    }
  }

  /** Until there is an answer that says what became of it. */
  async function settled(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<Answer & { sentMs: number; tries: number }> {
    const sentMs = Date.now();
    for (let tries = 1; ; tries += 1) {
      const answer = await once(method, path, body);
      if (answer !== null && answer.status < 500) return { ...answer, sentMs, tries };
      await delay(pauseMs);
    }
  }

  function surprise(what: string, { status, body }: Answer): void {
    surprises.push({
      atMs: Date.now(),
      what: `${what} answered ${status}: ${JSON.stringify(body)?.slice(0, 300)}`,
    });
  }

  function specOf({
    name,
    trigger,
    overlap,
    catchUp,
    jitter,
    job,
  }: PlannedSchedule): Record<string, unknown> {
    const address = `${witnessUrl}/?delay=${job.delayMs}`;
    return {
      name,
      ...trigger,
      overlap,
      catchUp,
      jitter,
      job: {
        type: job.type,
        input:
          job.type === 'stepping'
            ? { url: address, ignoresAbort: job.ignoresAbort }
            : {
                url: `${address}&oneIn=${job.failsOneIn}&status=${job.failStatus}`,
                // A zombie that wakes must find an answer, not that it has waited too long.
                timeout: '70s',
              },
        timeout: job.timeout,
        retry: job.retry,
      },
    };
  }

  async function create(definition: PlannedSchedule): Promise<void> {
    const answer = await settled('POST', '/schedules', specOf(definition));
    let { body } = answer;
    if (answer.status === 409 && answer.tries > 1) {
      // An earlier try was heard after all.
      body = (await settled('GET', `/schedules/${definition.name}`)).body;
    } else if (answer.status !== 201) return surprise(`POST ${definition.name}`, answer);
    const scheduleId = String(body!.id);
    known.set(definition.name, { definition, scheduleId });
    acks.push({
      kind: 'create',
      name: definition.name,
      scheduleId,
      sentMs: answer.sentMs,
      ackMs: Date.now(),
      definition,
      version: Number(body!.version),
    });
  }

  async function change(
    name: string,
    ack: Pick<Ack, 'kind' | 'definition' | 'catchUp' | 'label'>,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<void> {
    const of = known.get(name)!;
    const answer = await settled(method, path, body);
    if (answer.status !== 200) return surprise(`${method} ${path}`, answer);
    if (answer.body!.id !== of.scheduleId) surprise(`${method} ${path}, of another id,`, answer);
    if (ack.definition !== undefined) of.definition = ack.definition;
    acks.push({
      ...ack,
      name,
      scheduleId: of.scheduleId,
      sentMs: answer.sentMs,
      ackMs: Date.now(),
      version: Number(answer.body!.version),
    });
  }

  const without = (trigger: PlannedTrigger) =>
    'every' in trigger
      ? { cron: null, ...trigger, offset: trigger.offset ?? null }
      : { every: null, offset: null, ...trigger };

  async function act(name: string, op: PlannedOp): Promise<void> {
    const of = known.get(name);
    if (of === undefined) return;
    const path = `/schedules/${name}`;
    switch (op.kind) {
      case 'pause':
        return await change(name, { kind: 'pause' }, 'POST', `${path}/pause`);
      case 'resume':
        return await change(name, { kind: 'resume', catchUp: op.catchUp }, 'POST', `${path}/resume`, {
          catchUp: op.catchUp,
        });
      case 'relabel': {
        const label = String(calls);
        return await change(name, { kind: 'relabel', label }, 'PATCH', path, { labels: { n: label } });
      }
      case 'change': {
        const definition = { ...of.definition, trigger: op.trigger };
        return await change(name, { kind: 'change', definition }, 'PATCH', path, without(op.trigger));
      }
      case 'reschedule': {
        const definition = { ...of.definition, trigger: op.trigger };
        return await change(name, { kind: 'change', definition }, 'POST', `${path}/reschedule`, op.trigger);
      }
      case 'put': {
        const definition = { ...of.definition, trigger: op.trigger };
        const label = acks.findLast(
          (ack) => ack.scheduleId === of.scheduleId && ack.label !== undefined,
        )?.label;
        const labels = label === undefined ? {} : { labels: { n: label } };
        return await change(name, { kind: 'change', definition }, 'PUT', path, {
          ...specOf(definition),
          ...labels,
        });
      }
      case 'delete':
        await remove(name, of);
        return await create(of.definition);
      case 'trigger':
        return await trigger(name, of);
      case 'cancel':
        return await cancel(name, of);
      case 'look':
        return void (await look(name));
    }
  }

  async function remove(name: string, of: Known): Promise<void> {
    const answer = await settled('DELETE', `/schedules/${name}`);
    const isGone = answer.status === 204 || (answer.status === 404 && answer.tries > 1);
    if (!isGone) return surprise(`DELETE ${name}`, answer);
    known.delete(name);
    acks.push({ kind: 'delete', name, scheduleId: of.scheduleId, sentMs: answer.sentMs, ackMs: Date.now() });
  }

  async function trigger(name: string, of: Known): Promise<void> {
    const sentMs = Date.now();
    const answer = await once('POST', `/schedules/${name}/trigger`);
    if (answer === null || answer.status >= 500) return;
    if (answer.status !== 202) return surprise(`trigger ${name}`, answer);
    const runId = String(answer.body!.id);
    acks.push({ kind: 'trigger', name, scheduleId: of.scheduleId, sentMs, ackMs: Date.now(), runId });
  }

  async function cancel(name: string, of: Known): Promise<void> {
    const run = (await look(name)).find((each) => each.finishedAt === null);
    if (run !== undefined) await cancelRun(name, of, run.id);
  }

  async function cancelHeld(name: string, of: Known): Promise<void> {
    for (;;) {
      const held = await settled('GET', `/schedules/${name}/runs?status=queued&limit=200`);
      const { items } = held.body as { items: Shown[] };
      if (items.length === 0) return;
      // Newest first, as they are listed: else each would be released before its turn to be cancelled came.
      for (const { id } of items) await cancelRun(name, of, id);
    }
  }

  async function cancelRun(name: string, of: Known, runId: string): Promise<void> {
    const answer = await settled('POST', `/runs/${runId}/cancel`);
    // Over in the meantime.
    if (answer.status === 409) return;
    if (answer.status !== 200 && answer.status !== 202) return surprise(`cancel of ${runId}`, answer);
    acks.push({
      kind: 'cancel',
      name,
      scheduleId: of.scheduleId,
      sentMs: answer.sentMs,
      ackMs: Date.now(),
      runId,
    });
  }

  type Shown = { id: string; status: string; attempt: number; finishedAt: string | null };

  async function look(name: string): Promise<Shown[]> {
    const answer = await settled('GET', `/schedules/${name}/runs?limit=20`);
    if (answer.status !== 200) {
      surprise(`GET ${name}/runs`, answer);
      return [];
    }
    const { items } = answer.body as { items: Shown[] };
    for (const { id, status, attempt, finishedAt } of items) {
      if (finishedAt === null) continue;
      seen.push({ runId: id, status, attempt, finishedAtMs: Date.parse(finishedAt), seenMs: Date.now() });
    }
    return items;
  }

  function queue(name: string, work: () => Promise<void>): Promise<void> {
    const next = (turns.get(name) ?? Promise.resolve()).then(work);
    turns.set(name, next);
    return next;
  }

  return {
    acks,
    surprises,
    seen,
    answers,
    turnBack(atMs) {
      for (const ack of acks) Object.assign(ack, { sentMs: atMs, ackMs: atMs });
    },
    async play(schedules, planned) {
      const fromMs = performance.now();
      const at = async (atMs: number) => await delay(Math.max(0, fromMs + atMs - performance.now()));
      const all = [
        ...schedules.map(async (definition) => {
          await at(definition.createAtMs);
          await queue(definition.name, () => create(definition));
        }),
        ...planned.map(async ({ atMs, name, op }) => {
          await at(atMs);
          await queue(name, () => act(name, op));
        }),
      ];
      await Promise.all(all);
    },
    async pauseAll() {
      await Promise.all(
        [...known].map(([name, of]) =>
          queue(name, async () => {
            await act(name, { kind: 'pause' });
            if (of.definition.overlap === 'queue_all') await cancelHeld(name, of);
          }),
        ),
      );
    },
  };
}
