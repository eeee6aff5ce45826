/** What went wrong with a call, as a JobError with a stable type and a message that holds no secrets. Pure. */
import { codeOf, messageOf } from '../../errors.ts';
import { JobError } from '../job.ts';

const shownPathLengthMax = 200;

/** Origin and path: query strings and user names may be secrets. */
export function displayUrl(url: URL): string {
  const path = url.pathname;
  return url.origin + (path.length > shownPathLengthMax ? `${path.slice(0, shownPathLengthMax)}…` : path);
}

/**
 * The JobError for what undici, Node's sockets or we ourselves reported. `call` is the method and address for the
 * message. All are retryable but a request that can never be sent.
 */
export function httpFault(call: string, error: unknown): JobError {
  const code = codeOf(error);
  const message = messageOf(error);
  const fault = (type: string, text: string) => new JobError(type, `${call}: ${text}`, { cause: error });

  if (error instanceof JobError) return fault(error.type, `${message}.`);
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return fault('Timeout', 'no connection could be made in time.');
  if (code === 'UND_ERR_HEADERS_OVERFLOW')
    return fault('InvalidResponse', 'the response headers are too large.');
  if (code.startsWith('HPE_')) return fault('InvalidResponse', `the response is not valid HTTP (${code}).`);
  if (code === 'UND_ERR_SOCKET' && /^bad (?:response|upgrade)$/.test(message)) {
    return fault('InvalidResponse', 'the response does not belong to the request.');
  }
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') {
    return fault('NetworkError', 'the connection ended before the body was complete.');
  }
  if (code === 'UND_ERR_SOCKET') {
    return fault('NetworkError', 'the other side closed the connection before the response was complete.');
  }
  if (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED') {
    return new JobError('InvalidConfiguration', `${call}: the request cannot be sent: ${message}.`, {
      retryable: false,
      cause: error,
    });
  }
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') {
    return fault('NetworkError', 'the service is shutting down, and its connections are closed.');
  }
  if (isTlsCode(code)) {
    return fault('NetworkError', `the TLS connection failed: ${tlsReasonOf(error) ?? message} (${code}).`);
  }
  return fault(
    'NetworkError',
    code === '' || message.includes(code) ? `${message}.` : `${message} (${code}).`,
  );
}

/** OpenSSL's few words; its message begins with a memory address, which would make each failure look different. */
function tlsReasonOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('reason' in error)) return null;
  return typeof error.reason === 'string' && error.reason !== '' ? error.reason : null;
}

/** Node's names for certificates that fail verification (OpenSSL's X509_V_ERR_*), and OpenSSL's own protocol faults. */
function isTlsCode(code: string): boolean {
  return /^ERR_(?:TLS|SSL)_|^EPROTO$|^CERT_|_CERT|SIGNATURE|^(?:HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)$/.test(
    code,
  );
}
