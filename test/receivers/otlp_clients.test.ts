// Clients that we did not write: the official exporters of the OpenTelemetry SDK, and grpc-js.

import type { AnyValue } from '@opentelemetry/api-logs';
import { OTLPLogExporter as GrpcExporter } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPLogExporter as JsonExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as ProtoExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { LogRecordExporter, ReadableLogRecord } from '@opentelemetry/sdk-logs';
import { afterEach, describe, expect, test } from 'vitest';
import type { Deliver } from '../../src/pipeline/component.ts';
import { otlp } from '../../src/receivers/otlp/otlp.ts';
import { collector, refusing, testContext } from '../support/collect.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function listening(
  deliver: Deliver,
  settings: object = {},
): Promise<{ grpc: string; http: string }> {
  const receiver = otlp.create(
    otlp.config.parse({
      grpc: { endpoint: '127.0.0.1:0' },
      http: { endpoint: '127.0.0.1:0' },
      ...settings,
    }),
    testContext(),
  );
  await receiver.start(deliver);
  open.push(() => receiver.stop());
  const [grpc = '', http = ''] = (receiver.status?.() ?? '')
    .split(', ')
    .map((part) => part.split(' ')[1]);
  return { grpc, http };
}

const exporters: Record<string, (at: { grpc: string; http: string }) => LogRecordExporter> = {
  gRPC: ({ grpc }) => new GrpcExporter({ url: `http://${grpc}` }),
  'gRPC with gzip': ({ grpc }) =>
    new GrpcExporter({ url: `http://${grpc}`, compression: CompressionAlgorithm.GZIP }),
  'HTTP with protobuf': ({ http }) => new ProtoExporter({ url: `http://${http}/v1/logs` }),
  'HTTP with protobuf and gzip': ({ http }) =>
    new ProtoExporter({ url: `http://${http}/v1/logs`, compression: CompressionAlgorithm.GZIP }),
  'HTTP with JSON': ({ http }) => new JsonExporter({ url: `http://${http}/v1/logs` }),
};

const resource = resourceFromAttributes({ 'service.name': 'shop', 'k8s.pod.name': 'shop-1' });
const instrumentationScope = { name: 'lib', version: '1' };

const record = (body: AnyValue): ReadableLogRecord => {
  return {
    hrTime: [1_600_000_000, 5],
    hrTimeObserved: [1_600_000_001, 0],
    severityNumber: 17,
    severityText: 'ERROR',
    body: body as never,
    attributes: { text: 'ä', int: 7, double: 1.5, list: ['a', 'b'] },
    droppedAttributesCount: 0,
    spanContext: {
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      traceFlags: 1,
    },
    resource,
    instrumentationScope,
  };
};

const send = (exporter: LogRecordExporter, ...records: ReadableLogRecord[]) =>
  new Promise<{ code: number; error?: Error }>((resolve) => exporter.export(records, resolve));

describe('otlp takes what the official exporter sends over', () => {
  for (const [name, make] of Object.entries(exporters)) {
    test(name, async () => {
      const sink = collector();
      const exporter = make(await listening(sink.deliver));
      open.push(() => exporter.shutdown());
      expect((await send(exporter, record('a line'), record({ k: 'v' }))).code).toBe(0);
      expect(sink.records).toMatchObject([
        {
          time: 1_600_000_000_000_000_005n,
          severityNumber: 17,
          body: 'a line',
          attributes: { text: 'ä', int: 7, double: 1.5, list: ['a', 'b'] },
          resource: {
            'service.name': 'shop',
            'k8s.pod.name': 'shop-1',
            'otel.scope.name': 'lib',
          },
          traceId: '0af7651916cd43dd8448eb211c80319c',
          spanId: 'b7ad6b7169203331',
        },
        { body: { k: 'v' } },
      ]);
      expect(sink.lines).toEqual(['a line', '']);
    });
  }
});

test('otlp refuses so that the official exporters know whether to try again', async () => {
  const permanent = await listening(refusing({ retryable: false }));
  const retryable = await listening(refusing({ retryable: true }));
  const code = async (make: string, at: { grpc: string; http: string }): Promise<unknown> => {
    const exporter = exporters[make]?.(at) as LogRecordExporter;
    open.push(() => exporter.shutdown());
    const { error } = await send(exporter, record('x'));
    return (error as { code?: number } | undefined)?.code;
  };
  expect(await code('gRPC', permanent)).toBe(13);
  expect(await code('gRPC', retryable)).toBe(14);
  expect(await code('HTTP with protobuf', permanent)).toBe(500);
  expect(await code('HTTP with JSON', permanent)).toBe(500);
});

test('the official HTTP exporter tries again what was refused for now', async () => {
  const sink = collector();
  const deliver = refusing({ retryable: true, times: 1, retryAfterMs: 100, next: sink.deliver });
  const exporter = exporters['HTTP with protobuf']?.(await listening(deliver)) as LogRecordExporter;
  open.push(() => exporter.shutdown());
  expect((await send(exporter, record('x'))).code).toBe(0);
  expect(sink.records.length).toBe(1);
});

test('otlp answers only once the pipeline has taken over', async () => {
  const sink = collector();
  sink.pause();
  const at = await listening(sink.deliver);
  let answered = 0;
  const sent: Promise<unknown>[] = [];
  for (const name of ['gRPC', 'HTTP with protobuf', 'HTTP with JSON']) {
    const exporter = exporters[name]?.(at) as LogRecordExporter;
    open.push(() => exporter.shutdown());
    sent.push(send(exporter, record('x')).then(() => answered++));
    // One after the other: what comes in together would be delivered together.
    while (sink.waiting < sent.length) await new Promise((done) => setTimeout(done, 5));
  }
  expect(answered).toBe(0);
  sink.resume();
  await Promise.all(sent);
  expect(sink.records.length).toBe(3);
});
