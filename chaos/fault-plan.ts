/** Which faults come when. Pure: the same seed, the same plan. */
import { type Seeded, seeded } from './seeded.ts';

/** Where a node is killed, by what it is just doing. */
export const killMoments = ['before_claim', 'after_claim', 'at_effect', 'while_completing'] as const;
export type KillMoment = (typeof killMoments)[number];

export type Fault =
  | { kind: 'kill'; node: number; moment: KillMoment | 'random' }
  | { kind: 'kill_all' }
  | { kind: 'terminate'; node: number }
  | { kind: 'freeze'; node: number; forMs: number }
  | { kind: 'block_loop'; node: number; forMs: number }
  | { kind: 'postgres_fast'; downMs: number }
  | { kind: 'postgres_kill'; downMs: number }
  | { kind: 'cut'; node: number }
  | { kind: 'refuse'; node: number; forMs: number }
  | { kind: 'half_open'; node: number; forMs: number }
  | { kind: 'lose_commits'; forMs: number; oneIn: number }
  | { kind: 'slow'; forMs: number; delayMs: number }
  | { kind: 'read_only'; forMs: number }
  | { kind: 'disk_full'; forMs: number }
  | { kind: 'clock_off'; node: number; shiftMs: number }
  /** The node is stopped in order and comes back as the newer version, which migrates the database. */
  | { kind: 'update'; node: number }
  /** Somebody reads `runs` in one transaction, as a backup does: whoever wants to change the table must wait. */
  | { kind: 'long_transaction'; forMs: number };

export type FaultKind = Fault['kind'];

/** `lastsMs` is what it takes at most, its repair included. */
export type FaultStep = { atMs: number; lastsMs: number; faults: readonly Fault[] };

export const nodeCount = 3;
/** After a kill, before the node is started again. */
export const restartAfterMs = 1500;
const hourMs = 3_600_000;

/** `only`: these kinds alone, again and again. */
export function planFaults(options: {
  seed: number;
  loadMs: number;
  short: boolean;
  only: readonly FaultKind[] | null;
}): FaultStep[] {
  if (options.only !== null) return onlyFaults(options.seed, options.loadMs, options.only);
  return options.short ? shortFaults(options.seed) : fullFaults(options);
}

/**
 * What matters most, within half a minute; the kill first, since what it took away is back 35 s later. One worker is
 * killed and comes back as it was, the other is updated: both versions are there from then on.
 */
function shortFaults(seed: number): FaultStep[] {
  const chances = seeded(seed, 'faults');
  const node = () => chances.int(0, nodeCount - 1);
  const worker = chances.int(0, 1);
  const database = chances.pick(['postgres_kill', 'postgres_fast'] as const);
  return [
    {
      atMs: 2500,
      lastsMs: 3000,
      faults: [{ kind: 'kill', node: worker, moment: chances.pick(killMoments) }],
    },
    {
      atMs: 6000,
      lastsMs: 5000,
      faults: [
        { kind: 'update', node: 1 - worker },
        { kind: 'long_transaction', forMs: 3000 },
      ],
    },
    { atMs: 11_500, lastsMs: 3500, faults: [{ kind: 'lose_commits', forMs: 3500, oneIn: 4 }] },
    // Longer than what counts as an outage for certain.
    {
      atMs: 15_500,
      lastsMs: 8000,
      faults: [{ kind: database, downMs: chances.int(5500, 6000) }],
    },
    { atMs: 24_000, lastsMs: 4000, faults: [{ kind: 'freeze', node: node(), forMs: 4000 }] },
    { atMs: 27_000, lastsMs: 1000, faults: [{ kind: 'cut', node: node() }] },
  ];
}

/** Each fault by itself. */
function faultsAlone(seed: number): Fault[][] {
  const chances = seeded(seed, 'faults');
  const node = () => chances.int(0, nodeCount - 1);
  const worker = () => chances.int(0, 1);
  const kill = (moment: KillMoment | 'random'): Fault[] => [{ kind: 'kill', node: worker(), moment }];
  return [
    ...killMoments.map(kill),
    kill('random'),
    [{ kind: 'kill_all' }],
    [{ kind: 'terminate', node: 0 }],
    [{ kind: 'terminate', node: 1 }],
    // A worker becomes a zombie; who only dispatches has nothing to write late.
    [{ kind: 'freeze', node: worker(), forMs: 42_000 }],
    [{ kind: 'freeze', node: 2, forMs: 6000 }],
    [{ kind: 'postgres_fast', downMs: 500 }],
    [{ kind: 'postgres_kill', downMs: chances.int(3000, 6000) }],
    [{ kind: 'postgres_kill', downMs: 200 }],
    [{ kind: 'cut', node: node() }],
    [{ kind: 'refuse', node: worker(), forMs: 8000 }],
    [{ kind: 'half_open', node: worker(), forMs: 35_000 }],
    [{ kind: 'lose_commits', forMs: 8000, oneIn: 3 }],
    [{ kind: 'slow', forMs: 12_000, delayMs: chances.int(100, 300) }],
    [{ kind: 'slow', forMs: 10_000, delayMs: 1000 }],
    [{ kind: 'block_loop', node: worker(), forMs: 60_000 }],
    [{ kind: 'read_only', forMs: 6000 }],
    [{ kind: 'disk_full', forMs: 8000 }],
    [{ kind: 'clock_off', node: node(), shiftMs: shiftOf(chances) }],
  ];
}

const shiftOf = (chances: Seeded) => chances.pick([-24 * hourMs, -hourMs, hourMs, 24 * hourMs]);

function mixtures(seed: number): Fault[][] {
  const chances = seeded(seed, 'mixtures');
  return [
    [
      { kind: 'freeze', node: 0, forMs: 33_000 },
      { kind: 'postgres_kill', downMs: 3000 },
    ],
    [
      { kind: 'kill', node: 1, moment: 'at_effect' },
      { kind: 'slow', forMs: 8000, delayMs: 300 },
    ],
    [
      { kind: 'clock_off', node: 2, shiftMs: shiftOf(chances) },
      { kind: 'lose_commits', forMs: 6000, oneIn: 3 },
    ],
    [{ kind: 'kill_all' }, { kind: 'postgres_kill', downMs: 4000 }],
    [
      { kind: 'half_open', node: 2, forMs: 12_000 },
      { kind: 'terminate', node: 0 },
    ],
  ];
}

/**
 * Each kind at least once where there is time, then mixtures; long quiet stretches at both ends and in the middle. The
 * first node is updated at the beginning and the others late: in between all happens to two versions side by side.
 */
function fullFaults({ seed, loadMs }: { seed: number; loadMs: number }): FaultStep[] {
  const chances = seeded(seed, 'order');
  const [first, ...others] = chances.shuffle([0, 1, 2]);
  const order: Fault[][] = [
    [
      { kind: 'update', node: first! },
      { kind: 'long_transaction', forMs: 10_000 },
    ],
    ...chances.shuffle(faultsAlone(seed)),
    ...chances.shuffle(mixtures(seed)),
  ];
  const lateUpdates = others.map((node): Fault[] => [{ kind: 'update', node }]);
  const lateFromMs = loadMs * 0.7;
  const untilMs = loadMs - 20_000;
  const steps: FaultStep[] = [];
  // The backlog of the start has its recovery first.
  let atMs = 70_000;
  let rested = false;
  const add = (faults: readonly Fault[]) => {
    const lastsMs = Math.max(...faults.map(lasting));
    if (atMs + lastsMs > untilMs) return;
    steps.push({ atMs, lastsMs, faults });
    atMs += lastsMs + chances.int(1000, 5000);
  };
  for (const faults of order) {
    if (!rested && atMs > loadMs / 2) {
      // Longer than a recovery may take, so that some of it counts as healthy.
      atMs += 75_000;
      rested = true;
    }
    if (atMs > lateFromMs) for (const update of lateUpdates.splice(0)) add(update);
    add(faults);
  }
  return steps;
}

function onlyFaults(seed: number, loadMs: number, only: readonly FaultKind[]): FaultStep[] {
  const chances = seeded(seed, 'order');
  const updates: Fault[][] = [0, 1, 2].map((node) => [
    { kind: 'update', node },
    { kind: 'long_transaction', forMs: 5000 },
  ]);
  const fitting = [...faultsAlone(seed), ...updates].filter((faults) =>
    faults.some(({ kind }) => only.includes(kind)),
  );
  const steps: FaultStep[] = [];
  let atMs = 8000;
  for (let turn = 0; fitting.length > 0; turn += 1) {
    const faults = fitting[turn % fitting.length]!;
    const lastsMs = Math.max(...faults.map(lasting));
    if (atMs + lastsMs > loadMs - 10_000) return steps;
    steps.push({ atMs, lastsMs, faults });
    atMs += lastsMs + chances.int(1000, 5000);
  }
  return steps;
}

function lasting(fault: Fault): number {
  switch (fault.kind) {
    case 'kill':
    case 'kill_all':
      return restartAfterMs + 4000;
    case 'terminate':
    case 'update':
      return 9000;
    case 'postgres_fast':
    case 'postgres_kill':
      return fault.downMs + 2500;
    case 'cut':
      return 500;
    case 'disk_full':
      // Postgres may have to be started again, and recovers then.
      return fault.forMs + 8000;
    case 'clock_off':
      return 5000;
    default:
      return fault.forMs;
  }
}
