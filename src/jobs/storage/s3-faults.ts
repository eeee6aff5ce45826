/**
 * What an S3 store, or the way to it, answers instead of doing it. The SDK's error is never handed on as a cause: some
 * carry the access key and the text that was signed.
 */
import { codeOf } from '../../errors.ts';
import { JobError } from '../job.ts';
import { invalidConfiguration, messageOf, oneLine } from './target-faults.ts';

/** Code of the answer → what to do about it. */
const toCorrect: Record<string, string> = {
  NoSuchBucket: 'There is no such bucket: create it, or correct the location.',
  InvalidBucketName: 'No bucket can have this name: correct the location.',
  AccessDenied:
    'The key may not do this: allow it s3:ListBucket on the bucket and s3:GetObject, s3:PutObject, s3:DeleteObject' +
    ' and s3:AbortMultipartUpload on what is in it.',
  AllAccessDisabled: 'The bucket is closed by its provider.',
  InvalidAccessKeyId: 'The access key is not known there: correct AWS_ACCESS_KEY_ID.',
  SignatureDoesNotMatch: 'The secret does not fit the access key: correct AWS_SECRET_ACCESS_KEY.',
  InvalidToken: 'The session token is not valid: correct or remove AWS_SESSION_TOKEN.',
  ExpiredToken: 'The session token has expired: renew it, or use a key that lasts.',
  CredentialsProviderError:
    'No credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role.',
  AuthorizationHeaderMalformed: 'The region is not that of the bucket: set AWS_REGION to it.',
  PermanentRedirect: 'The bucket is in another region: set AWS_REGION to it.',
  RequestTimeTooSkewed: 'The clocks of this machine and of the store disagree: set this one right.',
};
/** Other codes that mean the same. */
const alike: Record<string, string> = {
  Forbidden: 'AccessDenied',
  AllAccessDenied: 'AccessDenied',
  MovedPermanently: 'PermanentRedirect',
  IllegalLocationConstraintException: 'PermanentRedirect',
  ExpiredTokenException: 'ExpiredToken',
};
const full = [
  'QuotaExceeded',
  'XMinioStorageFull',
  'InsufficientStorage',
  'StorageFull',
  'InsufficientCapacity',
];
const passing = [
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'TooManyRequests',
  'RequestTimeout',
  'TimeoutError',
];
const untrusted = /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|ERR_TLS_CERT)/;

/** @param where the bucket, for the message */
export function s3Fault(error: unknown, where: string): JobError {
  if (error instanceof JobError) return error;
  const name = nameOf(error);
  const code = alike[name] ?? name;
  const status = statusOf(error);
  const said = `${name}${status === undefined ? '' : ` ${status}`}: ${oneLine(messageOf(error))}`;
  const advice = toCorrect[code];
  if (advice !== undefined) return invalidConfiguration(`${where}: ${advice} (${said})`);
  if (full.includes(code) || status === 507) {
    return new JobError('TargetFull', `${where} takes no more: free some room or raise its quota. (${said})`);
  }
  if (status === undefined && untrusted.test(codeOf(error))) {
    return invalidConfiguration(
      `${where}: the certificate of the store is not trusted (${codeOf(error)}): name its authority in` +
        ' NODE_EXTRA_CA_CERTS, or correct the endpoint.',
    );
  }
  // Without a status nothing was answered: refused, cut, timed out, no such host.
  if (status === undefined || status >= 500 || status === 429 || status === 408 || passing.includes(code)) {
    return new JobError('TargetUnreachable', `${where} could not be reached or was busy. (${said})`);
  }
  if (status === 403) return invalidConfiguration(`${where}: ${toCorrect.AccessDenied} (${said})`);
  if (status === 301) return invalidConfiguration(`${where}: ${toCorrect.PermanentRedirect} (${said})`);
  return new JobError('TargetRefused', `${where} refused: is the endpoint that of an S3 store? (${said})`);
}

export function isMissing(error: unknown): boolean {
  return ['NoSuchKey', 'NotFound'].includes(nameOf(error));
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'Error';
  // Without a body, as to a HEAD, the SDK knows no code and says "Unknown" or "UnknownError" or the status itself.
  if ('Code' in error && typeof error.Code === 'string') return error.Code;
  return error.name;
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('$metadata' in error)) return undefined;
  const metadata = error.$metadata as { httpStatusCode?: unknown } | undefined;
  return typeof metadata?.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}
