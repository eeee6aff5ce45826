import { once } from 'node:events';
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { type JobContext, JobError } from '../../src/jobs/job.ts';
import { createTaskDispatcher } from '../../src/jobs/task/http-dispatcher.ts';
import { parseRetryAfter } from '../../src/jobs/task/retry-after.ts';
import { headerSafe } from '../../src/jobs/task/task-headers.ts';
import { type HttpTaskOutput, httpTaskInput } from '../../src/jobs/task/task-input.ts';
import { createTaskJob } from '../../src/jobs/task/task-job.ts';
import { withoutSteps } from '../support/memory-journal.ts';

const nowMs = Date.UTC(2026, 9, 21, 7, 28, 0);

type Seen = { method: string; url: string; headers: http.IncomingHttpHeaders; body: string };

/** A job, a context with a clock that stands still, and servers that write down what reaches them. */
function setup(context: Partial<JobContext> = {}) {
  const dispatcher = createTaskDispatcher();
  onTestFinished(() => dispatcher.destroy());
  const job = createTaskJob({ dispatcher, version: '1.2.3' });
  const log: string[] = [];
  const jobContext: JobContext = {
    runId: 'run-1',
    attempt: 2,
    scheduleId: 'schedule-1',
    scheduleName: 'nightly',
    scheduledForMs: Date.UTC(2026, 0, 31, 2, 0, 0),
    idempotencyKey: 'key-1',
    signal: new AbortController().signal,
    stopRequested: false,
    now: () => nowMs,
    log: (message) => log.push(message),
    ...withoutSteps,
    ...context,
  };
  const run = async (input: z.input<typeof job.input>) =>
    (await job.run(jobContext, job.input.parse(input))) as HttpTaskOutput;
  const failure = async (input: z.input<typeof job.input>): Promise<JobError> => {
    const error = await run(input).then(
      (output) => expect.fail(`It succeeded: ${JSON.stringify(output)}`),
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(JobError);
    return error as JobError;
  };
  return { job, run, failure, log };
}

/** A server on a port of its own, and the requests that it got. */
async function listen(answer: (request: Seen, response: ServerResponse) => void) {
  const seen: Seen[] = [];
  const listener: RequestListener = async (request: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url = '', headers } = request;
    seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
    answer(seen.at(-1) as Seen, response);
  };
  const server = http.createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

const listenWith = (status: number, headers: http.OutgoingHttpHeaders = {}, body: string | Buffer = '') =>
  listen((_request, response) => response.writeHead(status, headers).end(body));

describe('the request', () => {
  it('is a GET with the headers that name the run', async () => {
    const { run } = setup();
    const { url, seen } = await listenWith(200);
    await run({ url: `${url}/path?a=1&b=%20#fragment` });
    expect(seen[0]).toMatchObject({ method: 'GET', url: '/path?a=1&b=%20', body: '' });
    expect(seen[0]?.headers).toMatchObject({
      host: url.slice('http://'.length),
      'user-agent': 'carillon/1.2.3',
      'accept-encoding': 'identity',
      'idempotency-key': 'key-1',
      'x-carillon-schedule': 'nightly',
      'x-carillon-run-id': 'run-1',
      'x-carillon-scheduled-for': '2026-01-31T02:00:00.000Z',
      'x-carillon-attempt': '2',
    });
    expect(seen[0]?.headers).not.toHaveProperty('content-type');
  });

  it('carries a schedule name of any language, percent-encoded', async () => {
    const scheduleName = 'Sauvegarde d’été 100% 🔔\n';
    const { run } = setup({ scheduleName });
    const { url, seen } = await listenWith(200);
    await run({ url });
    expect(decodeURIComponent(String(seen[0]?.headers['x-carillon-schedule']))).toBe(scheduleName);
  });

  it('sends a JSON body by POST', async () => {
    const { run } = setup();
    const { url, seen } = await listenWith(200);
    await run({ url, body: { a: [1, null, 'ü'] } });
    expect(seen[0]).toMatchObject({ method: 'POST', body: '{"a":[1,null,"ü"]}' });
    expect(seen[0]?.headers['content-type']).toBe('application/json');
  });

  it('sends text as it is', async () => {
    const { run } = setup();
    const { url, seen } = await listenWith(200);
    await run({
      url,
      method: 'PUT',
      body: 'a=1',
      headers: { 'CONTENT-TYPE': 'application/x-www-form-urlencoded' },
    });
    expect(seen[0]).toMatchObject({ method: 'PUT', body: 'a=1' });
    expect(seen[0]?.headers['content-type']).toBe('application/x-www-form-urlencoded');
  });

  it.each([
    [false, 'false'],
    [0, '0'],
    ['', ''],
  ])('takes the body %j for one', async (body, text) => {
    const { run } = setup();
    const { url, seen } = await listenWith(200);
    await run({ url, body });
    expect(seen[0]).toMatchObject({ method: 'POST', body: text });
  });

  it('takes the body null for none', async () => {
    const { run } = setup();
    const { url, seen } = await listenWith(200);
    await run({ url, body: null });
    expect(seen[0]?.method).toBe('GET');
  });

  it('sends a body by GET when it is told to', async () => {
    const { run } = setup();
    const { url, seen } = await listenWith(200);
    await run({ url, method: 'GET', body: { query: 1 } });
    expect(seen[0]).toMatchObject({ method: 'GET', body: '{"query":1}' });
  });

  it.each([
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
  ] as const)('can be %s', async (method) => {
    const { run } = setup();
    const { url, seen } = await listenWith(200);
    await run({ url, method });
    expect(seen[0]?.method).toBe(method);
  });

  it('lets the user say the User-Agent, the accepted codings and the idempotency key, in any case', async () => {
    const { run } = setup();
    const { url, seen } = await listenWith(200);
    await run({
      url,
      headers: { 'user-AGENT': 'me', 'accept-encoding': 'gzip', 'Idempotency-key': 'order-7', 'X-A': 'ü' },
    });
    expect(seen[0]?.headers).toMatchObject({
      'user-agent': 'me',
      'accept-encoding': 'gzip',
      'idempotency-key': 'order-7',
      'x-a': 'ü',
    });
  });
});

describe('the answer', () => {
  it('is the output', async () => {
    const { run, job } = setup();
    const { url } = await listenWith(201, { 'content-type': 'application/json' }, '{"ok":"ü"}');
    const output = await run({ url });
    expect(output).toEqual({ statusCode: 201, durationMs: 0, body: '{"ok":"ü"}' });
    expect(job.output.parse(output)).toEqual(output);
  });

  it('says how long it took', async () => {
    let time = nowMs;
    const { run } = setup({ now: () => time });
    const { url } = await listen((_request, response) => {
      time += 1_234.4;
      response.end();
    });
    expect(await run({ url })).toMatchObject({ durationMs: 1_234 });
  });

  it('has no negative duration when the clock was put back', async () => {
    let time = nowMs;
    const { run } = setup({ now: () => time });
    const { url } = await listen((_request, response) => {
      time -= 5_000;
      response.end();
    });
    expect(await run({ url })).toMatchObject({ durationMs: 0 });
  });

  it('is empty for 204 and for HEAD', async () => {
    const { run } = setup();
    expect(await run({ url: (await listenWith(204)).url })).toMatchObject({ statusCode: 204, body: '' });
    const { url } = await listenWith(200, { 'content-length': '5' }, 'hello');
    expect(await run({ url, method: 'HEAD' })).toMatchObject({ statusCode: 200, body: '' });
  });

  it('is whole at 64 KiB and cut above, at the end of a character', async () => {
    const { run } = setup();
    const whole = 'x'.repeat(65_536);
    expect(await run({ url: (await listenWith(200, {}, whole)).url })).toEqual({
      statusCode: 200,
      durationMs: 0,
      body: whole,
    });
    const cut = await run({ url: (await listenWith(200, {}, `${'x'.repeat(65_535)}üüü`)).url });
    expect(cut).toMatchObject({ bodyTruncated: true });
    expect(Buffer.byteLength(cut.body)).toBeLessThanOrEqual(65_536);
    expect(cut.body.slice(0, 65_535)).toBe('x'.repeat(65_535));
  });

  it('replaces what is no UTF-8 and what the database cannot hold', async () => {
    const { run } = setup();
    const { url } = await listenWith(200, {}, Buffer.from([0x61, 0xff, 0x00, 0xed, 0xa0, 0x80, 0x62]));
    const { body } = await run({ url });
    expect(body).toMatch(/^a\uFFFD+b$/);
    expect(body.isWellFormed()).toBe(true);
  });

  it('stays within 64 KiB of UTF-8 when each byte becomes a replacement character', async () => {
    const { run } = setup();
    const { url } = await listenWith(200, {}, Buffer.alloc(65_536, 0xff));
    const output = await run({ url });
    expect(Buffer.byteLength(output.body)).toBeLessThanOrEqual(65_536);
    expect(output.bodyTruncated).toBe(true);
  });

  it.each([
    ['text/plain; charset=iso-8859-1', Buffer.from('é', 'latin1')],
    ['text/plain;charset="UTF-16LE"', Buffer.from('é', 'utf16le')],
    ['text/plain; charset=no-such-charset', Buffer.from('é')],
    ['nonsense', Buffer.from('\uFEFFé')],
  ])('is decoded by its charset: %s', async (contentType, body) => {
    const { run } = setup();
    const { url } = await listenWith(200, { 'content-type': contentType }, body);
    expect((await run({ url })).body).toBe('é');
  });

  it.each([
    ['gzip', gzipSync('hello')],
    ['x-gzip', gzipSync('hello')],
    ['GZIP', gzipSync('hello')],
    ['deflate', deflateSync('hello')],
    ['deflate', deflateRawSync('hello')],
    ['identity', Buffer.from('hello')],
  ])('is decompressed when the server sends %s all the same', async (coding, body) => {
    const { run } = setup();
    const { url } = await listenWith(200, { 'content-encoding': coding }, body);
    expect(await run({ url })).toEqual({ statusCode: 200, durationMs: 0, body: 'hello' });
  });

  it.each([
    'br',
    'zstd',
    'gzip, gzip',
    'aes128gcm',
  ])('is left out with a note when it is encoded by %s', async (coding) => {
    const { run, log } = setup();
    const { url } = await listenWith(200, { 'content-encoding': coding }, brotliCompressSync('hello'));
    expect(await run({ url })).toMatchObject({ body: '', bodyTruncated: true });
    expect(log.slice(0, -1)).toEqual([
      `The response body is encoded as "${coding}", which is not decoded: it is not kept.`,
    ]);
  });
});

describe('the status', () => {
  it.each([200, 201, 204, 206, 299])('%d is success', async (status) => {
    const { run } = setup();
    expect(await run({ url: (await listenWith(status)).url })).toMatchObject({ statusCode: status });
  });

  it.each([408, 425, 429, 500, 502, 503, 504, 599])('%d is a failure that is tried again', async (status) => {
    const { failure } = setup();
    const { url } = await listenWith(status);
    expect(await failure({ url })).toMatchObject({
      type: 'HttpStatus',
      retryable: true,
      retryAfterMs: undefined,
    });
  });

  it.each([300, 304, 302, 400, 401, 404, 410, 422, 451])('%d is a failure that is final', async (status) => {
    const { failure } = setup();
    const { url } = await listenWith(status, { 'retry-after': '5' });
    expect(await failure({ url })).toMatchObject({
      type: 'HttpStatus',
      retryable: false,
      retryAfterMs: undefined,
    });
  });

  it('counts as success when it is expected, and 2xx then does not', async () => {
    const { run, failure } = setup();
    const missing = await listenWith(404);
    const fine = await listenWith(200);
    expect(await run({ url: missing.url, expectStatus: 404 })).toMatchObject({ statusCode: 404 });
    expect(await run({ url: missing.url, expectStatus: [200, 404] })).toMatchObject({ statusCode: 404 });
    const error = await failure({ url: fine.url, expectStatus: [204, 404] });
    expect(error).toMatchObject({ type: 'HttpStatus', retryable: false });
    expect(error.message).toBe(`GET ${fine.url}/ answered 200, expected 204 or 404.`);
  });

  it.each(['7', ' 7 ', 'Wed, 21 Oct 2026 07:28:07 GMT'])('honours Retry-After: %s', async (value) => {
    const { failure } = setup();
    const { url } = await listenWith(503, { 'retry-after': value });
    expect((await failure({ url })).retryAfterMs).toBe(7_000);
  });

  it('is told with the address and the beginning of the body, without secrets and control characters', async () => {
    const { failure } = setup();
    const { url } = await listenWith(400, {}, `\u001b[31mbad\r\n  thing ${'😀'.repeat(200)}`);
    const { message } = await failure({ url: `${url}/hooks/a?token=secret` });
    expect(message).toContain(`GET ${url}/hooks/a answered 400: [31mbad thing 😀`);
    expect(message).not.toContain('secret');
    expect(message.isWellFormed()).toBe(true);
    expect(message.length).toBeLessThan(300);
  });
});

describe('Retry-After', () => {
  it.each([
    ['0', 0],
    ['120', 120_000],
    ['Wed, 21 Oct 2026 07:29:00 GMT', 60_000],
    ['Wednesday, 21-Oct-26 07:29:00 GMT', 60_000],
    ['Wed Oct 21 07:29:00 2026', 60_000],
    ['Sun Nov  6 08:49:37 1994', 0],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['Wed, 21 Oct 2025 07:28:00 GMT', 0],
  ])('%s is %d ms from now', (value, ms) => {
    expect(parseRetryAfter(value, nowMs)).toBe(ms);
  });

  it.each([
    undefined,
    '',
    '-1',
    '1.5',
    'soon',
    '1e3',
    'Wed, 21 Foo 2026 07:29:00 GMT',
    '2026-10-21T07:29:00Z',
  ])('%s is no answer', (value) => {
    expect(parseRetryAfter(value, nowMs)).toBeUndefined();
  });

  it('stays a finite number', () => {
    expect(parseRetryAfter('9'.repeat(400), nowMs)).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('redirects', () => {
  it.each([
    [301, 'POST', 'GET', ''],
    [302, 'POST', 'GET', ''],
    [303, 'POST', 'GET', ''],
    [303, 'PUT', 'GET', ''],
    [303, 'HEAD', 'HEAD', ''],
    [301, 'PUT', 'PUT', 'data'],
    [302, 'DELETE', 'DELETE', 'data'],
    [307, 'POST', 'POST', 'data'],
    [308, 'PATCH', 'PATCH', 'data'],
  ] as const)('%d turns %s into %s', async (status, method, nextMethod, nextBody) => {
    const { run } = setup();
    const { url, seen } = await listen((request, response) => {
      if (request.url === '/from') response.writeHead(status, { location: 'to?x=1' }).end('elsewhere');
      else response.end('here');
    });
    const body = method === 'HEAD' ? undefined : 'data';
    await run({ url: `${url}/from`, method, body, headers: { Authorization: 'Bearer secret' } });
    expect(seen[1]).toMatchObject({ method: nextMethod, url: '/to?x=1', body: nextBody });
    expect(seen[1]?.headers.authorization).toBe('Bearer secret');
    expect(seen[1]?.headers['x-carillon-run-id']).toBe('run-1');
    if (nextBody === '') expect(seen[1]?.headers).not.toHaveProperty('content-type');
  });

  it('leave all headers that may be secrets behind on another origin', async () => {
    const { run, log } = setup();
    const other = await listenWith(200);
    const { url } = await listenWith(307, { location: `http://me:secret@${other.url.slice(7)}/there` });
    const secrets = { Authorization: 'Bearer secret', cookie: 'a=secret', 'X-Api-Key': 'secret' };
    await run({ url, body: { a: 1 }, headers: { ...secrets, Accept: 'text/html' } });
    expect(JSON.stringify(other.seen)).not.toContain('secret');
    expect(other.seen[0]).toMatchObject({ method: 'POST', url: '/there', body: '{"a":1}' });
    expect(other.seen[0]?.headers).toMatchObject({
      accept: 'text/html',
      'content-type': 'application/json',
      'idempotency-key': 'key-1',
      'x-carillon-run-id': 'run-1',
    });
    expect(log[0]).toContain('without the headers Authorization, cookie, X-Api-Key');
    expect(log[0]).not.toContain('secret');
  });

  it('are followed five times', async () => {
    const { run, failure } = setup();
    const { url, seen } = await listen((request, response) => {
      const left = Number(request.url.slice(1));
      if (left > 0) response.writeHead(302, { location: `/${left - 1}` });
      response.end();
    });
    expect(await run({ url: `${url}/5` })).toMatchObject({ statusCode: 200 });
    expect(seen).toHaveLength(6);
    expect(await failure({ url: `${url}/6` })).toMatchObject({ type: 'TooManyRedirects', retryable: false });
    expect(seen).toHaveLength(12);
  });

  it('are not followed when their status is expected', async () => {
    const { run } = setup();
    const { url, seen } = await listenWith(302, { location: '/elsewhere' });
    expect(await run({ url, expectStatus: 302 })).toMatchObject({ statusCode: 302 });
    expect(seen).toHaveLength(1);
  });

  it('end as a status when they lead nowhere', async () => {
    const { failure } = setup();
    const { url } = await listenWith(302);
    expect(await failure({ url })).toMatchObject({ type: 'HttpStatus', retryable: false });
  });

  it.each([
    ['ftp://127.0.0.1/x', 'InvalidConfiguration'],
    ['file:///etc/passwd', 'InvalidConfiguration'],
    ['javascript:alert(1)', 'InvalidConfiguration'],
    ['http://[', 'InvalidResponse'],
    ['http://', 'InvalidResponse'],
  ])('to %s are refused', async (location, type) => {
    const { failure } = setup();
    const { url } = await listenWith(302, { location });
    expect(await failure({ url })).toMatchObject({ type, retryable: false });
  });

  it('may be written in UTF-8, as browsers read it', async () => {
    const { run } = setup();
    const { url, seen } = await listen((request, response) => {
      if (request.url === '/') response.writeHead(302, { location: Buffer.from('/é').toString('latin1') });
      response.end();
    });
    await run({ url });
    expect(seen[1]?.url).toBe('/%C3%A9');
  });
});

describe('the end of a run', () => {
  it('sends nothing when the signal has aborted already', async () => {
    const { url, seen } = await listenWith(200);
    const reason = new Error('cancelled');
    const { run } = setup({ signal: AbortSignal.abort(reason) });
    await expect(run({ url })).rejects.toBe(reason);
    expect(seen).toHaveLength(0);
  });

  it('is at once, with the reason of the signal and the connection closed, while waiting', async () => {
    const controller = new AbortController();
    const { run } = setup({ signal: controller.signal });
    const closed = Promise.withResolvers<void>();
    const { url } = await listen((_request, response) => {
      response.once('close', closed.resolve);
      controller.abort('a reason that is no error');
    });
    await expect(run({ url })).rejects.toBe('a reason that is no error');
    await closed.promise;
  });

  it('is at once in the middle of a body, also of one that belongs to an error', async () => {
    for (const status of [200, 500, 302]) {
      const controller = new AbortController();
      const { run } = setup({ signal: controller.signal });
      const closed = Promise.withResolvers<void>();
      const { url } = await listen((_request, response) => {
        response.once('close', closed.resolve);
        response.writeHead(status, { location: '/elsewhere' }).write('begun', () => controller.abort('over'));
      });
      await expect(run({ url })).rejects.toBe('over');
      await closed.promise;
    }
  });

  it('sends no further request after a redirect', async () => {
    const controller = new AbortController();
    const { run } = setup({ signal: controller.signal, log: () => controller.abort('over') });
    const { url, seen } = await listenWith(302, { location: '/elsewhere' });
    await expect(run({ url })).rejects.toBe('over');
    expect(seen).toHaveLength(1);
  });
});

describe('the input', () => {
  const job = createTaskJob({ version: '1.2.3' });
  const url = 'http://127.0.0.1/';
  const faults = (input: unknown) =>
    job.input.safeParse(input).error?.issues.map(({ path, message }) => `${path.join('/')}: ${message}`) ??
    [];

  it('has a default timeout and takes what the documentation shows', () => {
    expect(job.input.parse({ url })).toMatchObject({ timeout: 30_000 });
    expect(job.input.parse(job.example)).toMatchObject(job.example as object);
    const { anyOf } = z.toJSONSchema(job.input, { io: 'input' });
    expect(anyOf).toMatchObject([
      { required: ['url'], additionalProperties: false },
      { required: ['command'], additionalProperties: false },
    ]);
    const schema = z.toJSONSchema(httpTaskInput, { io: 'input' });
    for (const [field, { examples = [] }] of Object.entries(schema.properties ?? {}) as [
      string,
      z.core.JSONSchema.JSONSchema,
    ][]) {
      for (const example of examples) expect(faults({ url, [field]: example })).toEqual([]);
    }
    expect(() => z.toJSONSchema(job.output)).not.toThrow();
  });

  it('never allows more time for the attempt than the attempt has', () => {
    expect(job.timeoutMs).toBeGreaterThanOrEqual(httpTaskInput.parse({ url, timeout: '1h' }).timeout);
  });

  it.each([
    [{}, 'url: Must be the address'],
    [{ url: '' }, 'url: Must be an http:// or https:// address'],
    [{ url: 'example.com' }, 'url: Must be a complete address'],
    [{ url: 'localhost:3000/x' }, 'url: Must begin with http:// or https://'],
    [{ url: 'file:///etc/passwd' }, 'url: Must begin with http:// or https://'],
    [{ url: 'http://user:pass@host/' }, 'url: Must not contain a user name or password'],
    [{ url: 'http://token@host/' }, 'url: Must not contain a user name or password'],
    [{ url: 'http://host/a b' }, 'url: Must not contain blanks'],
    [{ url: 'http://host/a\nb' }, 'url: Must not contain blanks'],
    [{ url: `http://host/${'x'.repeat(2_048)}` }, 'url: Must be at most 2048'],
    [{ url, verb: 'GET' }, ': Unrecognized key: "verb"'],
    [{ url, method: 'get' }, 'method: Must be one of GET'],
    [{ url, method: 'CONNECT' }, 'method: Must be one of GET'],
    [
      { url, headers: { Host: 'x' } },
      'headers/Host: The header Host cannot be set: it is taken from the url',
    ],
    [
      { url, headers: { 'content-length': '1' } },
      'headers/content-length: The header content-length cannot be set',
    ],
    [{ url, headers: { 'Transfer-Encoding': 'chunked' } }, 'headers/Transfer-Encoding: The header'],
    [{ url, headers: { connection: 'close' } }, 'headers/connection: The header connection cannot be set'],
    [{ url, headers: { 'X-Carillon-Attempt': '1' } }, 'headers/X-Carillon-Attempt: The header'],
    [{ url, headers: { 'a b': '1' } }, 'headers/a b: Not a header name'],
    [{ url, headers: { 'X-Ü': '1' } }, 'headers/X-Ü: Not a header name'],
    [{ url, headers: { 'X-A': 'a\r\nHost: b' } }, 'headers/X-A: The value of the header X-A has characters'],
    [{ url, headers: { 'X-A': '€' } }, 'headers/X-A: The value of the header X-A has characters'],
    [{ url, headers: { 'X-A': 'x'.repeat(8_193) } }, 'headers/X-A: The value of the header X-A is longer'],
    [{ url, headers: { 'X-A': '1', 'x-a': '2' } }, 'headers/x-a: The header x-a is given twice'],
    [{ url, headers: { 'X-A': 1 } }, 'headers/X-A: A header value must be text'],
    [
      { url, headers: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`X-${index}`, ''])) },
      'headers: Must have at most 64',
    ],
    [{ url, body: 'x'.repeat(262_144) }, 'body: Must be at most 256 KiB'],
    [{ url, body: { a: ['\0'] } }, 'body: Must not contain NUL'],
    [{ url, body: { '\ud800': 1 } }, 'body: Must not contain NUL'],
    [{ url, body: JSON.parse('['.repeat(10_000) + ']'.repeat(10_000)) }, 'body: Must not be nested deeper'],
    [{ url, expectStatus: 100 }, 'expectStatus: Must be an HTTP status'],
    [{ url, expectStatus: '200' }, 'expectStatus: Must be an HTTP status'],
    [{ url, expectStatus: [] }, 'expectStatus: Must name at least one'],
    [{ url, expectStatus: [200, 1e9] }, 'expectStatus'],
    [{ url, timeout: '0s' }, 'timeout: Must be a duration from 1ms to 1h'],
    [{ url, timeout: '2h' }, 'timeout: Must be a duration from 1ms to 1h'],
    [{ url, timeout: 30 }, 'timeout: Must be a duration as text'],
  ])('is refused with a reason: %#', (input, fault) => {
    expect(faults(input)).toEqual([expect.stringContaining(fault)]);
  });
});

describe('headerSafe', () => {
  it('leaves ordinary names readable and survives half a character', () => {
    expect(headerSafe('team:daily-backup_1')).toBe('team:daily-backup_1');
    expect(headerSafe('50% \u{1F514}')).toBe('50%25%20%F0%9F%94%94');
    expect(headerSafe('\ud800')).toBe('%EF%BF%BD');
  });
});
