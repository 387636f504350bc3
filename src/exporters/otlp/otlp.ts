// Records to an OpenTelemetry Collector, or to anything that speaks OTLP.

import { OtlpEncoder, type OtlpRequest } from '../../encoding/otlp/encode.ts';
import { renderedAttributes, renderedBody } from '../../encoding/otlp/rendered.ts';
import { type PartialSuccess, readPartialSuccess } from '../../encoding/otlp/response.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { type Context, type Exporter, exporter } from '../../pipeline/component.ts';
import { ExportError } from '../../pipeline/errors.ts';
import { version } from '../../telemetry/version.ts';
import { peerText } from './peer_text.ts';
import { type OtlpSettings, otlpConfig } from './settings.ts';
import { resolveTarget, type Target } from './target.ts';
import type { Transport, TransportOptions } from './transport.ts';

export const otlp = exporter({
  name: 'otlp',
  summary: 'Sends records over OTLP: gRPC, or HTTP with protobuf or JSON.',
  config: otlpConfig,
  example: `otlp:
  endpoint: otel-collector:4317
  body: none
  attributes: all`,
  notes: `Answers that ask for another try (UNAVAILABLE, 503 and the like, RESOURCE_EXHAUSTED with RetryInfo) are repeated by the
queue; a request that is refused for its size is sent in halves; any other refusal goes to the dead letter.
Records that the peer rejects with a partial success are counted under rejected_by_peer and not sent again.
Attributes severity.text, event.name, trace.flags and otlp.dropped_attributes_count go out as the fields that records have
for them, and otel.scope.name, otel.scope.version and otel.scope.attributes of a resource as its scope: what the otlp
receiver took in goes out as it was.`,
  create: (settings, context) => new OtlpExporter(settings, context),
});

class OtlpExporter implements Exporter {
  readonly #settings: OtlpSettings;
  readonly #context: Context;
  readonly #target: Target;
  readonly #encoder: OtlpEncoder;
  readonly #rejections: Rejections;
  /** How many rows of a batch the peer has: a repeated export goes on from there. */
  readonly #progress = new WeakMap<Batch, number>();
  #transport: Transport | undefined;

  constructor(settings: OtlpSettings, context: Context) {
    this.#settings = settings;
    this.#context = context;
    this.#target = resolveTarget(settings, process.env);
    this.#encoder = new OtlpEncoder({
      body: typeof settings.body === 'string' ? settings.body : renderedBody(settings.body),
      attributes:
        typeof settings.attributes === 'string'
          ? settings.attributes
          : renderedAttributes(settings.attributes),
      // JSON is about twice as long as the protobuf that it is made from.
      bytesMax: settings.max_request_bytes / (this.#target.protocol === 'http/json' ? 2 : 1),
      version,
    });
    this.#rejections = new Rejections(this.#target.text, context);
  }

  async start(): Promise<void> {
    const target = this.#target;
    this.#transport = await transportOf({
      target,
      settings: this.#settings,
      baseDirectory: this.#context.baseDirectory,
      userAgent: `meshlog/${version}`,
      now: this.#context.now,
    });
    await this.#transport.prepare();
  }

  async export(batch: Batch, signal: AbortSignal): Promise<void> {
    let sent = this.#progress.get(batch) ?? 0;
    while (sent < batch.count) {
      const request = this.#encoder.encode(batch, sent);
      // What was refused or aborted may still be on its way to the socket: it is not used again.
      const partial = await this.#send(request, signal);
      request.release();
      this.#rejections.see(partial, request.records);
      sent = request.next;
      if (sent < batch.count) this.#progress.set(batch, sent);
    }
    this.#progress.delete(batch);
  }

  /** Returns what the peer did not take, if anything. */
  async #send(request: OtlpRequest, signal: AbortSignal): Promise<PartialSuccess | undefined> {
    if (this.#transport === undefined) throw new Error('the exporter was not started');
    try {
      return readPartialSuccess(await this.#transport.send(request.bytes, signal));
    } catch (cause) {
      const message = `cannot send ${request.records} records to ${this.#target.text}`;
      if (!(cause instanceof ExportError)) {
        throw new ExportError(message, { retryable: true, cause });
      }
      const { retryable, retryAfterMs, tooLarge } = cause;
      throw new ExportError(message, { retryable, retryAfterMs, tooLarge, cause });
    }
  }

  async stop(): Promise<void> {
    this.#transport?.close();
  }

  status(): string {
    return `${this.#target.text} (${this.#target.protocol})`;
  }
}

/** Loaded when they are wanted: they are much of the program's start time. */
async function transportOf(options: TransportOptions): Promise<Transport> {
  if (options.target.protocol === 'grpc') {
    const { GrpcTransport } = await import('./grpc_transport.ts');
    return new GrpcTransport(options);
  }
  const { HttpTransport } = await import('./http_transport.ts');
  return new HttpTransport(options);
}

/** After this long without a rejection the peer counts as content. */
const contentMs = 60_000;

/** Counts what the peer rejects and says so once per change of state. */
class Rejections {
  readonly #target: string;
  readonly #context: Context;
  #sinceMs: number | undefined;
  #rejected = 0;
  #message = '';

  constructor(target: string, context: Context) {
    this.#target = target;
    this.#context = context;
  }

  see(partial: PartialSuccess | undefined, records: number): void {
    const { log, now } = this.#context;
    if (partial === undefined) {
      if (this.#sinceMs === undefined || now() - this.#sinceMs < contentMs) return;
      log.info(`${this.#target} takes all records again; it rejected ${this.#rejected}`);
      this.#sinceMs = undefined;
      this.#rejected = 0;
      this.#message = '';
      return;
    }
    const rejected = Math.min(partial.rejected, records);
    const message = peerText(partial.message);
    if (rejected > 0) {
      if (this.#sinceMs === undefined) {
        log.error(`${this.#target} rejects ${rejected} of ${records} records: ${message}`);
      }
      this.#sinceMs = now();
      this.#rejected += rejected;
      this.#context.drop('rejected_by_peer', rejected);
    } else if (message !== this.#message) {
      log.warn(`${this.#target} warns: ${message}`);
    }
    this.#message = message;
  }
}
