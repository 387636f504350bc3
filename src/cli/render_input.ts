// Lines that `meshlog render` takes, as batches: each is looked at for what it is.

import { fieldOf, fieldOfKey } from '../access_log/fields.ts';
import { autoTextParser, lineParserFor } from '../access_log/format_parser.ts';
import { type LineParser, NO_FIT } from '../access_log/line_parser.ts';
import { batchOfRecords, type Fields } from '../access_log/record_batch.ts';
import { AlsDecoder } from '../encoding/als/decode.ts';
import { isObject, messageBytes } from '../encoding/als/from_json.ts';
import { streamMessage } from '../encoding/als/schema.ts';
import { JsonScanner } from '../encoding/json_lines/scanner.ts';
import { Batch } from '../pipeline/batch.ts';
import type { AnyValue, Attributes } from '../pipeline/record.ts';

export type Rows = {
  /** In the order of the lines. */
  readonly batches: readonly Batch[];
  readonly problems: readonly { readonly index: number; readonly reason: string }[];
};

/** Reads lines; `from` is `auto`, or the format of those that are no records. Throws FormatError for a bad format. */
export function inputReader(from: string): (lines: readonly string[]) => Rows {
  const given = from === 'auto' ? undefined : lineParserFor(from);
  const text = autoTextParser();
  const json = jsonParser();
  return (lines) => {
    const rows = new Gathered();
    lines.forEach((line, index) => {
      if (line.trim() === '') return;
      const value = line.startsWith('{') ? parsed(line) : undefined;
      const record = isObject(value) ? (recordOf(value) ?? alsBatch(value)) : undefined;
      if (record !== undefined) rows.add(record);
      else rows.addLine(line, index, given ?? (value === undefined ? text : json));
    });
    rows.flush();
    return rows;
  };
}

/** Batches in the order of the lines: neighbours that one parser reads share one. */
class Gathered implements Rows {
  readonly batches: Batch[] = [];
  readonly problems: { index: number; reason: string }[] = [];
  #lines: string[] = [];
  #indexes: number[] = [];
  #parser: LineParser | undefined;

  add(batch: Batch): void {
    this.flush();
    this.batches.push(batch);
  }

  addLine(line: string, index: number, parser: LineParser): void {
    if (parser !== this.#parser) this.flush();
    this.#parser = parser;
    this.#lines.push(line);
    this.#indexes.push(index);
  }

  flush(): void {
    const parser = this.#parser;
    if (parser === undefined || this.#lines.length === 0) return;
    const batch = Batch.ofLines(this.#lines);
    parser.begin(batch);
    batch.keep((row) => {
      const outcome = parser.parse(batch, row, batch.rowStart[row] ?? 0, batch.rowEnd[row] ?? 0);
      if (outcome !== NO_FIT) return true;
      this.problems.push({ index: this.#indexes[row] ?? 0, reason: parser.reason() });
      return false;
    });
    this.batches.push(batch);
    this.#lines = [];
    this.#indexes = [];
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

type Json = { readonly [key: string]: unknown };

/** A record as the file exporter writes it, or an object whose keys are names of fields. */
function recordOf(value: Json): Batch | undefined {
  const { attributes, resource, time, trace_id } = value;
  if (isObject(attributes)) {
    const fields: Record<string, AnyValue | undefined> = { ...(attributes as Attributes) };
    if (typeof time === 'string') fields['request.time'] ??= time;
    if (typeof trace_id === 'string') fields['trace.id'] ??= trace_id;
    const batch = batchOfRecords([fields as Fields]);
    if (isObject(resource)) batch.resource = resource as Attributes;
    return batch;
  }
  const isFields = Object.keys(value).some((key) => key.includes('.') && fieldOf(key));
  return isFields ? batchOfRecords([value as Fields]) : undefined;
}

/** An entry, or a message with several, of Envoy's access log service; Gloo Mesh wraps entries in `result`. */
function alsBatch(value: Json): Batch | undefined {
  const inner = isObject(value['result']) ? value['result'] : value;
  const wrapped = inner['httpAccessLog'] ?? inner['http_access_log'];
  const entry = isObject(wrapped) ? wrapped : inner;
  const has = (...names: string[]): boolean => names.some((name) => isObject(entry[name]));
  if (has('httpLogs', 'http_logs', 'tcpLogs', 'tcp_logs')) return decoded(entry);
  const isTcp = has('connectionProperties', 'connection_properties');
  const isHttp = has('request', 'response') || entry['protocolVersion'] !== undefined;
  if (!isTcp && !isHttp && !has('commonProperties', 'common_properties')) return undefined;
  return decoded({ [isTcp ? 'tcp_logs' : 'http_logs']: { log_entry: [entry] } });
}

function decoded(message: Json): Batch {
  const logs = [message['httpLogs'], message['http_logs'], message['tcpLogs'], message['tcp_logs']];
  const rows = logs.flatMap((log) => {
    const entries = isObject(log) ? (log['logEntry'] ?? log['log_entry']) : [];
    return Array.isArray(entries) ? entries : [entries];
  });
  return new AlsDecoder().decode([messageBytes(message, streamMessage)], rows.length);
}

function jsonParser(): LineParser {
  const scanner = new JsonScanner(fieldOfKey);
  return {
    name: 'json',
    begin: (batch) => {
      scanner.end();
      scanner.begin(batch);
    },
    parse: (_batch, row, start, end) => (scanner.scan(row, start, end) ? 0 : NO_FIT),
    reason: () => `${scanner.problem} at byte ${scanner.at}`,
  };
}
