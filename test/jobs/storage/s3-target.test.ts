import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { s3Fault } from '../../../src/jobs/storage/s3-faults.ts';
import { openTarget } from '../../../src/jobs/storage/storage-target.ts';
import { type Refusal, startS3Server } from '../../support/s3-server.ts';

const MiB = 1024 * 1024;
const SECRET = 'canary-secret';
const undo: (() => unknown)[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const each of undo.splice(0).reverse()) await each();
});

async function setup({ bucket = 'vault' } = {}) {
  const server = await startS3Server('vault');
  const target = openTarget(`s3://${bucket}/daily/`, {
    now: () => 0,
    s3: {
      endpoint: server.endpoint,
      region: 'eu',
      credentials: { accessKeyId: 'key', secretAccessKey: SECRET },
    },
  });
  undo.push(server.close, () => target.close());
  return { server, target, objects: server.buckets.get('vault')! };
}

const invalid = (message: RegExp) => ({
  type: 'InvalidConfiguration',
  retryable: false,
  message: expect.stringMatching(message),
});
const unreachable = { type: 'TargetUnreachable', retryable: true };
const mebibytes = (count: number) => Readable.from(Array.from({ length: count }, () => Buffer.alloc(MiB)));

describe('a check', () => {
  it('names the bucket that is not there', async () => {
    const { target } = await setup({ bucket: 'missing' });
    await expect(target.check()).rejects.toMatchObject(invalid(/bucket missing at 127.*create it/));
  });

  it.each<[Refusal, RegExp]>([
    [{ status: 403, code: 'AccessDenied' }, /allow it s3:ListBucket/],
    [{ status: 403, code: 'InvalidAccessKeyId' }, /AWS_ACCESS_KEY_ID/],
    [{ status: 403, code: 'SignatureDoesNotMatch' }, /AWS_SECRET_ACCESS_KEY/],
    [{ status: 400, code: 'ExpiredToken' }, /expired/],
    [{ status: 400, code: 'AuthorizationHeaderMalformed' }, /AWS_REGION/],
    [{ status: 403, code: 'SomethingNew' }, /allow it/],
  ])('says what to do about %j', async (refusal, words) => {
    const { server, target } = await setup();
    server.refuseAll(refusal);
    const fault = await target.check().catch((error) => error);
    expect(fault).toMatchObject(invalid(words));
    expect(fault.cause).toBeUndefined();
    expect(JSON.stringify({ ...fault, message: fault.message, stack: fault.stack })).not.toContain(SECRET);
  });

  it('says that writing is not allowed where reading is', async () => {
    const { server, target } = await setup();
    void server.failNext(/^PUT .*\.carillon-check/, { status: 403, code: 'AccessDenied' });
    await expect(target.check()).rejects.toMatchObject(invalid(/s3:PutObject/));
  });

  it('finds nobody there', async () => {
    const { server, target } = await setup();
    await server.close();
    await expect(target.check()).rejects.toMatchObject(unreachable);
  });

  it('asks for credentials when the chain has none, and for a region', async () => {
    const { server } = await setup();
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE', 'AWS_REGION']) {
      vi.stubEnv(name, undefined);
    }
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere');
    const bare = openTarget('s3://vault/', { now: () => 0, s3: { endpoint: server.endpoint } });
    undo.push(() => bare.close());
    await expect(bare.check()).rejects.toMatchObject(invalid(/set AWS_ACCESS_KEY_ID and/));
    await expect(openTarget('s3://vault/', { now: () => 0 }).check()).rejects.toMatchObject(
      invalid(/set AWS_REGION/),
    );
    // And it is found once it is there.
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', SECRET);
    const found = openTarget('s3://vault/', { now: () => 0, s3: { endpoint: server.endpoint } });
    undo.push(() => found.close());
    await found.check();
  });
});

describe('a store that is busy for a moment', () => {
  it.each([
    /^PUT .*partNumber=2/,
    /^POST .*uploads/,
    /^POST .*uploadId/,
  ])('is asked again for %s', async (line) => {
    const { server, target } = await setup();
    void server.failNext(line, { status: 503, code: 'SlowDown' });
    const bytes = randomBytes(20 * MiB);
    await target.put('a', Readable.from([bytes]));
    expect((await buffer(await target.get('a'))).equals(bytes)).toBe(true);
    expect(server.uploads.size).toBe(0);
  });

  it('and for a part whose connection was cut', async () => {
    const { server, target } = await setup();
    void server.failNext(/^PUT .*partNumber=1/, 'cut');
    const bytes = randomBytes(20 * MiB);
    await target.put('a', Readable.from([bytes]));
    expect((await buffer(await target.get('a'))).equals(bytes)).toBe(true);
  });
});

describe('an upload', () => {
  it('that is refused for good stops reading its content, and leaves no part', async () => {
    const { server, target, objects } = await setup();
    void server.failNext(/^PUT .*partNumber=2/, { status: 403, code: 'AccessDenied' });
    let given = 0;
    const content = Readable.from(
      (function* () {
        for (; given < 200; given++) yield Buffer.alloc(MiB);
      })(),
    );
    await expect(target.put('a', content)).rejects.toMatchObject({ type: 'InvalidConfiguration' });
    expect(content.destroyed).toBe(true);
    expect(given).toBeLessThan(60);
    expect(server.uploads.size).toBe(0);
    expect(objects.size).toBe(0);
  });

  it.each([
    [{ status: 503, code: 'SlowDown' }, 'TargetUnreachable'],
    [{ status: 500, code: 'InternalError' }, 'TargetUnreachable'],
    [{ status: 507, code: 'XMinioStorageFull' }, 'TargetFull'],
  ] as const)('may be tried again after %j that lasts', async (refusal, type) => {
    const { server, target } = await setup();
    void server.failNext(/^PUT .*partNumber/, refusal, 99);
    await expect(target.put('a', mebibytes(9))).rejects.toMatchObject({ type, retryable: true });
    expect(server.uploads.size).toBe(0);
  });

  it('is ended by an abort while a part is on its way', async () => {
    const { server, target, objects } = await setup();
    const met = server.failNext(/^PUT .*partNumber=2/, 'hold');
    const abort = new AbortController();
    const put = target.put('a', mebibytes(40), { signal: abort.signal });
    void met.then(() => abort.abort(new Error('cancel')));
    await expect(put).rejects.toThrow('cancel');
    expect(server.uploads.size).toBe(0);
    expect(objects.size).toBe(0);
  });

  it('is ended by an abort while it begins, and while it is completed', async () => {
    for (const line of [/^PUT .*daily\/a/, /^POST .*uploadId/]) {
      const { server, target, objects } = await setup();
      const met = server.failNext(line, 'hold');
      const abort = new AbortController();
      const put = target.put('a', mebibytes(line.source.startsWith('^PUT') ? 1 : 9), {
        signal: abort.signal,
      });
      void met.then(() => abort.abort(new Error('cancel')));
      await expect(put).rejects.toThrow('cancel');
      expect(server.uploads.size).toBe(0);
      expect(objects.size).toBe(0);
    }
  });

  it('makes larger parts for what will be larger', async () => {
    const { server, target } = await setup();
    await target.put('a', mebibytes(33), { bytesExpected: 100 * 1024 * MiB });
    expect(server.requests.filter((line) => line.includes('partNumber'))).toHaveLength(3);
  });
});

describe('a download', () => {
  it('that is cut in the middle fails, and does not end', async () => {
    const { server, target } = await setup();
    await target.put('a', mebibytes(4));
    void server.failNext(/^GET .*daily\/a/, 'cut');
    await expect(buffer(await target.get('a'))).rejects.toMatchObject(unreachable);
  });

  it('of what is not there is not mistaken for a missing bucket', async () => {
    const { target } = await setup();
    await expect(target.get('a')).rejects.toMatchObject({ type: 'BackupMissing' });
    const elsewhere = await setup({ bucket: 'missing' });
    await expect(elsewhere.target.get('a')).rejects.toMatchObject(invalid(/no such bucket/));
  });

  it('is ended by an abort while the answer is awaited', async () => {
    const { server, target } = await setup();
    const abort = new AbortController();
    void server.failNext(/^GET .*daily\/a/, 'hold').then(() => abort.abort(new Error('cancel')));
    await expect(target.get('a', { signal: abort.signal })).rejects.toThrow('cancel');
  });
});

describe('a list', () => {
  it('shows only what lies directly under the prefix, and is not hidden', async () => {
    const { target, objects } = await setup();
    for (const key of [
      'daily/',
      'daily/a',
      'daily/.carillon-check',
      'daily/deep/b',
      'dailyx',
      'other',
      'daily/z',
    ]) {
      objects.set(key, { body: Buffer.from(key), modifiedAtMs: 1_000_000 });
    }
    expect(await Array.fromAsync(target.list())).toEqual([
      { name: 'a', bytes: 7, modifiedAtMs: 1_000_000 },
      { name: 'z', bytes: 7, modifiedAtMs: 1_000_000 },
    ]);
  });
});

describe('the faults', () => {
  it.each([
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'InvalidConfiguration'],
    ['ECONNREFUSED', 'TargetUnreachable'],
    ['ENOTFOUND', 'TargetUnreachable'],
  ])('%s is %s', (code, type) => {
    const error = Object.assign(new Error('it failed'), { code, $metadata: { attempts: 3 } });
    expect(s3Fault(error, 'The bucket b')).toMatchObject({ type });
  });
});

it('the SDK is not loaded before a bucket is used', () => {
  const script = `
    import { registerHooks } from 'node:module';
    const seen = [];
    registerHooks({ resolve: (name, context, next) => { seen.push(name); return next(name, context); } });
    const { openTarget } = await import('./src/jobs/storage/storage-target.ts');
    openTarget('s3://bucket/', { now: () => 0 });
    process.stdout.write(JSON.stringify(seen.filter((name) => /aws|smithy/.test(name))));`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(output).toBe('[]');
});
