// Records to an OpenTelemetry Collector, or to anything that speaks OTLP.

import { OtlpEncoder } from '../../encoding/otlp/encode.ts';
import { renderedAttributes, renderedBody } from '../../encoding/otlp/rendered.ts';
import type { PartialSuccess } from '../../encoding/otlp/response.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { type Context, type Exporter, exporter } from '../../pipeline/component.ts';
import { version } from '../../telemetry/version.ts';
import type { Delivery, TransportClass } from './delivery.ts';
import { peerText } from './peer_text.ts';
import { type OtlpSettings, otlpConfig } from './settings.ts';
import { type Protocol, resolveTarget, type Target } from './target.ts';

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
Records that the peer rejects with a partial success are counted under rejected_by_peer and not sent again.`,
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
  #delivery: Delivery | undefined;

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

  /** The transports are loaded here: they are most of the program's start time. */
  async start(): Promise<void> {
    const target = this.#target;
    const { Delivery } = await import('./delivery.ts');
    const Transport = await transportOf(target.protocol);
    const shared = {
      target,
      settings: this.#settings,
      baseDirectory: this.#context.baseDirectory,
      userAgent: `meshlog/${version}`,
      now: this.#context.now,
    };
    this.#delivery = new Delivery({
      target: target.text,
      transport: (signalOf) => new Transport({ ...shared, signalOf }),
    });
    await this.#delivery.prepare();
  }

  async export(batch: Batch, signal: AbortSignal): Promise<void> {
    const delivery = this.#delivery;
    if (delivery === undefined) throw new Error('the exporter was not started');
    let sent = this.#progress.get(batch) ?? 0;
    while (sent < batch.count) {
      const request = this.#encoder.encode(batch, sent);
      // What was refused or aborted may still be on its way to the socket: it is not used again.
      const partial = await delivery.send(request, signal);
      request.release();
      this.#rejections.see(partial, request.records);
      sent = request.next;
      if (sent < batch.count) this.#progress.set(batch, sent);
    }
    this.#progress.delete(batch);
  }

  async stop(): Promise<void> {
    await this.#delivery?.stop();
  }

  status(): string {
    return `${this.#target.text} (${this.#target.protocol})`;
  }
}

async function transportOf(protocol: Protocol): Promise<TransportClass> {
  if (protocol === 'grpc') return (await import('./grpc_transport.ts')).GrpcTransport;
  return (await import('./http_transport.ts')).HttpTransport;
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
