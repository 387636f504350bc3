// node bench/collector.ts PROGRAM: what relaying OTLP over gRPC costs an OpenTelemetry Collector and meshlog, in turns, with
// the same requests of 16 KiB, as CPU microseconds per record. PROGRAM is a Collector with the otlp receiver and exporter
// and the batch processor, as the released otelcol is. Delivery is counted at the sink: a run that loses or adds a record
// fails.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DaemonProcess } from './harness.ts';
import { demoEntries } from './lines.ts';
import { freePort } from './paths.ts';
import { Sender } from './senders.ts';
import { Sink } from './sinks.ts';

const records = Number(process.env['BENCH_RECORDS'] ?? 400_000);
const rounds = 3;

const collectorConfig = (from: number, to: number): string => `receivers:
  otlp: { protocols: { grpc: { endpoint: '127.0.0.1:${from}' } } }
processors:
  batch: { send_batch_size: 1000 }
exporters:
  otlp: { endpoint: '127.0.0.1:${to}', compression: none, tls: { insecure: true }, sending_queue: { block_on_overflow: true } }
service:
  telemetry: { metrics: { level: none }, logs: { level: warn } }
  pipelines:
    logs: { receivers: [otlp], processors: [batch], exporters: [otlp] }
`;

const meshlogConfig = (from: number, to: number): string => `receivers:
  otlp: { grpc: { endpoint: '127.0.0.1:${from}' } }
exporters:
  otlp: { endpoint: '127.0.0.1:${to}', compression: none, tls: { insecure: true } }
service:
  admin: { enabled: false }
  pipelines:
    logs: { receivers: [otlp], exporters: [otlp] }
`;

/** The least of several rounds after a warm-up. */
async function measure(
  configOf: (from: number, to: number) => string,
  start: (folder: string, config: string) => Promise<DaemonProcess>,
): Promise<{ micros: number; peakRssMib: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'meshlog-bench-collector-'));
  const entries = demoEntries(20_000).filter(({ method }) => method !== undefined);
  const port = await freePort();
  const file = join(folder, 'sent');
  const sender = Sender.prepare('otlp', entries, { file, port, records, connections: 1 });
  const sink = await Sink.start('otlp');
  const relay = await start(folder, configOf(port, sink.port));
  let micros = Number.POSITIVE_INFINITY;
  try {
    for (let round = 0; round <= rounds; round++) {
      const before = relay.usage().cpuSeconds;
      await Promise.all([sender.run(), sink.until((round + 1) * records)]);
      const used = ((relay.usage().cpuSeconds - before) * 1e6) / records;
      if (round > 0) micros = Math.min(micros, used);
    }
    return { micros, peakRssMib: relay.usage().peakRssMib };
  } finally {
    await relay.stop();
    sender.close();
    sink.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const [, , program] = process.argv;
if (program === undefined) {
  console.error('usage: node bench/collector.ts PROGRAM');
  process.exit(64);
}
const relays = {
  Collector: () =>
    measure(collectorConfig, (folder, config) => DaemonProcess.collector(program, folder, config)),
  meshlog: () => measure(meshlogConfig, (folder, config) => DaemonProcess.start(folder, config)),
};
for (const [name, run] of Object.entries(relays)) {
  const { micros, peakRssMib } = await run();
  console.log(
    `${name.padEnd(10)} ${micros.toFixed(1).padStart(5)} us a record, ${peakRssMib.toFixed(0).padStart(4)} MiB at most`,
  );
}
process.exit(0);
