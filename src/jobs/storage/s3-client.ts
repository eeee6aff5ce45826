/**
 * The AWS SDK, loaded when the first bucket is used: it is 25 MB of memory and a second of CPU that a service
 * without one does not pay.
 */
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { invalidConfiguration } from './target-faults.ts';

/** What is absent is looked for by the SDK's own chain: AWS_* variables, ~/.aws, the machine's role. */
export type S3Options = {
  /** Of a store that is not Amazon's, as https://minio.example:9000 */
  endpoint?: string | undefined;
  region?: string | undefined;
  /** The bucket in the path, not in the host name. Default: with an endpoint. */
  forcePathStyle?: boolean | undefined;
  credentials?:
    | { accessKeyId: string; secretAccessKey: string; sessionToken?: string | undefined }
    | undefined;
};

export type S3Access = {
  sdk: typeof import('@aws-sdk/client-s3');
  storage: typeof import('@aws-sdk/lib-storage');
  /** For everything that is answered at once. */
  client: S3Client;
  /** For contents that are read: their reader may take its time. */
  reader: S3Client;
  close(): void;
};

const connectMsMax = 10_000;
/** Without a byte in either direction. */
const silenceMsMax = 60_000;
/** Of each request; the SDK waits in between, longer each time. */
const triesMax = 4;
/** Signatures need a region; stores without any take this one. */
const regionOfNone = 'us-east-1';

/** @throws JobError `InvalidConfiguration` when no region can be found */
export async function openS3(options: S3Options): Promise<S3Access> {
  const [sdk, storage] = await Promise.all([import('@aws-sdk/client-s3'), import('@aws-sdk/lib-storage')]);
  const common: S3ClientConfig = {
    maxAttempts: triesMax,
    // Checksums of the SDK's own kind are refused, or not understood, by MinIO, Garage, R2 of many versions.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    forcePathStyle: options.forcePathStyle ?? options.endpoint !== undefined,
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    ...(options.credentials !== undefined && { credentials: options.credentials }),
    region: options.region ?? (await chainRegion(sdk, options.endpoint)),
  };
  const client = new sdk.S3Client({
    ...common,
    requestHandler: { connectionTimeout: connectMsMax, socketTimeout: silenceMsMax },
  });
  // A silence here may be the reader's own: a restore builds an index while the connection waits. So only the time
  // until the answer begins is bounded; that the other side is gone is found by TCP keep-alive, or by the job's timeout.
  const reader = new sdk.S3Client({
    ...common,
    requestHandler: {
      connectionTimeout: connectMsMax,
      requestTimeout: silenceMsMax,
      throwOnRequestTimeout: true,
    },
  });
  return {
    sdk,
    storage,
    client,
    reader,
    close: () => {
      client.destroy();
      reader.destroy();
    },
  };
}

async function chainRegion(sdk: S3Access['sdk'], endpoint: string | undefined): Promise<string> {
  const probe = new sdk.S3Client({});
  try {
    return await probe.config.region();
  } catch {
    if (endpoint !== undefined) return regionOfNone;
    throw invalidConfiguration(
      'No region is set for S3: set AWS_REGION to that of the bucket, as eu-central-1.',
    );
  } finally {
    probe.destroy();
  }
}
