import { expect, test } from 'vitest';
import { jsonDepthMax } from '../../src/routes/json-limits.ts';
import { ping, standIn } from './stand-in.ts';

const json = JSON.stringify(ping);

function post(headers: Record<string, string>, payload: string | Buffer, url = '/schedules') {
  return { method: 'POST' as const, url, headers, payload };
}

test.each([
  ['application/json', { 'content-type': 'application/json' }],
  ['JSON with a charset', { 'content-type': 'application/json; charset=utf-8' }],
  ['JSON in capitals', { 'content-type': 'Application/JSON' }],
  ['the form type that curl -d adds', { 'content-type': 'application/x-www-form-urlencoded' }],
  ['text/plain', { 'content-type': 'text/plain;charset=UTF-8' }],
  ['no content type at all', {}],
])('JSON is read under %s', async (_what, headers: Record<string, string>) => {
  const { app } = await standIn();
  const response = await app.inject(post(headers, Buffer.from(json)));
  expect(response.statusCode).toBe(201);
  expect(response.json().name).toBe('ping');
});

test.each([
  'text/xml',
  'multipart/form-data; boundary=x',
  'application/octet-stream',
  'nonsense',
])('a body of type %s is a 415 that says what to send', async (type) => {
  const { app, calls } = await standIn();
  const response = await app.inject(post({ 'content-type': type }, json));
  expect(response.json()).toMatchObject({ status: 415, code: 'unsupported_media_type' });
  expect(response.json().detail).toContain('application/json');
  expect(calls).toEqual([]);
});

test('a merge patch type is for PATCH only', async () => {
  const { app } = await standIn();
  const headers = { 'content-type': 'application/merge-patch+json' };
  const patch = { method: 'PATCH' as const, url: '/schedules/ping', headers, payload: '{"description":"x"}' };
  expect((await app.inject(patch)).statusCode).toBe(200);
  const refused = await app.inject(post(headers, json));
  expect(refused.statusCode).toBe(415);
  expect(refused.headers.accept).toBe('application/json');
});

test('a compressed body is a 415, since it is not unpacked', async () => {
  const { app } = await standIn();
  const response = await app.inject(
    post({ 'content-type': 'application/json', 'content-encoding': 'gzip' }, json),
  );
  expect(response.json()).toMatchObject({ status: 415 });
  expect(response.json().detail).toContain('gzip');
});

test.each([
  ['no body and no type', {}, ''],
  ['no body but the JSON type', { 'content-type': 'application/json' }, ''],
  ['no body but another type', { 'content-type': 'text/xml' }, ''],
  ['blanks', { 'content-type': 'application/json' }, ' \n'],
  ['an empty object', { 'content-type': 'application/json' }, '{}'],
])('a command takes %s', async (_what, headers: Record<string, string>, payload) => {
  const { app, calls } = await standIn();
  const response = await app.inject(post(headers, payload, '/schedules/ping/pause'));
  expect(response.statusCode).toBe(200);
  expect(calls).toEqual([['pause', 'ping', null, { actor: 'api' }]]);
});

test.each([
  '{',
  '{"name": ping}',
  "{'name':'ping'}",
  '{"a":1}{',
  'nul',
  '[1,]',
])('malformed JSON is a 400 that says where: %s', async (text) => {
  const { app, calls } = await standIn();
  const response = await app.inject(post({ 'content-type': 'application/json' }, text));
  expect(response.json()).toMatchObject({ status: 400, code: 'malformed_json' });
  expect(response.json().detail).toMatch(/JSON/);
  expect(calls).toEqual([]);
});

test('real form data is told apart from malformed JSON', async () => {
  const { app } = await standIn();
  const response = await app.inject(
    post({ 'content-type': 'application/x-www-form-urlencoded' }, 'name=ping&every=5s'),
  );
  expect(response.json().detail).toContain('form data');
});

test.each([
  'null',
  '[]',
  '"text"',
  '5',
  'true',
])('a body of %s is a 400, since it is no object', async (text) => {
  const { app } = await standIn();
  const response = await app.inject(post({ 'content-type': 'application/json' }, text));
  expect(response.json()).toMatchObject({ status: 400, code: 'invalid', errors: [{ pointer: '' }] });
  expect(response.json().detail).toContain('must be an object');
});

test('a body that is not UTF-8 is a 400', async () => {
  const { app } = await standIn();
  const response = await app.inject(post({}, Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])));
  expect(response.json()).toMatchObject({ status: 400, code: 'malformed_json' });
});

test('a byte order mark is ignored', async () => {
  const { app } = await standIn();
  expect((await app.inject(post({}, `\uFEFF${json}`))).statusCode).toBe(201);
});

test('a body of 2 MB is a 413', async () => {
  const { app, calls } = await standIn();
  const big = JSON.stringify({ ...ping, description: 'x'.repeat(2_000_000) });
  const response = await app.inject(post({ 'content-type': 'application/json' }, big));
  expect(response.json()).toMatchObject({ status: 413, code: 'body_too_large' });
  expect(calls).toEqual([]);
});

const inInput = (text: string): string =>
  `{"name":"ping","every":"5s","job":{"type":"echo","input":${text}}}`;

test.each([
  ['__proto__', inInput('{"text":"hi","__proto__":{"x":1}}'), '/job/input/__proto__'],
  ['__proto__ in escapes', inInput('{"text":"hi","\\u005f_proto__":{}}'), '/job/input/__proto__'],
  ['constructor.prototype', inInput('{"constructor":{"prototype":{}}}'), '/job/input/constructor'],
  ['a null character', inInput('{"text":"a\\u0000b"}'), '/job/input/text'],
  ['a null character in a key', inInput('{"a\\u0000":1}'), '/job/input/a\u0000'],
  ['half of a surrogate pair', inInput('{"text":["x","\\ud800"]}'), '/job/input/text/1'],
])('%s anywhere is a 400 that points at it', async (_what, text, pointer) => {
  const { app, calls } = await standIn();
  const response = await app.inject(post({ 'content-type': 'application/json' }, text));
  expect(response.json()).toMatchObject({ status: 400, code: 'invalid', errors: [{ pointer }] });
  expect(calls).toEqual([]);
});

test.each([
  ['1e400', '{"text":"hi","n":1e400}', '/job/input/n', /too large a number/],
  ['-1e999 in a list', '{"text":"hi","n":[0,-1e999]}', '/job/input/n/1', /too large a number/],
  [
    'a whole number that would be rounded',
    '{"text":"hi","n":12345678901234567890}',
    '/job/input/n',
    /as text/,
  ],
  ['the first that is', '{"text":"hi","n":-9007199254740993}', '/job/input/n', /last digits would be lost/],
])('%s is a 400, since another number would be kept', async (_what, input, pointer, words) => {
  const { app, calls } = await standIn();
  const response = await app.inject(post({}, inInput(input)));
  expect(response.json()).toMatchObject({ status: 400, code: 'invalid', errors: [{ pointer }] });
  expect(response.json().detail).toMatch(words);
  expect(calls).toEqual([]);
});

test('numbers that are kept as they are go through, and long digits in text', async () => {
  const { app } = await standIn();
  const numbers = '[9007199254740991,-9007199254740991,1e308,1e20,0.1,1.5e-300]';
  const response = await app.inject(post({}, inInput(`{"text":"12345678901234567890","n":${numbers}}`)));
  expect(response.json().job.input).toEqual({ text: '12345678901234567890', n: JSON.parse(numbers) });
});

test('a key called constructor is fine as long as it holds no prototype', async () => {
  const { app } = await standIn();
  const text = inInput('{"text":"hi","constructor":"Gaudí","prototype":1}');
  expect((await app.inject(post({}, text))).json().job.input.constructor).toBe('Gaudí');
});

test('whole surrogate pairs and other odd letters go through', async () => {
  const { app } = await standIn();
  const response = await app.inject(post({}, inInput('{"text":"\\ud83d\\udd14 ẞ \\u0001"}')));
  expect(response.json().job.input.text).toBe('🔔 ẞ \u0001');
});

test('a key that is given twice counts the last time', async () => {
  const { app } = await standIn();
  const response = await app.inject(post({}, json.replace('"every"', '"every":"9s","every"')));
  expect(response.json().every).toBe('5s');
});

test('nesting has a bound, and a bomb of brackets is a 400 too', async () => {
  const { app } = await standIn();
  const nested = (levels: number): string =>
    inInput(`{"text":"hi","x":${'['.repeat(levels)}${']'.repeat(levels)}}`);
  // The body, `job` and `input` are three levels themselves.
  expect((await app.inject(post({}, nested(jsonDepthMax - 3)))).statusCode).toBe(201);
  expect((await app.inject(post({}, nested(jsonDepthMax - 2)))).json().detail).toContain('nested');
  expect((await app.inject(post({}, nested(200_000)))).json()).toMatchObject({ status: 400 });
});
