/**
 * A small S3 store for tests: what a backup needs of the protocol, path style, with faults on demand. It looks that
 * requests are signed, and does not check the signature: a wrong secret is played with `refuseAll`.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type StoredObject = { body: Buffer; modifiedAtMs: number };
type Upload = { bucket: string; key: string; parts: Map<number, Buffer> };
export type Refusal = { status: number; code: string };

/** `cut`: the connection breaks in the middle. `hold`: no answer ever comes. */
export type Fault = 'cut' | 'hold' | Refusal;

export type S3Server = {
  endpoint: string;
  /** Bucket → key → object. Without the bucket requests are answered by NoSuchBucket. */
  buckets: Map<string, Map<string, StoredObject>>;
  /** Multipart uploads that were neither completed nor aborted. */
  uploads: Map<string, Upload>;
  /** As "PUT /bucket/key?partNumber=1&uploadId=…", in the order of their arrival. */
  requests: string[];
  /** For the next so many requests whose line matches; resolves when the first has come. */
  failNext(line: RegExp, fault: Fault, times?: number): Promise<void>;
  /** For all requests from now on; null: as before. */
  refuseAll(refusal: Refusal | null): void;
  close(): Promise<void>;
};

const pageKeysMax = 3; // small, so that lists have pages
const xml = (name: string, inner: string) =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<${name}>${inner}</${name}>`;
const escaped = (text: string) => text.replace(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`);
const etagOf = (body: Buffer) => `"${createHash('md5').update(body).digest('hex')}"`;

class Refused extends Error {
  readonly refusal: Refusal;
  constructor(status: number, code: string) {
    super(code);
    this.refusal = { status, code };
  }
}

type Asked = {
  method: string;
  bucket: string;
  key: string;
  query: URLSearchParams;
  request: IncomingMessage;
  response: ServerResponse;
  body: Buffer;
};

export async function startS3Server(...bucketNames: string[]): Promise<S3Server> {
  const buckets: S3Server['buckets'] = new Map(bucketNames.map((name) => [name, new Map()]));
  const uploads: S3Server['uploads'] = new Map();
  const requests: string[] = [];
  const faults: { line: RegExp; fault: Fault; left: number; met: () => void }[] = [];
  let refusedAll: Refusal | null = null;

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://store');
    const line = `${request.method} ${decodeURIComponent(url.pathname)}${url.search}`;
    requests.push(line);
    try {
      const found = faults.find((each) => each.left > 0 && each.line.test(line));
      if (found !== undefined) found.left -= 1;
      found?.met();
      const fault = found?.fault;
      if (fault === 'hold') {
        request.resume().on('error', () => undefined);
        return;
      }
      if (fault === 'cut' && request.method !== 'GET') {
        request.once('data', () => request.socket.destroy()).on('error', () => undefined);
        return;
      }
      const body = await bodyOf(request);
      if (fault !== undefined && fault !== 'cut') throw new Refused(fault.status, fault.code);
      if (refusedAll !== null) throw new Refused(refusedAll.status, refusedAll.code);
      const authorization = request.headers.authorization ?? '';
      if (
        !/^AWS4-HMAC-SHA256 Credential=\S+\/s3\/aws4_request, ?SignedHeaders=\S+, ?Signature=[0-9a-f]{64}$/.test(
          authorization,
        )
      ) {
        throw new Refused(403, 'AccessDenied');
      }
      const [, bucket = '', key = ''] = /^\/([^/]*)\/?(.*)$/s.exec(decodeURIComponent(url.pathname)) ?? [];
      const asked = {
        method: request.method ?? '',
        bucket,
        key,
        query: url.searchParams,
        request,
        response,
        body,
      };
      const answered = answer(asked, buckets, uploads);
      if ('body' in answered) sendObject(asked, answered, fault === 'cut');
      else response.writeHead(answered.status, answered.headers).end(answered.text);
    } catch (error) {
      if (!(error instanceof Refused)) {
        request.socket.destroy(); // the other side is gone
        return;
      }
      const { status, code } = error.refusal;
      const inner = `<Code>${code}</Code><Message>Told by the test's store.</Message>`;
      response.writeHead(status, { 'content-type': 'application/xml' });
      response.end(request.method === 'HEAD' ? undefined : xml('Error', inner));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    buckets,
    uploads,
    requests,
    failNext: (line, fault, times = 1) =>
      new Promise((met) => {
        faults.push({ line, fault, left: times, met });
      }),
    refuseAll: (refusal) => {
      refusedAll = refusal;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Answer = { status: number; text: string; headers?: Record<string, string> } | StoredObject;

function answer(asked: Asked, buckets: S3Server['buckets'], uploads: S3Server['uploads']): Answer {
  const { method, bucket, key, query, body } = asked;
  const objects = buckets.get(bucket);
  if (objects === undefined) throw new Refused(404, 'NoSuchBucket');
  const store = (content: Buffer) => {
    objects.set(key, { body: content, modifiedAtMs: Date.now() });
    return { etag: etagOf(content) };
  };

  if (method === 'GET' && key === '') return { status: 200, text: page(objects, query) };
  if (method === 'POST' && query.has('uploads')) {
    const id = randomBytes(8).toString('hex');
    uploads.set(id, { bucket, key, parts: new Map() });
    return { status: 200, text: xml('InitiateMultipartUploadResult', `<UploadId>${id}</UploadId>`) };
  }
  const uploadId = query.get('uploadId');
  if (uploadId !== null) {
    const upload = uploads.get(uploadId);
    if (upload === undefined || upload.key !== key) throw new Refused(404, 'NoSuchUpload');
    const parts = [...upload.parts].sort(([a], [b]) => a - b);
    if (method === 'PUT') {
      upload.parts.set(Number(query.get('partNumber')), body);
      return { status: 200, text: '', headers: { etag: etagOf(body) } };
    }
    if (method === 'GET') {
      const list = parts.map(
        ([n, part]) => `<Part><PartNumber>${n}</PartNumber><Size>${part.length}</Size></Part>`,
      );
      return { status: 200, text: xml('ListPartsResult', list.join('')) };
    }
    uploads.delete(uploadId);
    if (method === 'DELETE') return { status: 204, text: '' };
    const named = [...body.toString().matchAll(/<PartNumber>(\d+)</g)].map((match) => Number(match[1]));
    if (named.join() !== parts.map(([n]) => n).join()) throw new Refused(400, 'InvalidPart');
    const tag = store(Buffer.concat(parts.map(([, part]) => part)));
    return { status: 200, text: xml('CompleteMultipartUploadResult', `<ETag>${escaped(tag.etag)}</ETag>`) };
  }
  if (method === 'PUT') return { status: 200, text: '', headers: store(body) };
  const found = objects.get(key);
  if (method === 'DELETE') {
    objects.delete(key);
    return { status: 204, text: '' };
  }
  if (found === undefined) throw new Refused(404, 'NoSuchKey');
  return found;
}

function sendObject(
  { method, request, response }: Asked,
  { body, modifiedAtMs }: StoredObject,
  isCut: boolean,
): void {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const part = range ? body.subarray(Number(range[1]), range[2] ? Number(range[2]) + 1 : undefined) : body;
  response.writeHead(range ? 206 : 200, {
    'content-length': part.length,
    'last-modified': new Date(modifiedAtMs).toUTCString(),
    etag: etagOf(body),
  });
  if (method === 'HEAD') response.end();
  else if (isCut) response.write(part.subarray(0, part.length / 2), () => response.destroy());
  else response.end(part);
}

function page(objects: Map<string, StoredObject>, query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter');
  const after = query.get('continuation-token') ?? '';
  const sizeMax = Math.min(pageKeysMax, Number(query.get('max-keys') ?? pageKeysMax));
  const keys = [...objects.keys()]
    .filter((key) => key.startsWith(prefix) && key > after)
    .filter((key) => delimiter === null || !key.slice(prefix.length).includes(delimiter))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const shown = keys.slice(0, sizeMax);
  const contents = shown.map((key) => {
    const { body, modifiedAtMs } = objects.get(key)!;
    const time = new Date(modifiedAtMs).toISOString();
    return `<Contents><Key>${escaped(key)}</Key><Size>${body.length}</Size><LastModified>${time}</LastModified></Contents>`;
  });
  const isTruncated = shown.length < keys.length;
  const next = isTruncated ? `<NextContinuationToken>${escaped(shown.at(-1)!)}</NextContinuationToken>` : '';
  return xml('ListBucketResult', `<IsTruncated>${isTruncated}</IsTruncated>${next}${contents.join('')}`);
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const isChunked =
    request.headers['content-encoding']?.includes('aws-chunked') === true ||
    String(request.headers['x-amz-content-sha256']).startsWith('STREAMING-');
  return isChunked ? unchunked(body) : body;
}

/** aws-chunked: "<hex length>[;chunk-signature=…]\r\n<bytes>\r\n" until a length of 0; trailers may follow. */
function unchunked(body: Buffer): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = body.indexOf('\r\n', at);
    const length = Number.parseInt(body.subarray(at, end).toString(), 16);
    if (end < 0 || Number.isNaN(length)) throw new Refused(400, 'IncompleteBody');
    if (length === 0) return Buffer.concat(chunks);
    chunks.push(body.subarray(end + 2, end + 2 + length));
    at = end + 2 + length + 2;
  }
}
