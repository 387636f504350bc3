// node bench/format.ts: what reading and writing a line of a format costs in one process, as a multiple of JSON.parse of
// the JSON line of the same request. Batches are as they come from a receiver: each is read, or written, while it is warm.

import type { Format } from '../src/access_log/format/format.ts';
import { lineFormatField, namedFormat } from '../src/access_log/format_fields.ts';
import { lineParserFor } from '../src/access_log/format_parser.ts';
import { compileRenderer } from '../src/access_log/renderer.ts';
import { AlsDecoder } from '../src/encoding/als/decode.ts';
import { messageBytes } from '../src/encoding/als/from_json.ts';
import { streamMessage } from '../src/encoding/als/schema.ts';
import { ByteWriter } from '../src/encoding/byte_writer.ts';
import { Batch } from '../src/pipeline/batch.ts';
import { jsonParseMicros } from './harness.ts';
import { demoLines } from './lines.ts';

const rowsPerBatch = 500;
const records = 20_000;
const repeats = 7;
const { json, text } = demoLines(records);

/** CPU microseconds per record of the best of several runs. */
function best(run: () => void): number {
  const micros: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    micros.push((user + system) / records);
  }
  return Math.min(...micros);
}

function batchesOf(lines: readonly string[]): Batch[] {
  const batches: Batch[] = [];
  for (let i = 0; i < lines.length; i += rowsPerBatch) {
    batches.push(Batch.ofLines(lines.slice(i, i + rowsPerBatch)));
  }
  return batches;
}

function read(format: unknown, lines: readonly string[]): { micros: number; batches: Batch[] } {
  const parser = lineParserFor(format);
  const batches = batchesOf(lines);
  const micros = best(() => {
    for (const batch of batches) {
      // Columns come from the pool and go back to it, as they do in a daemon.
      const fork = batch.fork();
      parser.begin(fork);
      for (let row = 0; row < fork.rows; row++) {
        const outcome = parser.parse(fork, row, fork.rowStart[row]!, fork.rowEnd[row]!);
        if (outcome !== 0) throw new Error(`${parser.reason()}: ${fork.line(row)}`);
      }
      fork.release();
    }
  });
  for (const batch of batches) {
    parser.begin(batch);
    for (let row = 0; row < batch.rows; row++) {
      parser.parse(batch, row, batch.rowStart[row]!, batch.rowEnd[row]!);
    }
  }
  return { micros, batches };
}

function write(format: Format, batches: readonly Batch[]): number {
  const renderer = compileRenderer(format);
  const out = new ByteWriter(1 << 20);
  return best(() => {
    for (const batch of batches) {
      out.reset();
      renderer.begin(batch);
      for (let row = 0; row < batch.rows; row++) renderer.render(row, out);
    }
  });
}

/** Entries of the access log service for the records that a format has read. */
function alsBatches(batches: readonly Batch[]): Batch[] {
  const entry = (batch: Batch, row: number): object => {
    const { attributes } = batch.record(row);
    const text = (name: string): unknown => attributes[name];
    return {
      common_properties: {
        start_time: text('request.time'),
        duration: `${Number(text('request.duration')) / 1000}s`,
        time_to_first_upstream_rx_byte: '0.001234567s',
        upstream_cluster: text('xds.cluster_name'),
        route_name: text('xds.route_name'),
        downstream_remote_address: { socket_address: { address: '10.0.0.1', port_value: 40000 } },
        upstream_remote_address: { socket_address: { address: '10.0.0.2', port_value: 9080 } },
      },
      protocol_version: 'HTTP11',
      request: {
        request_method: text('request.method'),
        path: text('request.path'),
        authority: text('request.host'),
        user_agent: text('request.useragent'),
        request_id: text('request.id'),
        request_body_bytes: text('request.size'),
      },
      response: {
        response_code: text('response.code'),
        response_body_bytes: text('response.size'),
      },
    };
  };
  return batches.map((batch) => {
    const rows = Array.from({ length: batch.rows }, (_, row) => entry(batch, row));
    const message = messageBytes({ http_logs: { log_entry: rows } }, streamMessage);
    return new AlsDecoder().decode([message], rows.length);
  });
}

const yardstick = jsonParseMicros(json);
const show = (name: string, micros: number): void =>
  console.log(
    `${name.padEnd(34)}${micros.toFixed(2).padStart(6)} µs  ${(micros / yardstick).toFixed(2)} x`,
  );

console.log(`JSON.parse of the JSON line: ${yardstick.toFixed(2)} µs`);
const istio = read('istio_text', text);
show('read istio_text', istio.micros);
show('read istio_json by its format', read(namedFormat('istio_json'), json).micros);
for (const name of ['istio_text', 'istio_json', 'kuma_http'] as const) {
  show(`write ${name}`, write(namedFormat(name)!, istio.batches));
}
show('write istio_text from ALS', write(namedFormat('istio_text')!, alsBatches(istio.batches)));
const short = lineFormatField([]).parse({
  type: 'Plain',
  plain: '[%START_TIME%] %KUMA_SOURCE_SERVICE% => %KUMA_DESTINATION_SERVICE% %DURATION%',
});
show("write Kuma's short example", write(short, istio.batches));
