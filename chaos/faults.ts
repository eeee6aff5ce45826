/** Does to the nodes, the network and the database what the plan says, and notes from when to when each was wrong. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ChaosPostgres } from './chaos-postgres.ts';
import type { FaultWindow } from './evidence.ts';
import { type Fault, type FaultStep, type KillMoment, restartAfterMs } from './fault-plan.ts';
import type { Fleet, FleetNode } from './fleet.ts';
import type { Seeded } from './seeded.ts';

export type Faults = {
  windows: readonly FaultWindow[];
  /** What could not be tried here, and why. */
  untried: readonly string[];
  play(steps: readonly FaultStep[]): Promise<void>;
  /** Told of each hit at the witness. */
  onHit: (() => void) | null;
};

export type FaultsOptions = {
  fleet: Fleet;
  postgres: ChaosPostgres;
  /** The program of the newer version. */
  newerEntry: string;
  chances: Seeded;
  tell(line: string): void;
};

/** The promise: as before within so long after the fault has healed. */
export const recoveryMs = 45_000;
/** A moment that does not come within this is not waited for. */
const momentMsMax = 4000;
const refillEveryMs = 250;

export function createFaults({ fleet, postgres, newerEntry, chances, tell }: FaultsOptions): Faults {
  const windows: FaultWindow[] = [];
  const untried: string[] = [];

  const dispatchers = fleet.nodes.filter((node) => node.roles.includes('dispatcher'));
  const faults: Faults = {
    windows,
    untried,
    onHit: null,
    async play(steps) {
      const fromMs = performance.now();
      const running = steps.map(async (step) => {
        await delay(Math.max(0, fromMs + step.atMs - performance.now()));
        await Promise.all(step.faults.map(doFault));
      });
      await Promise.all(running);
    },
  };
  return faults;

  async function doFault(fault: Fault): Promise<void> {
    const label = labelOf(fault);
    const atMs = Date.now();
    const window: FaultWindow = { label, fromMs: atMs, healedMs: Number.POSITIVE_INFINITY, recoveryMs };
    if (fault.kind === 'freeze' || fault.kind === 'block_loop') window.isFreeze = true;
    // From the beginning, so that it is known also when the run is cut short.
    windows.push(window);
    tell(`  ${label}`);
    try {
      const silence = await heal(fault);
      if (silence !== undefined) window.nobodyDispatched = silence;
    } finally {
      window.healedMs = Date.now();
      tell(`  ${label}: healed after ${((window.healedMs - atMs) / 1000).toFixed(1)} s`);
    }
  }

  /** Resolves when all is as it was. Answers from when to when at least nobody can have dispatched, where that is so. */
  async function heal(fault: Fault): Promise<FaultWindow['nobodyDispatched'] | undefined> {
    const node = 'node' in fault ? fleet.nodes[fault.node]! : fleet.nodes[0]!;
    switch (fault.kind) {
      case 'kill':
        if (fault.moment === 'random') await delay(chances.int(0, 1000));
        else await moment(node, fault.moment);
        await node.end('SIGKILL');
        return void (await node.ready());
      case 'kill_all': {
        await Promise.all(fleet.nodes.map((each) => each.end('SIGKILL')));
        const fromMs = Date.now();
        await Promise.all(fleet.nodes.map((each) => each.ready()));
        // When they began to dispatch again nobody has seen; not before they were started.
        return { fromMs, untilMs: fromMs + restartAfterMs };
      }
      case 'terminate':
        await node.end('SIGTERM');
        return void (await node.ready());
      case 'freeze':
        node.signal('SIGSTOP');
        await delay(fault.forMs);
        node.signal('SIGCONT');
        return void (await node.ready());
      case 'block_loop':
        node.signal('SIGUSR2');
        await delay(fault.forMs);
        return void (await node.ready());
      case 'postgres_fast':
      case 'postgres_kill': {
        await postgres.end(fault.kind === 'postgres_fast' ? 'fast' : 'kill');
        const fromMs = Date.now();
        await delay(fault.downMs);
        const untilMs = Date.now();
        await postgres.start();
        await anyReady();
        return { fromMs, untilMs };
      }
      case 'cut':
        node.proxy.cut();
        return void (await node.ready());
      case 'refuse':
      case 'half_open':
        node.proxy.setMode({ kind: fault.kind });
        await delay(fault.forMs);
        node.proxy.setMode({ kind: 'pass' });
        return void (await node.ready());
      case 'lose_commits': {
        for (const { proxy } of fleet.nodes) proxy.loseAnswerOf = () => chances.int(1, fault.oneIn) === 1;
        await delay(fault.forMs);
        for (const { proxy } of fleet.nodes) proxy.loseAnswerOf = null;
        return void (await Promise.all(fleet.nodes.map((each) => each.ready())));
      }
      case 'slow': {
        const delayMs = () => fault.delayMs * (0.5 + chances.next() / 2);
        for (const { proxy } of fleet.nodes) proxy.setMode({ kind: 'slow', delayMs });
        await delay(fault.forMs);
        for (const { proxy } of fleet.nodes) proxy.setMode({ kind: 'pass' });
        return void (await Promise.all(fleet.nodes.map((each) => each.ready())));
      }
      case 'read_only':
        await postgres.readOnly(true);
        await delay(fault.forMs);
        await postgres.readOnly(false);
        return void (await Promise.all(fleet.nodes.map((each) => each.ready())));
      case 'disk_full':
        if (postgres.fillDisk === null) {
          untried.push('disk full: a small disk could not be mounted here');
          return;
        }
        // First the tables cannot grow; then the log of changes has no room either, and Postgres cannot go on at all.
        await keepFull(postgres.fillDisk, fault.forMs / 2);
        await postgres.spendLog();
        await keepFull(postgres.fillDisk, fault.forMs / 2);
        if (await postgres.takesWrites()) untried.push('disk full: Postgres did not notice');
        await postgres.freeDisk();
        // Where it cannot write its log it ends itself.
        await postgres.start();
        return void (await Promise.all(fleet.nodes.map((each) => each.ready())));
      case 'clock_off':
        node.clockShiftMs = fault.shiftMs;
        await node.end('SIGTERM');
        await node.ready();
        // Its next start is right again.
        node.clockShiftMs = 0;
        return;
      case 'update':
        node.entry = newerEntry;
        await node.end('SIGTERM');
        return void (await node.ready());
      case 'long_transaction':
        return void (await postgres.readForLong('runs', fault.forMs));
    }
  }

  /** Whatever room Postgres makes meanwhile is taken as well. */
  async function keepFull(fill: () => Promise<void>, forMs: number): Promise<void> {
    const untilMs = performance.now() + forMs;
    while (performance.now() < untilMs) {
      await fill();
      await delay(refillEveryMs);
    }
  }

  /** Not all: another fault may have one of them for longer. */
  async function anyReady(): Promise<void> {
    await Promise.race(dispatchers.map((each) => each.ready()));
  }

  /** Resolves just when the node is at it, or after a while without. */
  async function moment(node: FleetNode, which: KillMoment): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const kill = () => {
      // At once: not after the promises that wait.
      node.signal('SIGKILL');
      resolve();
    };
    if (which === 'at_effect') faults.onHit = kill;
    else {
      const statement = which === 'while_completing' ? /^end_runs/ : /^start_runs/;
      const at = which === 'after_claim' ? 'answered' : 'sent';
      node.proxy.onEdge = (edge, now) => {
        if (statement.test(edge.what) && now === at) kill();
      };
    }
    const timer = setTimeout(resolve, momentMsMax);
    // The kill at the moment counts as asked for.
    node.expectKill();
    await promise;
    clearTimeout(timer);
    faults.onHit = null;
    node.proxy.onEdge = null;
  }
}

export function labelOf(fault: Fault): string {
  const { kind, ...rest } = fault;
  const details = Object.entries(rest).map(([name, value]) => `${name} ${value}`);
  return [kind.replaceAll('_', ' '), ...details].join(', ');
}
