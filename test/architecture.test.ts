/** Keeps the "Never" list of DESIGN §8, by reading the imports. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../src', import.meta.url));

/** `to` is a file under src (`db/client.ts`) or a package. `names` is what stands between the braces. */
type Import = { from: string; to: string; typeOnly: boolean; names: string[] };

/** Path under src → text without comments. */
const files = new Map<string, string>();
let imports: Import[] = [];

beforeAll(async () => {
  for (const name of await readdir(root, { recursive: true })) {
    if (name.endsWith('.ts')) files.set(name, withoutComments(await readFile(join(root, name), 'utf8')));
  }
  imports = [...files].flatMap(([from, text]) => importsOf(from, text));
});

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}

function importsOf(from: string, text: string): Import[] {
  const clauses =
    /^(?:import|export)\s+(type\s+)?(\{[^}]*\}|\*(?:\s+as\s+\w+)?|\w+(?:\s*,\s*\{[^}]*\})?)\s+from\s+'([^']+)'/gm;
  const found = [...text.matchAll(clauses)].map(([, type, clause = '', to = '']): Import => {
    const names = clause
      .replace(/[{}]/g, '')
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
    const typeOnly = type !== undefined || names.every((name) => name.startsWith('type '));
    return { from, to: resolve(from, to), typeOnly, names: names.map((name) => name.replace(/^type /, '')) };
  });
  const others = [...text.matchAll(/^import\s+'([^']+)'|\bimport\(\s*'([^']+)'/gm)].map(
    ([, effect, dynamic]): Import => {
      return { from, to: resolve(from, effect ?? dynamic ?? ''), typeOnly: false, names: [] };
    },
  );
  return [...found, ...others];
}

function resolve(from: string, to: string): string {
  return to.startsWith('.') ? normalize(join(dirname(from), to)) : to;
}

const folder = (path: string) => path.split('/')[0]!;
const isOurs = (path: string) => files.has(path);

/** Imports from one folder into others, as text, but for those that are excused. */
function crossings(from: string, to: readonly string[], excused: (each: Import) => boolean = () => false) {
  return imports
    .filter((each) => folder(each.from) === from && isOurs(each.to) && to.includes(folder(each.to)))
    .filter((each) => !excused(each))
    .map((each) => `${each.from} → ${each.to}`);
}

/** Lines of the program that match, but for those in files that may have them. */
function lines(pattern: RegExp, mayHave: readonly string[]): string[] {
  return [...files].flatMap(([name, text]) =>
    mayHave.includes(name)
      ? []
      : text
          .split('\n')
          .filter((line) => pattern.test(line))
          .map((line) => `${name}: ${line.trim()}`),
  );
}

describe('the reader of imports', () => {
  it('sees all of them', () => {
    expect(files.size).toBeGreaterThan(80);
    const text = [...files.values()].join('\n');
    expect(imports.length).toBe([...text.matchAll(/^(import\b|export\s.*\sfrom\s)|\bimport\(\s*'/gm)].length);
    for (const each of imports) if (each.to.endsWith('.ts')) expect(files.has(each.to)).toBe(true);
  });
});

describe('the layers', () => {
  it('db imports nothing above it but types, and the pure files on ids, states and retention', () => {
    const pure = ['runs/run-id.ts', 'runs/run-state.ts', 'runs/retention.ts'];
    const above = ['runs', 'schedules', 'secrets', 'queues', 'jobs', 'notifications', 'dispatcher', 'routes'];
    expect(crossings('db', above, (each) => each.typeOnly || pure.includes(each.to))).toEqual([]);
    // And of the types only those of values, never of what does things.
    const types = [
      'run.ts',
      'run-state.ts',
      'backup.ts',
      'sync-watermark.ts',
      'page.ts',
      'retry-policy.ts',
      'run-id.ts',
      'retention.ts',
    ].map((name) => `runs/${name}`);
    const ofSchedules = [
      ...[
        'schedule.ts',
        'schedule-version.ts',
        'due-times.ts',
        'fire-plan.ts',
        'cron-times.ts',
        'calendar.ts',
        'backfill.ts',
        'notify.ts',
      ],
    ].map((name) => `schedules/${name}`);
    const ofQueues = ['queues/queue-task.ts', 'queues/task-end.ts'];
    expect(
      crossings('db', above, (each) => [...types, ...ofSchedules, ...ofQueues].includes(each.to)),
    ).toEqual([]);
  });

  it.each([
    ['runs', ['schedules', 'queues', 'jobs', 'notifications', 'dispatcher', 'routes']],
    ['secrets', ['schedules', 'queues', 'jobs', 'notifications', 'dispatcher', 'routes']],
    ['queues', ['schedules', 'jobs', 'notifications', 'dispatcher', 'routes']],
    ['schedules', ['queues', 'jobs', 'notifications', 'dispatcher', 'routes']],
    ['routes', ['db', 'dispatcher', 'jobs']],
    ['dispatcher', ['jobs', 'notifications', 'routes']],
    ['jobs', ['notifications', 'dispatcher', 'routes']],
    ['notifications', ['dispatcher', 'routes']],
  ])('%s does not know %j, not even by type', (from, to) => {
    expect(crossings(from, to)).toEqual([]);
  });

  it('only app, routes and what composes them know fastify', () => {
    const know = imports.filter((each) => /^(@fastify\/|fastify)/.test(each.to));
    const may = (path: string) => ['app.ts', 'compose.ts'].includes(path) || folder(path) === 'routes';
    expect(know.filter((each) => !may(each.from)).map((each) => each.from)).toEqual([]);
    expect(know.length).toBeGreaterThan(0);
  });

  it('only db/queue.ts speaks graphile-worker’s SQL', () => {
    expect(lines(/graphile_worker\./, ['db/queue.ts'])).toEqual([]);
  });

  it('only stores speak SQL at all', () => {
    const speak = imports.filter((each) => /^(drizzle-orm|db\/drizzle\.ts$)/.test(each.to));
    expect(speak.filter((each) => folder(each.from) !== 'db').map((each) => each.from)).toEqual([]);
    expect(speak.length).toBeGreaterThan(0);
  });

  it('only db/drizzle.ts imports drizzle, in the way that is fast', () => {
    const others = imports.filter((each) => each.to.startsWith('drizzle-orm') && !each.typeOnly);
    expect(others.filter((each) => each.from !== 'db/drizzle.ts').map((each) => each.from)).toEqual([]);
    expect(lines(/require\('drizzle-orm/, ['db/drizzle.ts'])).toEqual([]);
  });

  it('no file needs itself, round whatever corner', () => {
    const needs = new Map<string, string[]>();
    for (const { from, to, typeOnly } of imports) {
      if (!typeOnly && isOurs(to)) needs.set(from, [...(needs.get(from) ?? []), to]);
    }
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      if (path.includes(file) || done.has(file)) return;
      for (const next of needs.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of files.keys()) visit(file, []);
    expect(circles).toEqual([]);
  });
});

describe('pure files', () => {
  /** In these folders every file is pure but for those that are named. */
  const impure = [
    'schedules/breath.ts',
    'schedules/calendar-book.ts',
    'schedules/apply-service.ts',
    'schedules/calendar-service.ts',
    'schedules/commands.ts',
    'schedules/definition-checks.ts',
    'schedules/explain-service.ts',
    'schedules/nearest-times.ts',
    'schedules/group-service.ts',
    'schedules/history-service.ts',
    'schedules/hold.ts',
    'schedules/outlook-service.ts',
    'schedules/schedule-service.ts',
    'schedules/schedule-view.ts',
    'schedules/backfill-service.ts',
    'schedules/expiry.ts',
    'schedules/settle.ts',
    'schedules/upcoming.ts',
    'schedules/watermark-service.ts',
    'runs/backup-service.ts',
    'runs/run-service.ts',
    'runs/schedule-id.ts',
    'runs/batcher.ts',
    'queues/queue-service.ts',
  ];
  const besides = [
    ...[
      'duration.ts',
      'errors.ts',
      'merge-patch.ts',
      'nearest-name.ts',
      'zod-fields.ts',
      'zod-words.ts',
      'db/json.ts',
    ],
    ...['notifications/message.ts', 'notifications/deliveries.ts'],
  ];
  /** They compute and do nothing else. */
  const packages = ['node:crypto', 'node:util', 'zod', 'ical.js', 'cronstrue/i18n.js'];
  const isPure = (path: string) =>
    besides.includes(path) ||
    (['schedules', 'runs', 'queues'].includes(folder(path)) && !impure.includes(path));

  it('import only pure files', () => {
    const wrong = imports.filter(({ from, to, typeOnly, names }) => {
      if (!isPure(from) || isPure(to) || packages.includes(to)) return false;
      // Of the clock they may have what only writes times, not what tells the time.
      if (to === 'clock.ts') return !typeOnly && names.some((name) => !['toIso', 'toDate'].includes(name));
      return true;
    });
    expect(wrong.map((each) => `${each.from} → ${each.to}`)).toEqual([]);
  });

  it('neither wait, nor look at the time, nor at the process', () => {
    const pattern = /\bset(Timeout|Interval|Immediate)\(|\bperformance\.|\bprocess\.|\bawait\b|Math\.random/;
    const not = [...files.keys()].filter((name) => !isPure(name));
    expect(lines(pattern, not)).toEqual([]);
  });

  it('are where the list says', () => {
    for (const name of [...impure, ...besides]) expect(files.has(name)).toBe(true);
  });
});

describe('the outside', () => {
  it('only the programs and config read the environment', () => {
    expect(lines(/process\.env/, ['main.ts', 'restore.ts', 'config.ts'])).toEqual([]);
  });

  it('only the clock tells the time: a Date is made of an argument, or not at all', () => {
    expect(lines(/\bDate\.now\(|\bnew Date\(\s*\)|\bTemporal\.Now\b/, ['clock.ts'])).toEqual([]);
  });

  it('and no statement asks the database for it, but for the one that the clock is set by', () => {
    const words =
      /(?<![.\w])now\(\)(?!\s*[:{])|current_timestamp|current_date|localtimestamp|statement_timestamp/i;
    expect(lines(words, [])).toEqual([]);
    expect(lines(/clock_timestamp/, [])).toEqual([
      expect.stringMatching(/^db\/client\.ts: 'select extract\(epoch from clock_timestamp\(\)\)/),
    ]);
  });

  it('the migrations set no time either', async () => {
    const folder = fileURLToPath(new URL('../migrations', import.meta.url));
    for (const name of await readdir(folder)) {
      if (!name.endsWith('.sql')) continue;
      const text = await readFile(join(folder, name), 'utf8');
      expect(text).not.toMatch(/\bnow\(\)|current_timestamp|clock_timestamp/i);
    }
  });
});

describe('files', () => {
  it('have names of their own, so that a name is enough to find one', () => {
    const names = [...files.keys()].map((path) => basename(path));
    const seen = new Set<string>();
    // A resource has its routes, and may have a file of its own below them.
    const twice = names.filter((name) => seen.size === seen.add(name).size);
    expect(twice).toEqual(['health.ts', 'metrics.ts'].filter((name) => twice.includes(name)));
  });

  it('are named after concepts, and none only passes others on', () => {
    const words = /(^|\/)(utils?|common|helpers?|types|interfaces?|manager|misc|index)\.ts$/;
    expect([...files.keys()].filter((path) => words.test(path))).toEqual([]);
    expect(lines(/^export\s+(\*|\{[^}]*\})\s+from\b/, [])).toEqual([]);
  });

  it('import each other by their whole names, as Node wants', () => {
    const short = [...files].flatMap(([name, text]) =>
      [...text.matchAll(/from\s+'(\.[^']*)'/g)].filter((match) => !match[1]!.endsWith('.ts')).map(() => name),
    );
    expect(short).toEqual([]);
  });
});

it('what tests share has no hooks of its own: it is loaded once for many files, and would serve the first alone', async () => {
  const tests = fileURLToPath(new URL('.', import.meta.url));
  const shared = (await readdir(tests, { recursive: true })).filter(
    (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'),
  );
  expect(shared.length).toBeGreaterThan(30);
  const texts = await Promise.all(shared.map((name) => readFile(join(tests, name), 'utf8')));
  expect(shared.filter((_, index) => /^(before|after)(Each|All)\(/m.test(texts[index]!))).toEqual([]);
});
