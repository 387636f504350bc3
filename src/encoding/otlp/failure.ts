// What the answers of OTLP peers mean: try again, when, in halves, or never (the Collector's rules).

import { ExportError } from '../../pipeline/errors.ts';
import { readStatus } from './response.ts';

const names: readonly string[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

const RESOURCE_EXHAUSTED = 8;
const INTERNAL = 13;
/** CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS. */
const retryableCodes = new Set([1, 4, 10, 11, 14, 15]);

export type GrpcAnswer = {
  readonly code: number;
  readonly details: string;
  /** google.rpc.Status of `grpc-status-details-bin`. */
  readonly status?: Uint8Array | undefined;
};

/** A failed gRPC call. RESOURCE_EXHAUSTED is worth another try only when the peer says when. */
export function grpcFailure({ code, details, status }: GrpcAnswer): ExportError {
  const retryAfterMs = status === undefined ? undefined : readStatus(status).retryAfterMs;
  const exhausted = code === RESOURCE_EXHAUSTED;
  // A connection that breaks in the middle of a call is reported as INTERNAL, though no server answered.
  const broken = code === INTERNAL && /RST_STREAM|ECONNRESET|EPIPE|socket hang up/.test(details);
  return new ExportError(`${names[code] ?? `code ${code}`}: ${details}`, {
    retryable: retryableCodes.has(code) || (exhausted && retryAfterMs !== undefined) || broken,
    retryAfterMs,
    tooLarge: exhausted && retryAfterMs === undefined && saysTooLarge(details),
  });
}

const retryableStatuses = new Set([429, 502, 503, 504]);

export type HttpAnswer = {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly text: string;
  readonly nowMs: number;
};

/** An HTTP answer other than 2xx. */
export function httpFailure({ status, retryAfter, text, nowMs }: HttpAnswer): ExportError {
  const tooLarge = status === 413 || (status === 400 && saysTooLarge(text));
  const retryable = retryableStatuses.has(status);
  return new ExportError(`HTTP ${status}${text === '' ? '' : `: ${text}`}`, {
    retryable,
    retryAfterMs: retryable ? parseRetryAfter(retryAfter, nowMs) : undefined,
    tooLarge,
  });
}

/** Milliseconds from a Retry-After header, in seconds or as a date. */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

/** gRPC implementations and HTTP servers say in words that a request exceeds their limit. */
function saysTooLarge(details: string): boolean {
  return /larger than max|exceeds maximum size|too large|max(imum)? (message|request) size/i.test(
    details,
  );
}

/** The time limit of an attempt has passed, or the process is about to end: another try may succeed. */
export function aborted(signal: AbortSignal): ExportError {
  const reason = signal.reason as Error | undefined;
  const says = reason?.name === 'Error' ? reason.message : undefined;
  const late = reason?.name === 'TimeoutError' ? 'no answer within the timeout' : undefined;
  return new ExportError(says ?? late ?? 'stopped before an answer', { retryable: true });
}
