/**
 * How long one next time takes: ours, croner and cron-parser, in one process on one mix of questions.
 *
 *   npx node bench/cron-bench.ts
 *
 * All three get their expressions compiled beforehand, as their documentation advises. croner's compiled
 * object answers for any instant; cron-parser's keeps its own place, so it is reset to the instant first,
 * and is also timed walking (reset once, then next() after next()), where it has no reset to pay for.
 * The instants are spread over ten years in an order that no cache can guess. Rounds of the three
 * alternate and the median of the rounds counts, so that a busy machine hits all alike.
 */
import { CronExpressionParser } from 'cron-parser';
import { Cron } from 'croner';
import { createCronCache } from '../src/schedules/cron-cache.ts';
import { InvalidCron, parseCron } from '../src/schedules/cron-expression.ts';
import { DST_DEFAULT, nextCron, previousCron } from '../src/schedules/cron-times.ts';

// What people write: every few minutes, hourly, nightly, office hours, weekly, monthly, quarterly, yearly.
const EXPRESSIONS = [
  ...[
    '* * * * *',
    '*/2 * * * *',
    '*/5 * * * *',
    '*/10 * * * *',
    '*/15 * * * *',
    '*/20 * * * *',
    '*/30 * * * *',
  ],
  ...['0 * * * *', '5 * * * *', '17 * * * *', '30 * * * *', '59 * * * *', '0 */2 * * *', '0 */4 * * *'],
  ...['0 */6 * * *', '30 */8 * * *', '0 */12 * * *', '0 0 * * *', '0 1 * * *', '30 1 * * *', '0 2 * * *'],
  ...['15 2 * * *', '30 2 * * *', '0 3 * * *', '45 3 * * *', '0 4 * * *', '0 6 * * *', '0 8,20 * * *'],
  ...['0 12 * * *', '30 23 * * *', '59 23 * * *', '0 0,12 * * *', '0 9 * * 1-5', '30 9 * * 1-5'],
  ...[
    '0 9-17 * * 1-5',
    '*/15 9-17 * * 1-5',
    '0 18 * * 5',
    '0 0 * * 0',
    '0 3 * * 0',
    '0 6 * * 1',
    '0 0 1 * *',
  ],
  ...['0 5 1 * *', '0 0 15 * *', '0 0 1,15 * *', '0 0 1 */3 *', '0 0 1 1 *', '0 0 28-31 * *', '0 0 29 2 *'],
  ...['0 12 13 * 5', '10 4 * 6-8 1,3,5'],
];

// Without Australia/Lord_Howe, where cron-parser throws (after 10,000 loops) once a year.
const ZONES = [
  ...['UTC', 'Europe/Berlin', 'Europe/London', 'Europe/Dublin', 'Europe/Moscow', 'America/New_York'],
  ...['America/Chicago', 'America/Los_Angeles', 'America/Sao_Paulo', 'America/Santiago', 'Asia/Shanghai'],
  ...['Asia/Tokyo', 'Asia/Kolkata', 'Asia/Kathmandu', 'Asia/Beirut', 'Africa/Cairo', 'Australia/Sydney'],
  ...['Australia/Adelaide', 'Pacific/Auckland', 'Pacific/Kiritimati'],
];

const ROUNDS = 9;
const print = (line: string) => process.stdout.write(`${line}\n`);

type Question = { text: string; zone: string; instant: number };
type Peer = { name: string; next: (question: number) => number };

const questions: Question[] = [];
let state = 12_345;
for (const text of EXPRESSIONS) {
  for (const zone of ZONES) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    questions.push({
      text,
      zone,
      instant: Date.UTC(2021, 0, 1) + Math.floor((state / 2 ** 32) * 10 * 365 * 86_400_000),
    });
  }
}
// Visit them as cards from a shuffled pack: neither by zone nor by expression.
const order = questions.map((_, index) => (index * 617) % questions.length);

const compiled = questions.map(({ text }) => parseCron(text, 'bench'));
const ours: Peer = {
  name: 'carillon',
  next: (i) => nextCron(compiled[i]!, questions[i]!.zone, DST_DEFAULT, instantOf(i)) ?? 0,
};
const croners = questions.map(
  ({ text, zone }) => new Cron(text, { timezone: zone, fixedTimeRule: 'no-wildcard' }),
);
const croner: Peer = {
  name: 'croner',
  next: (i) => croners[i]!.nextRun(new Date(instantOf(i)))?.getTime() ?? 0,
};
const parsers = questions.map(({ text, zone }) => CronExpressionParser.parse(text, { tz: zone }));
const cronParser: Peer = {
  name: 'cron-parser',
  next(i) {
    parsers[i]!.reset(new Date(instantOf(i)));
    return parsers[i]!.next().getTime();
  },
};
const cronParserWalking: Peer = {
  name: 'cron-parser, walking',
  next: (i) => parsers[i]!.next().getTime(),
};

/** Each pass over the questions asks about other instants, some days on. */
let pass = 0;
function instantOf(i: number): number {
  return questions[i]!.instant + pass * 3 * 86_400_000;
}

/** Mean µs per question over `passes` passes. */
function time(peer: Peer, passes: number, asked = order): number {
  let sum = 0;
  const start = process.hrtime.bigint();
  for (let n = 0; n < passes; n++) {
    pass += 1;
    for (const i of asked) sum += peer.next(i);
  }
  const elapsed = Number(process.hrtime.bigint() - start);
  if (!(sum > 0)) throw new Error('no answers');
  return elapsed / 1_000 / (passes * asked.length);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function agreement(peer: Peer): string {
  let same = 0;
  const others: string[] = [];
  let asked = 0;
  for (let n = 0; n < 5; n++) {
    pass += 7;
    for (const i of order) {
      asked += 1;
      const [mine, theirs] = [ours.next(i), attempt(() => peer.next(i))];
      if (mine === theirs) same += 1;
      else {
        const { text, zone } = questions[i]!;
        const shown = typeof theirs === 'number' ? new Date(theirs).toISOString() : theirs;
        others.push(
          `${text} ${zone} after ${new Date(instantOf(i)).toISOString()}: ${new Date(mine).toISOString()}, ${peer.name} ${shown}`,
        );
      }
    }
  }
  return [
    `${peer.name}: ${same} of ${asked} answers are ours`,
    ...others.slice(0, 5).map((line) => `  ${line}`),
  ].join('\n');
}

function attempt(call: () => number): number | string {
  try {
    return call();
  } catch (error) {
    return String(error);
  }
}

function row(...cells: string[]): void {
  print(cells.map((cell, index) => (index === 0 ? cell.padEnd(34) : cell.padStart(14))).join(''));
}

print(`Node ${process.version}, ${EXPRESSIONS.length} expressions x ${ZONES.length} zones`);
print(agreement(croner));
print(agreement(cronParser));
print('');

const plans: [Peer, number][] = [
  [ours, 200],
  [croner, 6],
  [cronParser, 2],
  [cronParserWalking, 2],
];
for (const [peer, passes] of plans) time(peer, Math.ceil(passes / 2));
const times = new Map<Peer, number[]>(plans.map(([peer]) => [peer, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [peer, passes] of plans) {
    // A walking parser starts where the questions start, not where its last round ended.
    if (peer === cronParserWalking) for (const i of order) parsers[i]!.reset(new Date(instantOf(i)));
    times.get(peer)!.push(time(peer, passes));
  }
}
row('one next()', 'median µs', 'best µs', 'x ours');
const base = median(times.get(ours)!);
for (const [peer, all] of times) {
  row(peer.name, median(all).toFixed(3), Math.min(...all).toFixed(3), (median(all) / base).toFixed(1));
}

print('');
row('by expression, median µs', 'carillon', 'croner', 'cron-parser');
for (const text of ['*/5 * * * *', '30 2 * * *', '0 9 * * 1-5', '0 0 1 * *', '0 0 1 1 *', '0 0 29 2 *']) {
  const only = order.filter((i) => questions[i]!.text === text);
  const cells = plans.slice(0, 3).map(([peer, passes]) => {
    const rounds = Array.from({ length: ROUNDS }, () => time(peer, passes, only));
    return median(rounds).toFixed(3);
  });
  row(text, ...cells);
}

print('');
row('ours alone, µs', 'median', 'p99', 'worst');
single('previous()', (n) =>
  previousCron(compiled[n]!, questions[n]!.zone, DST_DEFAULT, questions[n]!.instant),
);
const sundayLeapDay = parseCron('0 0 29 2 */7', 'bench');
single('worst case: 0 0 29 2 */7', (n) =>
  nextCron(sundayLeapDay, questions[n]!.zone, DST_DEFAULT, questions[n]!.instant),
);
single('the same over 40 years, from 1880', () =>
  nextCron(sundayLeapDay, 'America/New_York', DST_DEFAULT, Date.UTC(1880, 2, 1)),
);
single('parse', (n) => parseCron(questions[n]!.text, 'bench'));
const cache = createCronCache(1_000);
single('parse and next(), cached (a herd)', (n) =>
  cache.next('0 2 * * *', `schedule-${n}`, 'Asia/Shanghai', DST_DEFAULT, Date.UTC(2026, 0, 1) + n),
);
for (const text of [
  '0 0 30 2 *',
  '0 0 31 2,4,6,9,11 *',
  '* * * 30,31 2 *',
  '0 0 */31 2 1#2',
  '0 0 30W 2 *',
]) {
  single(`refuse ${text}`, () => {
    try {
      parseCron(text, 'bench');
    } catch (error) {
      if (error instanceof InvalidCron) return;
    }
    throw new Error(`${text} was accepted`);
  });
}

/** Each of 1,000 calls timed alone, the cold ones too; the worst is often the machine's. */
function single(name: string, call: (n: number) => unknown): void {
  const each = questions.map((_, n) => {
    const start = process.hrtime.bigint();
    call(n);
    return Number(process.hrtime.bigint() - start) / 1_000;
  });
  const sorted = each.toSorted((a, b) => a - b);
  row(name, median(each).toFixed(2), sorted[990]!.toFixed(1), sorted[999]!.toFixed(1));
}
