/**
 * "Bad input, at least" of the foundation's issue: each is a 4xx problem that names the field, and leaves nothing
 * behind. Before each there is one schedule with a run, so that something could be harmed.
 */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { noop, setupApi } from '../support/api-house.ts';
import { expectProblem, expectRefused } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('there');
  await api.trigger('there');
});
afterAll(() => api.close());

const ok = { name: 'new', every: '5s', job: noop };
const { every: _every, ...timeless } = ok;
const task = (input: unknown) => ({ ...ok, job: { type: 'task', input } });
const url = 'http://127.0.0.1:3000/';

describe('a schedule with', () => {
  test.each<[string, object, string[], (RegExp | string)?]>([
    ['nothing in it', {}, ['/name', '/job'], /`name` is required\. `job` is required/],
    ['a name of another type', { ...ok, name: 5 }, ['/name'], 'a string, not a number'],
    ['no name', { ...ok, name: null }, ['/name'], 'not null'],
    ['an empty name', { ...ok, name: '' }, ['/name'], '`name` must not be empty'],
    ['a name with a slash', { ...ok, name: 'a/b' }, ['/name']],
    ['a name with a blank', { ...ok, name: 'a b' }, ['/name']],
    ['a name that begins with a dot', { ...ok, name: '.hidden' }, ['/name']],
    ['a name of 300 characters', { ...ok, name: 'x'.repeat(300) }, ['/name'], 'at most 128 characters'],
    ['a name of 129 characters of four bytes', { ...ok, name: '𠀀'.repeat(129) }, ['/name'], 'has 129'],
    ['a name that is a UUID', { ...ok, name: '018f2f6e-7a00-7000-8000-000000000001' }, ['/name']],
    ...['preview', 'apply', 'export', 'pause', 'resume', 'stop'].map(
      (name): [string, object, string[], string] => [
        `the name ${name}`,
        { ...ok, name },
        ['/name'],
        "a word of the API's paths",
      ],
    ),
    [
      'an unknown field',
      { ...ok, evry: '5s' },
      ['/evry'],
      '`evry` is not a known field; perhaps `every` is meant',
    ],
    [
      'an unknown field of a task',
      task({ url, metod: 'GET' }),
      ['/job/input/metod'],
      'perhaps `method` is meant',
    ],
    ['an unknown field in the job', { ...ok, job: { ...noop, x: 1 } }, ['/job/x'], '`job.x` is not a known'],
    [
      'an unknown field in the retry policy',
      { ...ok, job: { ...noop, retry: { tries: 3 } } },
      ['/job/retry/tries'],
    ],
    ['read-only fields', { ...ok, status: 'paused', version: 2 }, ['/status', '/version'], 'read-only'],
    ['two triggers', { ...ok, cron: '* * * * *' }, ['/cron', '/every'], 'Only one of'],
    ['three triggers', { ...ok, cron: '@daily', at: '2027-01-01T00:00:00Z' }, ['/cron', '/every', '/at']],
    ['no trigger', timeless, [''], 'exactly one of `cron`, `every`, `at` and `delay`'],
    ['a null for a trigger', { ...timeless, cron: null }, ['/cron']],
    ['a zone that does not exist', { ...ok, timezone: 'Mars/Olympus' }, ['/timezone'], 'IANA'],
    [
      'a zone that is misspelt',
      { ...ok, timezone: 'Asia/Shangai' },
      ['/timezone'],
      'perhaps "Asia/Shanghai"',
    ],
    ['a zone that is an offset', { ...ok, timezone: '+08:00' }, ['/timezone']],
    ['a zone that is a number', { ...ok, timezone: 8 }, ['/timezone']],
    ['30 February', { ...timeless, cron: '0 0 30 2 *' }, ['/cron'], 'never fires'],
    ['an empty cron', { ...timeless, cron: '' }, ['/cron'], 'is empty'],
    ['a cron of blanks', { ...timeless, cron: '   ' }, ['/cron']],
    ['four fields', { ...timeless, cron: '* * * *' }, ['/cron'], 'has 4 fields'],
    ['seven fields', { ...timeless, cron: '0 0 0 1 1 * 2027' }, ['/cron'], 'has 7 fields'],
    ['a minute of 60', { ...timeless, cron: '60 * * * *' }, ['/cron'], 'minute'],
    ['a step of 61', { ...timeless, cron: '*/61 * * * *' }, ['/cron'], 'minute'],
    ['an unknown word in cron', { ...timeless, cron: '@fortnightly' }, ['/cron']],
    ['a bad cron among good ones', { ...timeless, cron: ['@daily', '* * * *'] }, ['/cron/1'], 'cron[1]'],
    ['an interval of 0 s', { ...ok, every: '0s' }, ['/every'], 'from 1s'],
    ['a negative interval', { ...ok, every: '-5s' }, ['/every'], '`every`: Not a duration'],
    ['a negative jitter', { ...ok, jitter: '-5s' }, ['/jitter']],
    ['a negative window', { ...ok, catchUpWindow: '-1h' }, ['/catchUpWindow']],
    ['a negative timeout', { ...ok, job: { ...noop, timeout: '-1h' } }, ['/job/timeout']],
    ['an interval that is a number', { ...ok, every: 5 }, ['/every'], 'must be a string'],
    ['an interval of a million years', { ...ok, every: '365000000d' }, ['/every']],
    ['an interval of 400 digits', { ...ok, every: `${'9'.repeat(400)}s` }, ['/every']],
    ['a local time', { ...timeless, at: '2027-01-01T00:00:00' }, ['/at'], 'RFC 3339'],
    ['30 February as a date', { ...timeless, at: '2027-02-30T00:00:00Z' }, ['/at'], 'not in the calendar'],
    ['a number for a time', { ...timeless, at: 1_800_000_000 }, ['/at']],
    [
      'an end before the start',
      { ...ok, startAt: '2027-01-02T00:00:00Z', endAt: '2027-01-01T00:00:00Z' },
      ['/endAt'],
    ],
    ['an unknown overlap policy', { ...ok, overlap: 'sometimes' }, ['/overlap']],
    ['an unknown catch-up policy', { ...ok, catchUp: 'most' }, ['/catchUp'], '"none", "latest" or "all"'],
    ['no runs at all', { ...ok, maxRuns: 0 }, ['/maxRuns']],
    ['runs without number', { ...ok, maxRuns: 'many' }, ['/maxRuns']],
    ['runs beyond all bounds', { ...ok, maxRuns: 1e300 }, ['/maxRuns'], 'at most 1000000000'],
    ['labels that are a list', { ...ok, labels: ['team:data'] }, ['/labels'], 'an object, not an array'],
    ['a label that is an object', { ...ok, labels: { team: {} } }, ['/labels/team']],
    [
      'a job type that does not exist',
      { ...ok, job: { type: 'teleport' } },
      ['/job/type'],
      'Known are: noop',
    ],
    ['a job type called constructor', { ...ok, job: { type: 'constructor' } }, ['/job/type']],
    ['a job type called __proto__', { ...ok, job: { type: '__proto__' } }, ['/job/type']],
    ['a job that is null', { ...ok, job: null }, ['/job']],
    [
      'an input that its job does not know',
      { ...ok, job: { ...noop, input: { a: 1 } } },
      ['/job/input/a'],
      '`input.a` is not a known field',
    ],
    ['an input that lacks something', task({}), ['/job/input/url'], '`input.url` is required.'],
    ['no input where one is needed', { ...ok, job: { type: 'task' } }, ['/job/input/url']],
    [
      'a command that nobody has allowed',
      task({ command: ['/bin/sh', '-c', 'true'] }),
      ['/job/input/command/0'],
      'must list it in CARILLON_COMMANDS',
    ],
    ['a command that is a text', task({ command: 'ls -l' }), ['/job/input/command'], 'an array'],
    ['a command of nothing', task({ command: [] }), ['/job/input/command', '/job/input/command/0']],
    [
      'a command beside an address',
      task({ command: ['/bin/ls'], url }),
      ['/job/input/url'],
      '`input.url` cannot stand beside `command`: a task calls a `url` or runs a `command`',
    ],
    ['an input that is a string', task('x'), ['/job/input'], '`input` must be an object, not a string'],
    ['an input that is null', task(null), ['/job/input'], 'not null'],
    ['an address that is none', task({ url: 'not a url' }), ['/job/input/url'], '`input.url`: Must'],
    ['an address of another protocol', task({ url: 'file:///etc/passwd' }), ['/job/input/url'], 'http://'],
    [
      'several things wrong in its input',
      task({ url: 5, method: 'get', headers: { 'a b': 'c' }, expectStatus: 'ok', timeout: 5, body2: 1 }),
      [
        '/job/input/url',
        '/job/input/method',
        '/job/input/headers/a b',
        '/job/input/expectStatus',
        '/job/input/timeout',
        '/job/input/body2',
      ],
    ],
    [
      'a header that is a number',
      task({ url, headers: { 'X-N': 1 } }),
      ['/job/input/headers/X-N'],
      'a string, not a number',
    ],
  ])('%s', async (_what, body, pointers, words) => {
    await expectRefused(api, () => api.post('/schedules', body), {
      status: 400,
      code: 'invalid',
      pointers,
      words,
    });
  });
});

/** A schedule around an input, as text: for what JSON.stringify would not write. */
const raw = (input: string) => `{"name":"new","every":"5s","job":{"type":"task","input":${input}}}`;
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

describe('a body', () => {
  test.each<[string, string, string[], (RegExp | string)?]>([
    ['that is cut off', '{"name":', [''], 'not valid JSON'],
    ['with single quotes', "{'name':'x'}", ['']],
    ['with a comma too many', '{"name":"x",}', ['']],
    ['that is a list', '[]', [''], 'must be an object, not an array'],
    ['that is null', 'null', [''], 'not null'],
    ['that is a string', '"ping"', [''], 'not a string'],
    [
      'with a null character',
      raw(`{"url":"${url}","body":"a\\u0000b"}`),
      ['/job/input/body'],
      'null character',
    ],
    ['with a null character in the name', '{"name":"a\\u0000b"}', ['/name'], '`name`: Text'],
    [
      'with half a surrogate pair',
      raw(`{"url":"${url}","body":"\\ud800"}`),
      ['/job/input/body'],
      'surrogate',
    ],
    ['with half a surrogate pair in a key', raw('{"\\udfff":1}'), ['/job/input/\ufffd']],
    ['with the key __proto__', '{"__proto__":{"admin":true},"name":"x"}', ['/__proto__']],
    [
      'with the key __proto__ further in',
      raw(`{"url":"${url}","body":{"__proto__":{}}}`),
      ['/job/input/body/__proto__'],
    ],
    ['with constructor.prototype', raw('{"constructor":{"prototype":{}}}'), ['/job/input/constructor']],
    [
      'nested 65 levels deep',
      raw(`{"url":"${url}","body":${nested(62)}}`),
      [expect.stringMatching(/^\/job\/input\/body\/0/) as never],
      '64 levels',
    ],
    [
      'nested 100,000 levels deep',
      raw(nested(100_000)),
      [expect.stringMatching(/^\/job\/input\/0/) as never],
    ],
    [
      'with a number beyond all numbers',
      raw(`{"url":"${url}","body":{"n":1e400}}`),
      ['/job/input/body/n'],
      'too large a number',
    ],
    [
      'with a whole number that would be rounded',
      raw(`{"url":"${url}","body":[9007199254740993]}`),
      ['/job/input/body/0'],
      'as text',
    ],
  ])('%s', async (_what, body, pointers, words) => {
    const request = () => api.agent.post('/schedules').set('content-type', 'application/json').send(body);
    await expectRefused(api, request, { status: 400, pointers, words });
  });

  test('of 2 MB is a 413', async () => {
    await expectRefused(api, () => api.post('/schedules', { ...ok, description: 'x'.repeat(2_000_000) }), {
      status: 413,
      code: 'body_too_large',
      words: '1 MiB',
    });
  });

  test('of form data, as curl -d sends it, is a 400 that says so', async () => {
    await expectRefused(api, () => api.agent.post('/schedules').send('name=ping&every=5s'), {
      status: 400,
      code: 'malformed_json',
      words: 'It looks like form data',
    });
  });

  test('that is not UTF-8 is a 400', async () => {
    const bytes = Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    const response = await fetch(`${api.address}/schedules`, { method: 'POST', body: bytes });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'malformed_json' });
  });

  test.each([
    'application/xml',
    'multipart/form-data; boundary=x',
    'application/yaml',
  ])('of type %s is a 415 that says what to send', async (type) => {
    const request = () => api.agent.post('/schedules').set('content-type', type).send(JSON.stringify(ok));
    await expectRefused(api, request, { status: 415, words: 'application/json' });
  });
});

describe('a path with', () => {
  test.each<[string, string, number, string[]]>([
    ['an id of a run that is none', '/runs/17', 400, ['{id}']],
    ['a name for the id of a run', '/runs/there', 400, ['{id}']],
    ['a null character in the id of a run', '/runs/%00', 400, ['{id}']],
    ['an id that nothing has', '/runs/018f2f6e-7a00-7000-8000-000000000001', 404, []],
    ['an id that no schedule has', '/schedules/018f2f6e-7a00-7000-8000-000000000001', 404, []],
    ['a name that no schedule has', '/schedules/nowhere', 404, []],
    ['a name that none could have', '/schedules/a%2Fb', 404, ['{id}']],
    ['a name of 300 characters', `/schedules/${'x'.repeat(300)}`, 404, ['{id}']],
    ['a null character in a name', '/schedules/%00', 404, ['{id}']],
    ['an injection in a name', "/schedules/'%20or%20''='", 404, ['{id}']],
    ['bytes that are no UTF-8', '/schedules/%ff', 400, []],
    ['half an escape', '/schedules/%e6%af', 400, []],
    ['nothing where a name should be', '/schedules//runs', 404, ['{id}']],
  ])('%s', async (_what, path, status, pointers) => {
    await expectRefused(api, () => api.get(path), { status, pointers });
  });
});

describe('a query with', () => {
  test.each<[string, string, string[], (RegExp | string)?]>([
    ['a limit of 0', '/schedules?limit=0', ['?limit'], 'a whole number from 1 to 200'],
    ['a limit of 201', '/runs?limit=201', ['?limit'], 'a whole number from 1 to 200'],
    ['a limit in letters', '/runs?limit=abc', ['?limit'], 'a whole number from 1 to 200'],
    ['a limit with a fraction', '/schedules?limit=1.5', ['?limit']],
    ['a negative limit', '/schedules?limit=-1', ['?limit']],
    ['an empty limit', '/schedules?limit=', ['?limit']],
    ['a limit in other digits', `/schedules?limit=${encodeURIComponent('٣')}`, ['?limit']],
    ['a huge limit', '/schedules?limit=99999999999999999999', ['?limit']],
    ['two limits', '/schedules?limit=1&limit=2', ['?limit'], 'only once'],
    ['a cursor that is none', '/schedules?cursor=abc', ['?cursor'], 'is not one that this list gave out'],
    ['an empty cursor', '/runs?cursor=', ['?cursor']],
    ['a null character in a cursor', '/runs?cursor=%00', ['?cursor']],
    ['an unknown parameter', '/schedules?statsu=active', ['?statsu'], 'is not a known parameter'],
    ['an unknown status of schedules', '/schedules?status=running', ['?status']],
    ['an unknown status of runs', '/runs?status=queued,broken', ['?status']],
    ['a label without a value', '/schedules?label=team', ['?label'], 'team:data'],
    ['a label without a key', '/schedules?label=:data', ['?label']],
    ['a null character to search for', '/schedules?q=%00', ['?q'], 'null character'],
    ['too long a search', `/schedules?q=${'x'.repeat(201)}`, ['?q']],
    ['a time that is none', '/runs?since=yesterday', ['?since'], 'RFC 3339'],
    ['two times that are none', '/runs?since=2026-01-01&until=x', ['?since', '?until']],
    ['a schedule that could not be called so', '/runs?schedule=a%20b', ['?schedule']],
    ['too large a count', '/schedules/there/upcoming?count=1001', ['?count'], 'from 1 to 1000'],
    ['a prototype for a parameter', '/schedules?__proto__=x', ['?__proto__']],
  ])('%s', async (_what, path, pointers, words) => {
    const status = path.includes('schedule=') ? 404 : 400;
    await expectRefused(api, () => api.get(path), { status, pointers, words });
  });
});

describe('a command', () => {
  test.each<[string, string, object, string[]]>([
    ['pause with a note that is a number', 'pause', { note: 5 }, ['/note']],
    ['pause with too long a note', 'pause', { note: 'x'.repeat(1_001) }, ['/note']],
    ['pause with an unknown field', 'pause', { reason: 'x' }, ['/reason']],
    ['resume with an unknown policy', 'resume', { catchUp: 'most' }, ['/catchUp']],
    ['stop with an unknown field', 'stop', { force: true }, ['/force']],
    ['reschedule to nothing', 'reschedule', {}, ['']],
    ['reschedule to two triggers', 'reschedule', { cron: '@daily', every: '5s' }, ['/cron', '/every']],
    ['reschedule to a bad cron', 'reschedule', { cron: '* * * *' }, ['/cron']],
    ['reschedule to 30 February', 'reschedule', { cron: '0 0 30 2 *' }, ['/cron']],
    [
      'reschedule in a zone that does not exist',
      'reschedule',
      { cron: '@daily', timezone: 'X/Y' },
      ['/timezone'],
    ],
    ['reschedule to the past', 'reschedule', { at: '2020-01-01T00:00:00Z' }, ['/at']],
    ['reschedule with a field of schedules', 'reschedule', { every: '5s', overlap: 'allow' }, ['/overlap']],
    ['trigger with an input that does not fit', 'trigger', { input: { x: 1 } }, ['/input/x']],
    ['trigger with an input that is a number', 'trigger', { input: 5 }, ['/input']],
    ['trigger with an unknown policy', 'trigger', { overlap: 'never' }, ['/overlap']],
  ])('%s', async (_what, command, body, pointers) => {
    await expectRefused(api, () => api.post(`/schedules/there/${command}`, body), {
      status: 400,
      code: 'invalid',
      pointers,
    });
  });

  test('for a schedule that is not there is a 404 that names it', async () => {
    for (const command of ['pause', 'resume', 'stop', 'trigger']) {
      await expectRefused(api, () => api.post(`/schedules/nowhere/${command}`), {
        status: 404,
        code: 'not_found',
        words: '"nowhere"',
      });
    }
  });

  test('with malformed JSON is a 400', async () => {
    const request = () =>
      api.agent.post('/schedules/there/pause').set('content-type', 'text/plain').send('{');
    await expectRefused(api, request, { status: 400, code: 'malformed_json' });
  });
});

describe('a PATCH', () => {
  test.each<[string, unknown, string[], (RegExp | string)?]>([
    [
      'of read-only fields',
      { id: 'x', status: 'paused', counts: {} },
      ['/id', '/status', '/counts'],
      'read-only',
    ],
    ['that takes a read-only field away', { version: null }, ['/version']],
    ['of an unknown field', { color: 'red' }, ['/color']],
    ['that takes an unknown field away', { color: null }, ['/color']],
    ['that takes the trigger away', { every: null }, ['']],
    ['that takes the name away', { name: null }, ['/name']],
    ['that takes the job away', { job: null }, ['/job']],
    ['to a second trigger', { cron: '@daily' }, ['/cron', '/every'], 'sets the old one to null'],
    ['to a bad cron', { every: null, cron: '60 * * * *' }, ['/cron']],
    ['to a zone that does not exist', { timezone: 'X/Y' }, ['/timezone']],
    ['to an input that does not fit', { job: { input: { x: 1 } } }, ['/job/input/x']],
    ['to another job type that the input does not fit', { job: { type: 'task' } }, ['/job/input/url']],
    ['that is a list', [], ['']],
  ])('%s', async (_what, body, pointers, words) => {
    await expectRefused(api, () => api.patch('/schedules/there', body), { status: 400, pointers, words });
  });

  test('to the name of another schedule is a 409 that points at the name', async () => {
    await api.create('other');
    await expectRefused(api, () => api.patch('/schedules/there', { name: 'other' }), {
      status: 409,
      pointers: ['/name'],
    });
  });
});

test('a method that is not allowed is a 405 that says which are', async () => {
  const before = await api.snapshot();
  const response = await api.delete('/schedules');
  expectProblem(response, { status: 405, code: 'method_not_allowed', words: 'GET, HEAD, POST' });
  expect(response.headers.allow).toBe('GET, HEAD, POST');
  expect(await api.snapshot()).toEqual(before);
});

test('a stopped schedule cannot be paused: a 409 that says why; stopping it twice is fine', async () => {
  for (let times = 0; times < 2; times++) {
    expect((await api.post('/schedules/there/stop')).status).toBe(200);
  }
  await expectRefused(api, () => api.post('/schedules/there/pause'), {
    status: 409,
    code: 'conflict',
    words: /"there" is stopped, which is final/,
  });
});
