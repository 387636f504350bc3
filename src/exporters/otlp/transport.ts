// What carries requests to a peer: gRPC, or HTTP.

import type { OtlpSettings } from './settings.ts';
import type { Target } from './target.ts';

/** Sends requests; several may be under way. */
export type Transport = {
  /** Reads certificate files, so that the start fails when they cannot be used. Connects later. */
  prepare(): Promise<void>;
  /**
   * Resolves with the peer's answer, an ExportLogsServiceResponse; rejects with ExportError, and when `signal` aborts.
   * After that the bytes may still be on their way.
   */
  send(request: Buffer, signal: AbortSignal): Promise<Buffer>;
  /** Requests under way end first. */
  close(): void;
};

export type TransportOptions = {
  readonly target: Target;
  readonly settings: OtlpSettings;
  readonly baseDirectory: string;
  readonly userAgent: string;
  readonly now: () => number;
};
