/** Which faults come when. Pure: the same seed, the same plan. */
import { seeded } from './seeded.ts';

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
  | { kind: 'clock_off'; node: number; shiftMs: number };

/** `lastsMs` is what it takes at most, its repair included. */
export type FaultStep = { atMs: number; lastsMs: number; faults: readonly Fault[] };

export const nodeCount = 3;
/** After a kill, before the node is started again. */
export const restartAfterMs = 1500;
const hourMs = 3_600_000;

export function planFaults(options: { seed: number; loadMs: number; short: boolean }): FaultStep[] {
  return options.short ? shortFaults(options.seed) : fullFaults(options);
}

/** What matters most, within half a minute; kills first, since what they took away is back 35 s later. */
function shortFaults(seed: number): FaultStep[] {
  const chances = seeded(seed, 'faults');
  const node = () => chances.int(0, nodeCount - 1);
  const worker = chances.int(0, 1);
  return [
    {
      atMs: 4000,
      lastsMs: 3000,
      faults: [{ kind: 'kill', node: worker, moment: chances.pick(killMoments) }],
    },
    { atMs: 8500, lastsMs: 4000, faults: [{ kind: 'lose_commits', forMs: 4000, oneIn: 4 }] },
    {
      atMs: 13_500,
      lastsMs: 4000,
      faults: [{ kind: chances.pick(['postgres_kill', 'postgres_fast']), downMs: chances.int(2500, 3500) }],
    },
    { atMs: 19_000, lastsMs: 5000, faults: [{ kind: 'freeze', node: node(), forMs: 5000 }] },
    { atMs: 25_000, lastsMs: 1000, faults: [{ kind: 'cut', node: node() }] },
    { atMs: 27_000, lastsMs: 5000, faults: [{ kind: 'terminate', node: 1 - worker }] },
  ];
}

/** Each kind at least once where there is time, then mixtures; long quiet stretches at both ends and in the middle. */
function fullFaults({ seed, loadMs }: { seed: number; loadMs: number }): FaultStep[] {
  const chances = seeded(seed, 'faults');
  const node = () => chances.int(0, nodeCount - 1);
  const worker = () => chances.int(0, 1);
  const shiftMs = () => chances.pick([-24 * hourMs, -hourMs, hourMs, 24 * hourMs]);
  const kill = (moment: KillMoment | 'random'): Fault[] => [{ kind: 'kill', node: worker(), moment }];
  const alone: Fault[][] = [
    ...killMoments.map(kill),
    kill('random'),
    [{ kind: 'kill_all' }],
    [{ kind: 'terminate', node: 0 }],
    [{ kind: 'terminate', node: 1 }],
    [{ kind: 'freeze', node: node(), forMs: 42_000 }],
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
    [{ kind: 'disk_full', forMs: 6000 }],
    [{ kind: 'clock_off', node: node(), shiftMs: shiftMs() }],
  ];
  const mixtures: Fault[][] = [
    [
      { kind: 'freeze', node: 0, forMs: 33_000 },
      { kind: 'postgres_kill', downMs: 3000 },
    ],
    [
      { kind: 'kill', node: 1, moment: 'at_effect' },
      { kind: 'slow', forMs: 8000, delayMs: 300 },
    ],
    [
      { kind: 'clock_off', node: 2, shiftMs: shiftMs() },
      { kind: 'lose_commits', forMs: 6000, oneIn: 3 },
    ],
    [{ kind: 'kill_all' }, { kind: 'postgres_kill', downMs: 4000 }],
    [
      { kind: 'half_open', node: 2, forMs: 12_000 },
      { kind: 'terminate', node: 0 },
    ],
  ];
  const order = [...chances.shuffle(alone), ...chances.shuffle(mixtures)];
  const quietAtEndMs = 20_000;
  const steps: FaultStep[] = [];
  // The backlog of the start has its recovery first.
  let atMs = 70_000;
  let rested = false;
  for (const faults of order) {
    if (!rested && atMs > loadMs / 2) {
      // Longer than a recovery may take, so that some of it counts as healthy.
      atMs += 75_000;
      rested = true;
    }
    const lastsMs = Math.max(...faults.map(lasting));
    if (atMs + lastsMs > loadMs - quietAtEndMs) continue;
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
      return 9000;
    case 'postgres_fast':
    case 'postgres_kill':
      return fault.downMs + 2500;
    case 'cut':
      return 500;
    case 'clock_off':
      return 5000;
    default:
      return fault.forMs;
  }
}
