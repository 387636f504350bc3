// Requests on their way: OpenTelemetry's own export delegate, with our bytes and one of our transports.

import {
  createOtlpNetworkExportDelegate,
  ExporterMetrics,
  type IExporterTransport,
  type IOtlpExportDelegate,
} from '@opentelemetry/otlp-exporter-base';
import type { OtlpRequest } from '../../encoding/otlp/encode.ts';
import { type PartialSuccess, readPartialSuccess } from '../../encoding/otlp/response.ts';
import { ExportError } from '../../pipeline/errors.ts';
import type { OtlpSettings } from './settings.ts';
import type { Target } from './target.ts';

/** What a transport of ours does besides the official contract. */
export type Transport = IExporterTransport & {
  /** Reads certificate files, so that the start fails when they cannot be used. Connects later. */
  prepare(): Promise<void>;
};

export type TransportOptions = {
  readonly target: Target;
  readonly settings: OtlpSettings;
  readonly baseDirectory: string;
  readonly userAgent: string;
  readonly now: () => number;
  /** What ends the request of these bytes early. */
  readonly signalOf: (data: Uint8Array) => AbortSignal | undefined;
};

export type TransportClass = new (options: TransportOptions) => Transport;

export type DeliveryOptions = {
  readonly target: string;
  readonly transport: (signalOf: TransportOptions['signalOf']) => Transport;
};

/** Sends requests; several may be under way. */
export class Delivery {
  readonly #target: string;
  readonly #transport: Transport;
  readonly #delegate: IOtlpExportDelegate<OtlpRequest>;
  readonly #signals = new WeakMap<Uint8Array, AbortSignal>();
  /** The delegate reads an answer and calls back in one go, so that one place for what was read is enough. */
  #partial: PartialSuccess | undefined;

  constructor(options: DeliveryOptions) {
    this.#target = options.target;
    this.#transport = options.transport((data) => this.#signals.get(data));
    this.#delegate = createOtlpNetworkExportDelegate<OtlpRequest, object>(
      // The queue in front limits both, and a slot of the delegate is free only some time after its callback.
      { timeoutMillis: 0, concurrencyLimit: Number.MAX_SAFE_INTEGER, compression: 'none' },
      {
        serializeRequest: (request) => request.bytes,
        deserializeResponse: (bytes) => {
          this.#partial = readPartialSuccess(bytes);
          return {};
        },
      },
      new ExporterMetrics<OtlpRequest>({
        componentType: 'otlp_log_exporter',
        metricsHelper: { name: 'log', countItems: (request) => request.records },
        url: options.target,
        meterProvider: undefined,
        responseAttributesFromError: () => ({}),
      }),
      this.#transport,
    );
  }

  prepare(): Promise<void> {
    return this.#transport.prepare();
  }

  /** Resolves with what the peer did not take, if anything; rejects with ExportError. */
  send(request: OtlpRequest, signal: AbortSignal): Promise<PartialSuccess | undefined> {
    this.#signals.set(request.bytes, signal);
    return new Promise((resolve, reject) => {
      this.#delegate.export(request, ({ error }) => {
        const partial = this.#partial;
        this.#partial = undefined;
        if (error === undefined) resolve(partial);
        else reject(this.#failure(request.records, error));
      });
    });
  }

  stop(): Promise<void> {
    return this.#delegate.shutdown();
  }

  #failure(records: number, cause: unknown): ExportError {
    const message = `cannot send ${records} records to ${this.#target}`;
    if (!(cause instanceof ExportError))
      return new ExportError(message, { retryable: true, cause });
    const { retryable, retryAfterMs, tooLarge } = cause;
    return new ExportError(message, { retryable, retryAfterMs, tooLarge, cause });
  }
}
