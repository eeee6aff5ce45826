/** What a task's target may do to us on purpose or by accident: each call ends in bounded time, memory and sockets. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import tls from 'node:tls';
import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { z } from 'zod';
import { type JobContext, JobError } from '../../src/jobs/job.ts';
import { createTaskDispatcher } from '../../src/jobs/task/http-dispatcher.ts';
import type { HttpTaskOutput } from '../../src/jobs/task/task-input.ts';
import { createTaskJob } from '../../src/jobs/task/task-job.ts';
import { withoutSteps } from '../support/memory-journal.ts';

function setup({ signal = new AbortController().signal, dispatcher = createTaskDispatcher() } = {}) {
  onTestFinished(() => dispatcher.destroy());
  const job = createTaskJob({ dispatcher, version: '1.2.3' });
  const log: string[] = [];
  const context: JobContext = {
    runId: 'run-1',
    attempt: 1,
    scheduleId: 'schedule-1',
    scheduleName: 'nightly',
    scheduledForMs: 0,
    idempotencyKey: 'key-1',
    signal,
    stopRequested: false,
    now: () => performance.now(),
    log: (message) => log.push(message),
    ...withoutSteps,
  };
  const run = async (input: z.input<typeof job.input>) =>
    (await job.run(context, job.input.parse(input))) as HttpTaskOutput;
  const failure = async (input: z.input<typeof job.input>): Promise<JobError> => {
    const error = await run(input).then(
      (output) => expect.fail(`It succeeded: ${JSON.stringify(output).slice(0, 200)}`),
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(JobError);
    return error as JobError;
  };
  return { run, failure, log };
}

/**
 * A TCP server. `behave` is called for each connection; `allClosed` resolves when none is open any more that had a
 * request. (After an aborted call undici opens one that it never uses; see http-dispatcher.ts.)
 */
async function listen(
  behave: (socket: Socket) => void,
  createServer: () => net.Server = () => net.createServer(),
) {
  const sockets = new Set<Socket>();
  const used = new Set<Socket>();
  const closed = new EventEmitter();
  let bytesWritten = 0;
  const server = createServer();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.on(server instanceof tls.Server ? 'secureConnection' : 'connection', (socket: Socket) => {
    socket.on('error', () => {});
    socket.once('data', () => used.add(socket));
    socket.on('close', () => {
      bytesWritten += socket.bytesWritten;
      used.delete(socket);
      closed.emit('close');
    });
    // The listener above reads: a socket that nobody reads does not notice that the other side has gone.
    behave(socket);
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=secret`,
    async allClosed() {
      while (used.size > 0) await once(closed, 'close');
    },
    bytesWritten: () => bytesWritten,
  };
}

/** Sends `first` after the request has come, then `then` as fast as it is taken, for ever. */
const endless =
  (first: string, then: string | Buffer) =>
  (socket: Socket): void => {
    const pump = () => {
      while (!socket.destroyed && socket.write(then));
    };
    socket.once('data', () => {
      socket.write(first);
      socket.on('drain', pump);
      pump();
    });
  };

/** Answers each request with these bytes and then waits, closes (FIN) or resets (RST). */
const saying =
  (bytes: string | Buffer, end: 'wait' | 'close' | 'reset' = 'wait') =>
  (socket: Socket): void => {
    socket.on('data', () => {
      socket.write(bytes, () => {
        if (end === 'close') socket.end();
        if (end === 'reset') socket.resetAndDestroy();
      });
    });
  };

const ok = 'HTTP/1.1 200 OK\r\n';
const httpOf = (body: Buffer, headers: string) =>
  Buffer.concat([Buffer.from(`${ok}${headers}\r\nContent-Length: ${body.length}\r\n\r\n`), body]);

describe('a body without end', () => {
  it.each([
    ['of unknown length', `${ok}\r\n`, Buffer.alloc(65_536, 'x')],
    ['of a huge length', `${ok}Content-Length: 99999999999999\r\n\r\n`, Buffer.alloc(65_536, 'x')],
    ['in chunks', `${ok}Transfer-Encoding: chunked\r\n\r\n`, `ffff\r\n${'x'.repeat(65_535)}\r\n`],
    ['in chunks of one byte', `${ok}Transfer-Encoding: chunked\r\n\r\n`, '1\r\nx\r\n'.repeat(10_000)],
    ['with a false encoding', `${ok}Content-Encoding: gzip\r\n\r\n`, Buffer.alloc(65_536, 'x')],
  ])('%s is cut, the run succeeds, and the connection is closed', async (_name, head, chunk) => {
    const { run } = setup();
    const server = await listen(endless(head, chunk));
    const output = await run({ url: server.url });
    expect(output).toMatchObject({ statusCode: 200, bodyTruncated: true });
    expect(output.body.length).toBeLessThanOrEqual(65_536);
    await server.allClosed();
    // 1 MiB was read; the rest is what the kernel and Node held in between.
    expect(server.bytesWritten()).toBeLessThan(48 * 1_048_576);
  });

  it('of an error is read no further either, and the status is told', async () => {
    const { failure } = setup();
    const server = await listen(endless('HTTP/1.1 404 Not Found\r\n\r\n', Buffer.alloc(65_536, 'x')));
    expect(await failure({ url: server.url })).toMatchObject({ type: 'HttpStatus', retryable: false });
    await server.allClosed();
  });

  it('of a redirect does not keep us from following it', async () => {
    const { run } = setup();
    const target = await listen(saying(`${ok}Content-Length: 2\r\n\r\nhi`));
    const server = await listen(
      endless(`HTTP/1.1 302 Found\r\nLocation: ${target.url}\r\n\r\n`, Buffer.alloc(65_536, 'x')),
    );
    expect(await run({ url: server.url })).toMatchObject({ statusCode: 200, body: 'hi' });
    await server.allClosed();
  });
});

describe('a compressed bomb', () => {
  const zeros = Buffer.alloc(64 * 1_048_576);

  it.each([
    ['gzip', () => gzipSync(zeros, { level: 1 })],
    ['deflate', () => deflateSync(zeros, { level: 1 })],
  ])('by %s is decompressed to 64 KiB and no further', async (coding, compress) => {
    const { run } = setup();
    const server = await listen(saying(httpOf(compress(), `Content-Encoding: ${coding}`)));
    const output = await run({ url: server.url });
    expect(output).toMatchObject({ statusCode: 200, bodyTruncated: true });
    expect(output.body.length).toBeGreaterThan(0);
    expect(Buffer.byteLength(output.body)).toBeLessThanOrEqual(65_536);
  });

  it('by Brotli is left alone, since its window alone would take 16 MiB', async () => {
    const { run, log } = setup();
    const params = { [constants.BROTLI_PARAM_QUALITY]: 1, [constants.BROTLI_PARAM_LGWIN]: 24 };
    const server = await listen(
      saying(httpOf(brotliCompressSync(zeros, { params }), 'Content-Encoding: br')),
    );
    expect(await run({ url: server.url })).toMatchObject({ statusCode: 200, body: '', bodyTruncated: true });
    expect(log[0]).toContain('"br"');
  });

  it('by zstd is left alone, for the same reason', async () => {
    const { run, log } = setup();
    const server = await listen(saying(httpOf(zstdCompressSync(zeros), 'Content-Encoding: zstd')));
    expect(await run({ url: server.url })).toMatchObject({ statusCode: 200, body: '', bodyTruncated: true });
    expect(log[0]).toContain('"zstd"');
  });

  it.each([
    'gzip, gzip',
    'gzip,br',
    'deflate, gzip, identity',
    'x-gzip'.padEnd(2000, '!'),
  ])('in layers (%s) is not unpacked twice', async (coding) => {
    const { run } = setup();
    const twice = gzipSync(gzipSync(zeros, { level: 9 }));
    const server = await listen(saying(httpOf(twice, `Content-Encoding: ${coding}`)));
    const output = await run({ url: server.url });
    expect(output).toMatchObject({ statusCode: 200, bodyTruncated: true });
    expect(Buffer.byteLength(output.body)).toBeLessThanOrEqual(65_536);
  });

  it('from many targets at once takes a bounded share of memory', async () => {
    const { run } = setup();
    const bomb = httpOf(gzipSync(Buffer.alloc(256 * 1_048_576), { level: 1 }), 'Content-Encoding: gzip');
    const bombs = await listen(saying(bomb));
    const floods = await listen(endless(`${ok}\r\n`, Buffer.alloc(65_536, 'x')));
    const before = process.memoryUsage().rss;
    let most = before;
    const look = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 5);
    const urls = Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? bombs.url : floods.url));
    const outputs = await Promise.all(urls.map((url) => run({ url })));
    clearInterval(look);
    for (const output of outputs) expect(output.bodyTruncated).toBe(true);
    // 13 GiB, unpacked; what both ends of 100 sockets hold is in here.
    expect((most - before) / 1_048_576).toBeLessThan(500);
    await floods.allClosed();
  });

  it('that is broken or cut costs the text, not the run', async () => {
    const whole = gzipSync('hello '.repeat(10_000));
    for (const body of [
      whole.subarray(0, whole.length / 2),
      Buffer.from('no gzip at all'),
      Buffer.alloc(1),
    ]) {
      const { run } = setup();
      const server = await listen(saying(httpOf(body, 'Content-Encoding: gzip')));
      expect(await run({ url: server.url })).toMatchObject({ statusCode: 200 });
    }
  });

  it('of any bytes in any coding is survived', async () => {
    const { run } = setup();
    let response = Buffer.alloc(0);
    const server = await listen((socket) => saying(response)(socket));
    const codings = fc.constantFrom('gzip', 'deflate', 'br');
    await fc.assert(
      fc.asyncProperty(codings, fc.uint8Array({ maxLength: 300 }), async (coding, bytes) => {
        response = httpOf(Buffer.from(bytes), `Content-Encoding: ${coding}\r\nConnection: close`);
        const output = await run({ url: server.url });
        expect(output.statusCode).toBe(200);
        expect(Buffer.byteLength(output.body)).toBeLessThanOrEqual(65_536);
      }),
      { numRuns: 100 },
    );
  });
});

describe('headers', () => {
  it.each([
    ['one without end', endless(`${ok}X-A: `, 'a'.repeat(1_024))],
    ['a name without end', endless(ok, 'a'.repeat(1_024))],
    ['many small ones', endless(ok, 'X-A: b\r\n'.repeat(100))],
    ['many huge ones', endless(ok, `X-A: ${'b'.repeat(15_000)}\r\n`)],
    ['trailers', endless(`${ok}Transfer-Encoding: chunked\r\n\r\n0\r\n`, 'X-A: b\r\n'.repeat(100))],
  ])('that do not end (%s) are refused', async (_name, behave) => {
    const { failure } = setup();
    const server = await listen(behave);
    const error = await failure({ url: server.url });
    expect(error).toMatchObject({ type: 'InvalidResponse', retryable: true });
    expect(error.message).toContain('headers are too large');
    await server.allClosed();
  });

  it.each([
    ['informational ones', endless('', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'), /informational/],
    ['100 Continue', endless('', 'HTTP/1.1 100 Continue\r\n\r\n'), /does not belong/],
    [
      '101 Switching',
      saying('HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'),
      /does not belong/,
    ],
  ])('that answer something else (%s) are refused', async (_name, behave, message) => {
    const { failure } = setup();
    const server = await listen(behave);
    const error = await failure({ url: server.url });
    expect(error.type).toBe('InvalidResponse');
    expect(error.message).toMatch(message);
    await server.allClosed();
  });
});

describe('time', () => {
  /** One byte per turn, so that something always arrives. */
  const dripping =
    (first: string, byte: string) =>
    (socket: Socket): void => {
      const drip = () => socket.write(byte, () => setImmediate(() => socket.destroyed || drip()));
      socket.once('data', () => socket.write(first, drip));
    };

  it.each([
    ['accepts and never answers', () => {}, 'waiting for a response'],
    ['sends half a status line', saying('HTTP/1.1 20'), 'waiting for a response'],
    [
      'sends a status line without end',
      endless('HTTP/1.1 200 ', 'x'.repeat(1_024)),
      'waiting for a response',
    ],
    ['sends blank lines for ever', endless('', '\r\n'.repeat(512)), 'waiting for a response'],
    ['sends headers and no blank line', saying(`${ok}X-A: b\r\n`), 'waiting for a response'],
    ['drips a header', dripping(`${ok}X-A: `, 'a'), 'waiting for a response'],
    ['sends half a body', saying(`${ok}Content-Length: 10\r\n\r\nhello`), 'reading the body'],
    ['drips a body', dripping(`${ok}Content-Length: 999999\r\n\r\n`, 'x'), 'reading the body'],
    ['drips chunks', dripping(`${ok}Transfer-Encoding: chunked\r\n\r\n`, '1\r\nx\r\n'), 'reading the body'],
    [
      'sends a chunk extension without end',
      endless(`${ok}Transfer-Encoding: chunked\r\n\r\n1;`, 'x'.repeat(1_024)),
      'reading the body',
    ],
    [
      'drips the body of a redirect',
      dripping('HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 999999\r\n\r\n', 'x'),
      'reading the body',
    ],
  ])('ends a call to a server that %s', async (_name, behave, phase) => {
    const { failure } = setup();
    const server = await listen(behave);
    const error = await failure({ url: server.url, timeout: '250ms' });
    expect(error).toMatchObject({ type: 'Timeout', retryable: true });
    expect(error.message).toBe(
      `GET http://127.0.0.1:${server.port}/hook: timed out after 250ms while ${phase}.`,
    );
    await server.allClosed();
  });

  it('ends a call whose connection never gets through its TLS handshake', async () => {
    const { failure } = setup();
    const server = await listen(() => {});
    const error = await failure({ url: `https://127.0.0.1:${server.port}/`, timeout: '250ms' });
    expect(error).toMatchObject({ type: 'Timeout', retryable: true });
    expect(error.message).toContain('while waiting for a connection');
  });

  it('covers the redirects too', async () => {
    const { failure } = setup();
    const silent = await listen(() => {});
    const server = await listen(
      saying(`HTTP/1.1 302 Found\r\nLocation: ${silent.url}\r\nContent-Length: 0\r\n\r\n`),
    );
    const error = await failure({ url: server.url, timeout: '250ms' });
    expect(error.type).toBe('Timeout');
    expect(error.message).toContain(`:${silent.port}/hook: timed out`);
    await silent.allClosed();
  });

  it('does not hide a status that was known', async () => {
    const { failure } = setup();
    const server = await listen(
      saying('HTTP/1.1 503 Busy\r\nRetry-After: 9\r\nContent-Length: 10\r\n\r\nlater'),
    );
    const error = await failure({ url: server.url, timeout: '250ms' });
    expect(error).toMatchObject({ type: 'HttpStatus', retryable: true, retryAfterMs: 9_000 });
    expect(error.message).toMatch(/answered 503: later$/);
    await server.allClosed();
  });

  it('frees every connection of many calls that hang, and later calls are served', async () => {
    const { run, failure } = setup();
    let isHanging = true;
    const server = await listen((socket) => {
      socket.on('data', () => isHanging || socket.write(`${ok}Content-Length: 2\r\n\r\nhi`));
    });
    const failures = await Promise.all(
      Array.from({ length: 200 }, () => failure({ url: server.url, timeout: '500ms' })),
    );
    expect(new Set(failures.map((error) => error.type))).toEqual(new Set(['Timeout']));
    await server.allClosed();
    isHanging = false;
    expect(await run({ url: server.url })).toMatchObject({ body: 'hi' });
  });
});

describe('a cancelled run', () => {
  it('lets go of a connection that is still being made', async () => {
    const controller = new AbortController();
    const { run } = setup({ signal: controller.signal });
    const server = await listen(() => controller.abort('over'));
    // Plain TCP behind https: the handshake never ends.
    await expect(run({ url: `https://127.0.0.1:${server.port}/` })).rejects.toBe('over');
  });
});

describe('a connection that is', () => {
  it('refused is a network error', async () => {
    const { failure } = setup();
    const closed = net.createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    const error = await failure({ url: `http://127.0.0.1:${port}/hook?token=secret` });
    expect(error).toMatchObject({ type: 'NetworkError', retryable: true });
    expect(error.message).toBe(`GET http://127.0.0.1:${port}/hook: connect ECONNREFUSED 127.0.0.1:${port}.`);
  });

  it('refused is told with each address when a name has several', async () => {
    const lookup: net.LookupFunction = (_host, _options, callback) =>
      callback(null, [
        { address: '127.0.0.1', family: 4 },
        { address: '127.0.0.2', family: 4 },
      ]);
    const { Agent } = await import('undici');
    const { failure } = setup({ dispatcher: new Agent({ connect: { lookup, autoSelectFamily: true } }) });
    const error = await failure({ url: 'http://several.test:1/' });
    expect(error.type).toBe('NetworkError');
    expect(error.message).toMatch(/ECONNREFUSED/);
  });

  it('impossible is a network error', async () => {
    const { failure } = setup();
    expect(await failure({ url: 'http://127.0.0.1:0/' })).toMatchObject({ type: 'NetworkError' });
  });

  it.each(['close', 'reset'] as const)('lost (%s) is a network error, wherever it happens', async (end) => {
    for (const bytes of [
      '',
      'HTTP/1.1 2',
      `${ok}X-A: b\r\n`,
      `${ok}Content-Length: 10\r\n\r\nhello`,
      `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhe`,
      `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`,
    ]) {
      const { failure } = setup();
      const server = await listen(saying(bytes, end));
      const error = await failure({ url: server.url });
      expect(error, bytes).toMatchObject({ retryable: true });
      expect(['NetworkError', 'InvalidResponse']).toContain(error.type);
      expect(error.message).not.toContain('secret');
      await server.allClosed();
    }
  });

  it('closed before the request is a network error', async () => {
    const { failure } = setup();
    const server = await listen((socket) => socket.destroy());
    expect(await failure({ url: server.url })).toMatchObject({ type: 'NetworkError', retryable: true });
  });

  it('closed at the end of a body of unknown length is how such a body ends', async () => {
    const { run } = setup();
    const server = await listen(saying(`${ok}\r\nhello`, 'close'));
    expect(await run({ url: server.url })).toMatchObject({ body: 'hello' });
  });

  it('closed in the middle of an error body does not hide the status', async () => {
    const { failure } = setup();
    const server = await listen(saying('HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\nhello', 'reset'));
    const error = await failure({ url: server.url });
    expect(error.type).toBe('HttpStatus');
    expect(error.message).toMatch(/answered 500/);
  });

  it('answered before a large body was taken keeps the answer or fails as a network error', async () => {
    const { run } = setup();
    const server = await listen((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n'));
    });
    const error = await run({ url: server.url, body: 'x'.repeat(250_000) }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(JobError);
    expect(['HttpStatus', 'NetworkError']).toContain((error as JobError).type);
    await server.allClosed();
  });

  it('fed a second answer on its own does not give it to the next call', async () => {
    const { run } = setup();
    let connections = 0;
    const forged = `${ok}Content-Length: 6\r\n\r\nforged`;
    const server = await listen((socket) => {
      connections += 1;
      saying(`${ok}Content-Length: 2\r\n\r\nhi${connections === 1 ? forged : ''}`)(socket);
    });
    expect(await run({ url: server.url })).toMatchObject({ body: 'hi' });
    expect(await run({ url: server.url })).toMatchObject({ body: 'hi' });
  });
});

describe('a response that is no HTTP', () => {
  it.each([
    'SSH-2.0-OpenSSH_9.6\r\n',
    '<html>hello</html>\r\n\r\n',
    'HTTP/1.1 abc OK\r\n\r\n',
    'HTTP/9.9 200 OK\r\n\r\n',
    `${ok}Content-Length: -1\r\n\r\n`,
    `${ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx`,
    `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `${ok}X A: b\r\n\r\n`,
    `${ok}X-A: b\r\nbroken\r\n\r\n`,
    `${ok}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`,
    `${ok}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n`,
  ])('is refused: %j', async (bytes) => {
    const { failure } = setup();
    const server = await listen(saying(bytes));
    expect(await failure({ url: server.url, timeout: '5s' })).toMatchObject({
      type: expect.stringMatching(/^(?:InvalidResponse|NetworkError)$/),
      retryable: true,
    });
    await server.allClosed();
  });

  it('of any bytes ends the call with an output or a JobError', async () => {
    const { run } = setup();
    let response = Buffer.alloc(0);
    const server = await listen((socket) => saying(response, 'close')(socket));
    const piece = fc.oneof(
      fc.constantFrom(
        ok,
        'HTTP/1.1 302 Found\r\n',
        'Location: /x\r\n',
        'Location: \r\n',
        '\r\n',
        '0\r\n',
        '5\r\n',
      ),
      fc.constantFrom(
        'Content-Length: 3\r\n',
        'Transfer-Encoding: chunked\r\n',
        'Content-Encoding: br\r\n',
        'abc',
      ),
      fc.constantFrom(
        'HTTP/1.1 100 C\r\n\r\n',
        'HTTP/1.1 503 B\r\n',
        'Retry-After: x\r\n',
        '__proto__: x\r\n',
      ),
      fc.uint8Array({ maxLength: 5 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 10 }), async (pieces) => {
        response = Buffer.from(pieces.join(''), 'latin1');
        const settled = await run({ url: server.url, timeout: '2s' }).catch((reason: unknown) => reason);
        if (settled instanceof Error) {
          expect(settled).toBeInstanceOf(JobError);
          expect(settled.message).not.toContain('secret');
          expect((settled as JobError).type).not.toBe('Timeout');
        }
      }),
      { numRuns: 300 },
    );
    await server.allClosed();
  });
});

describe('redirects', () => {
  it('in a circle end', async () => {
    const { failure } = setup();
    let requests = 0;
    const server = await listen((socket) => {
      socket.on('data', (data) => {
        requests += 1;
        const to = data.toString().startsWith('GET /a') ? '/b' : '/a';
        socket.write(`HTTP/1.1 302 Found\r\nLocation: ${to}?token=secret\r\nContent-Length: 0\r\n\r\n`);
      });
    });
    const error = await failure({ url: `http://127.0.0.1:${server.port}/a?token=secret` });
    expect(error).toMatchObject({ type: 'TooManyRedirects', retryable: false });
    expect(error.message).toContain('circle');
    expect(error.message).not.toContain('secret');
    expect(requests).toBe(2);
  });

  it('that go on and on end after five', async () => {
    const { failure } = setup();
    let requests = 0;
    const server = await listen((socket) => {
      socket.on('data', () => {
        requests += 1;
        socket.write(`HTTP/1.1 307 On\r\nLocation: /${requests}\r\nContent-Length: 0\r\n\r\n`);
      });
    });
    expect(await failure({ url: server.url, body: 'x' })).toMatchObject({ type: 'TooManyRedirects' });
    expect(requests).toBe(6);
  });

  it.each([
    'file:///etc/passwd',
    'ftp://127.0.0.1/',
    'gopher://127.0.0.1:70/_x',
    'javascript:alert(1)',
    'data:text/plain,hi',
    'unix:/run/docker.sock',
    'http+unix://%2Frun%2Fdocker.sock/',
    'ws://127.0.0.1/',
    'blob:http://127.0.0.1/x',
  ])('to %s are refused, and nothing is opened', async (to) => {
    const { failure } = setup();
    const server = await listen(saying(`HTTP/1.1 302 Found\r\nLocation: ${to}\r\nContent-Length: 0\r\n\r\n`));
    const error = await failure({ url: server.url });
    expect(error).toMatchObject({ type: 'InvalidConfiguration', retryable: false });
    expect(error.message).toContain('only http and https');
  });

  it.each([
    'http://',
    'http://[',
    'http://127.0.0.1:99999/',
    '//:0:0',
    'http://a b/',
    `/${'x'.repeat(15_000)}`,
  ])('to no address (%s) end the call', async (to) => {
    const { failure } = setup();
    const server = await listen(saying(`HTTP/1.1 302 Found\r\nLocation: ${to}\r\nContent-Length: 0\r\n\r\n`));
    const error = await failure({ url: server.url, timeout: '5s' });
    expect(['InvalidResponse', 'NetworkError']).toContain(error.type);
    expect(error.message.length).toBeLessThan(1000);
  });

  it('from https to http are refused', async () => {
    const plain = await listen(saying(`${ok}Content-Length: 0\r\n\r\n`));
    const { Agent } = await import('undici');
    const { failure } = setup({ dispatcher: new Agent({ connect: { rejectUnauthorized: false } }) });
    const server = await listen(
      saying(`HTTP/1.1 302 Found\r\nLocation: ${plain.url}\r\nContent-Length: 0\r\n\r\n`),
      () => tls.createServer(selfSigned()),
    );
    const error = await failure({ url: `https://127.0.0.1:${server.port}/` });
    expect(error).toMatchObject({ type: 'InvalidConfiguration', retryable: false });
    expect(error.message).toContain('not encrypted');
    expect(error.message).not.toContain('secret');
  });
});

describe('TLS', () => {
  it('with a certificate that nobody vouches for is refused', async () => {
    const { failure } = setup();
    const server = await listen(
      () => {},
      () => tls.createServer(selfSigned()),
    );
    const error = await failure({ url: `https://127.0.0.1:${server.port}/` });
    expect(error).toMatchObject({ type: 'NetworkError', retryable: true });
    expect(error.message).toContain('TLS');
    expect(error.message).toContain('DEPTH_ZERO_SELF_SIGNED_CERT');
    await server.allClosed();
  });

  it('with a certificate for another name is refused, though it is trusted', async () => {
    const { Agent } = await import('undici');
    const pair = selfSigned();
    const { failure } = setup({ dispatcher: new Agent({ connect: { ca: pair.cert } }) });
    const server = await listen(
      () => {},
      () => tls.createServer(pair),
    );
    const error = await failure({ url: `https://127.0.0.1:${server.port}/` });
    expect(error).toMatchObject({ type: 'NetworkError', retryable: true });
    expect(error.message).toContain('TLS');
    await server.allClosed();
  });

  it('where none is spoken is refused', async () => {
    const { failure } = setup();
    const server = await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const error = await failure({ url: `https://127.0.0.1:${server.port}/` });
    expect(error).toMatchObject({ type: 'NetworkError', retryable: true });
    expect(error.message).toContain('TLS');
    await server.allClosed();
  });

  it('where plain HTTP is spoken is refused', async () => {
    const { failure } = setup();
    const server = await listen(
      () => {},
      () => tls.createServer(selfSigned()),
    );
    const error = await failure({ url: server.url });
    expect(['NetworkError', 'InvalidResponse']).toContain(error.type);
    await server.allClosed();
  });
});

/** A certificate that signs itself (RFC 5280), made here so that no private key lies in the repository. */
function selfSigned(): { key: string; cert: string } {
  const der = (tag: number, ...parts: Buffer[]): Buffer => {
    const content = Buffer.concat(parts);
    const length =
      content.length < 128 ? [content.length] : [0x82, content.length >> 8, content.length & 0xff];
    return Buffer.concat([Buffer.from([tag, ...length]), content]);
  };
  const sequence = (...parts: Buffer[]) => der(0x30, ...parts);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = sequence(Buffer.from('06082a8648ce3d040302', 'hex'));
  const name = sequence(
    der(0x31, sequence(Buffer.from('0603550403', 'hex'), der(0x0c, Buffer.from('localhost')))),
  );
  const validity = sequence(der(0x17, Buffer.from('200101000000Z')), der(0x17, Buffer.from('491231235959Z')));
  const toBeSigned = sequence(
    der(0x02, Buffer.from([1])),
    ecdsaWithSha256,
    name,
    validity,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', toBeSigned, privateKey));
  const base64 = sequence(toBeSigned, ecdsaWithSha256, signature).toString('base64');
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
  };
}
