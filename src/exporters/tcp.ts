// Lines to a TCP or unix socket.

import { z } from 'zod';
import { lineFormatField } from '../access_log/format_fields.ts';
import { duration, type Endpoint, endpoint, endpointText, tlsClient } from '../config/fields.ts';
import { JsonRecordEncoder } from '../encoding/json_record.ts';
import { OriginalLineEncoder } from '../encoding/original_lines.ts';
import { RenderedLineEncoder } from '../encoding/rendered_lines.ts';
import type { Batch } from '../pipeline/batch.ts';
import { type Context, type Exporter, exporter } from '../pipeline/component.ts';
import { ExportError } from '../pipeline/errors.ts';
import { Outgoing } from '../wire/outgoing.ts';
import { clientOptions } from '../wire/tls.ts';

const config = z
  .strictObject({
    endpoint: endpoint().optional().describe('Where to send: host:port, or unix:/path.'),
    address: endpoint().optional().describe('Another name of endpoint, as Kuma writes it.'),
    format: lineFormatField(['original', 'json'])
      .prefault('original')
      .describe(
        'original: the line as it was received; records that never were a line are written as json. ' +
          'json: a record a line, as the file exporter writes it. Or a format: a name (istio_text), a format ' +
          'string, or a format object of Envoy, Istio or Kuma; lines that were not understood are written as they are.',
      ),
    tls: tlsClient().optional().describe('TLS. Absent: plain text.'),
    connect_timeout: duration().prefault('5s').describe('For the connection with its handshake.'),
    write_timeout: duration()
      .prefault('30s')
      .describe('A connection that takes nothing for so long is closed and made anew.'),
    keepalive: duration().prefault('30s').describe('A silent connection is probed after so long.'),
  })
  .refine((tcp) => (tcp.endpoint === undefined) !== (tcp.address === undefined), {
    message: 'needs either endpoint or address',
  });

export type TcpConfig = z.output<typeof config>;

export const tcp = exporter({
  name: 'tcp',
  summary: 'Sends records as lines over TCP or a unix socket, plain or with TLS.',
  config,
  example: `tcp:
  endpoint: 127.0.0.1:5000
  format: json`,
  notes: `TCP has no acknowledgement that the peer has processed a line. A batch counts as delivered when this
machine's kernel has taken all of it; a batch that failed before is sent again from its first line, so the peer can see
lines twice, and at a break a line cut short. When a connection breaks, what the kernels still held is lost:
meshlog_tcp_exporter_uncertain_bytes_total counts how much that can have been at most. Use otlp where that is too much.`,
  create: (settings, context) => new TcpExporter(settings, context),
});

/** Bytes of the selected rows, valid until the next call. */
type Render = (batch: Batch) => readonly Buffer[];

class TcpExporter implements Exporter {
  readonly #address: Endpoint;
  readonly #render: Render;
  readonly #outgoing: Outgoing;
  #last: Promise<unknown> = Promise.resolve();

  constructor(settings: TcpConfig, context: Context) {
    const address = settings.endpoint ?? settings.address;
    if (address === undefined) throw new Error('needs either endpoint or address');
    this.#address = address;
    this.#render = renderer(settings.format);
    this.#outgoing = outgoing(address, settings, context);
  }

  // The renderer's buffers are used again by the next batch, so exports go one after the other.
  export(batch: Batch, signal: AbortSignal): Promise<void> {
    const sent = this.#last.then(() => this.#send(batch, signal));
    this.#last = sent.catch(() => undefined);
    return sent;
  }

  async stop(): Promise<void> {
    await this.#last;
    await this.#outgoing.close();
  }

  status(): string {
    const state = this.#outgoing.connected ? 'connected' : 'not connected';
    return `${endpointText(this.#address)}  ${state}`;
  }

  async #send(batch: Batch, signal: AbortSignal): Promise<void> {
    if (batch.count === 0) return;
    try {
      signal.throwIfAborted();
      await this.#outgoing.write(this.#render(batch), signal);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new ExportError(message, { retryable: true, cause: error });
    }
  }
}

function renderer(format: TcpConfig['format']): Render {
  if (typeof format === 'object') {
    const lines = new RenderedLineEncoder(format);
    return (batch) => [lines.encode(batch)];
  }
  const json = new JsonRecordEncoder();
  const asJson: Render = (batch) => [json.encode(batch)];
  if (format === 'json') return asJson;
  const original = new OriginalLineEncoder();
  return (batch) => (batch.source === 'line' ? original.encode(batch) : asJson(batch));
}

function outgoing(address: Endpoint, settings: TcpConfig, context: Context): Outgoing {
  const { tls } = settings;
  const host = address.kind === 'tcp' ? address.host : 'localhost';
  const { baseDirectory } = context;
  const labels = { exporter: context.id };
  const connects = context.metrics.counter(
    'meshlog_tcp_exporter_connects_total',
    'Connections made.',
    labels,
  );
  const uncertain = context.metrics.counter(
    'meshlog_tcp_exporter_uncertain_bytes_total',
    'Upper bound of bytes that the kernel had taken when a connection broke, and the peer may not have read.',
    labels,
  );
  return new Outgoing({
    address,
    tls:
      tls === undefined || tls.insecure
        ? undefined
        : () => clientOptions(tls, { baseDirectory, host }),
    connectTimeoutMs: settings.connect_timeout,
    writeTimeoutMs: settings.write_timeout,
    keepAliveMs: settings.keepalive,
    onConnect: () => connects.add(1),
    onLost: (bytes) => uncertain.add(bytes),
  });
}
