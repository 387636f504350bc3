// Access log entries as proto-JSON, one message a line: an HTTPAccessLogEntry, a TCPAccessLogEntry, a
// StreamAccessLogsMessage of several entries, or what Gloo Mesh's API prints around an entry.

import { Batch } from '../pipeline/batch.ts';
import { buffers } from '../pipeline/buffers.ts';
import { ABSENT, type Column } from '../pipeline/column.ts';
import type { AnyValue, Attributes } from '../pipeline/record.ts';
import { AlsDecoder, readHead } from './als/decode.ts';
import { EntryCells } from './als/entry_cells.ts';
import { isObject, messageBytes, snakeCase } from './als/from_json.ts';
import { streamMessage } from './als/schema.ts';

type Json = { readonly [key: string]: unknown };

/** Keys by which a line tells that it is one of these messages, whichever way they are spelled. */
export const alsJsonKeys: ReadonlySet<string> = new Set(
  [
    'common_properties',
    'http_logs',
    'tcp_logs',
    'http_access_log',
    'tcp_access_log',
    'result',
  ].flatMap((name) => [name, name.replace(/_./g, (pair) => pair.slice(1).toUpperCase())]),
);

/** A line as the message that it is, in bytes. */
export type AlsMessage = {
  readonly bytes: Buffer;
  readonly entries: number;
  /** Who speaks: the identifier of the message, the workload that Gloo Mesh names. */
  readonly facts: Attributes | undefined;
};

/** The message in a line; undefined: it is none. */
export function readAlsJson(line: string): AlsMessage | undefined {
  const value = parse(line);
  if (value === undefined) return undefined;
  const { inner, facts } = unwrapped(value);
  const message = inner === undefined ? undefined : streamMessageOf(inner);
  if (message === undefined) return undefined;
  const bytes = messageBytes(message, streamMessage);
  const { entries, identifier } = readHead(bytes);
  return { bytes, entries, facts: identifier ?? facts };
}

function parse(line: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The value of a key in either spelling. */
function get(value: Json, name: string): unknown {
  const direct = value[name];
  if (direct !== undefined) return direct;
  const key = Object.keys(value).find((other) => snakeCase(other) === name);
  return key === undefined ? undefined : value[key];
}

/** The message inside `{"result": {"workloadRef": ..., "httpAccessLog": ...}}` or the inner part of it. */
function unwrapped(value: Json): { inner: Json | undefined; facts?: Attributes | undefined } {
  const result = get(value, 'result');
  const holder = isObject(result) ? result : value;
  for (const [name, logs] of [
    ['http_access_log', 'http_logs'],
    ['tcp_access_log', 'tcp_logs'],
  ] as const) {
    const entry = get(holder, name);
    if (!isObject(entry)) continue;
    return { inner: { [logs]: { log_entry: [entry] } }, facts: workloadFacts(holder) };
  }
  return { inner: isObject(result) ? undefined : value };
}

/** Gloo Mesh's workloadRef: the workload of the proxy. */
function workloadFacts(holder: Json): Attributes | undefined {
  const reference = get(holder, 'workload_ref');
  if (!isObject(reference)) return undefined;
  const facts: Record<string, AnyValue> = {};
  for (const [name, fact] of [
    ['name', 'k8s.workload.name'],
    ['namespace', 'k8s.namespace.name'],
    ['cluster_name', 'k8s.cluster.name'],
  ] as const) {
    const text = get(reference, name);
    if (typeof text === 'string' && text !== '') facts[fact] = text;
  }
  return facts;
}

const httpKeys = ['request', 'response', 'protocol_version'];

/** A StreamAccessLogsMessage, with a lone entry put into one. */
function streamMessageOf(value: Json): Json | undefined {
  const has = (name: string): boolean => isObject(get(value, name));
  if (has('http_logs') || has('tcp_logs')) return value;
  const known = has('common_properties') || has('connection_properties');
  if (!known && !httpKeys.some(has)) return undefined;
  const logs = isTcp(value) ? 'tcp_logs' : 'http_logs';
  return { [logs]: { log_entry: [value] } };
}

function isTcp(entry: Json): boolean {
  if (get(entry, 'connection_properties') !== undefined) return true;
  if (httpKeys.some((name) => get(entry, name) !== undefined)) return false;
  const common = get(entry, 'common_properties');
  const type = isObject(common) ? get(common, 'access_log_type') : undefined;
  return typeof type === 'string' && /^(?:Tcp|Udp)/.test(type);
}

const resourcesMax = 65_535;

/** Puts the entries of messages where their lines were. One instance per processor: it learns keys and values. */
export class AlsJsonRows {
  readonly #decoder = new AlsDecoder();
  #messages = new Map<number, AlsMessage>();

  get isEmpty(): boolean {
    return this.#messages.size === 0;
  }

  /** The line of a row is this message. */
  add(row: number, message: AlsMessage): void {
    this.#messages.set(row, message);
  }

  /** A batch with a row per entry instead of a row per message, of rows whose other cells are those of the line. */
  expand(batch: Batch): Batch {
    const messages = this.#messages;
    this.#messages = new Map();
    let length = batch.length;
    let rows = 0;
    for (let i = 0; i < batch.count; i++) {
      const message = messages.get(batch.selection[i]!);
      length += message?.bytes.length ?? 0;
      rows += message?.entries ?? 1;
    }
    const expanded = new Batch(buffers.take(length * 2), length, rows);
    batch.bytes.copy(expanded.bytes, 0, 0, batch.length);
    expanded.observedMs = batch.observedMs;
    expanded.attributes = batch.attributes;
    expanded.held = batch.held.slice();
    copyRows(expanded, batch, messages);
    this.#fill(expanded, batch, messages);
    return expanded;
  }

  #fill(expanded: Batch, batch: Batch, messages: ReadonlyMap<number, AlsMessage>): void {
    const resources = new Resources(expanded, batch);
    const cells = new EntryCells(expanded);
    // The lines are in the same bytes.
    cells.isText = batch.isUtf8;
    let at = batch.length;
    let row = 0;
    for (let i = 0; i < batch.count; i++) {
      const origin = batch.selection[i]!;
      const message = messages.get(origin);
      const facts = resources.of(origin, message?.facts);
      const entries = message?.entries ?? 1;
      for (let k = 0; k < entries; k++) resources.set(row + k, facts);
      if (message !== undefined) {
        expanded.bytes.set(message.bytes, at);
        this.#decoder.readInto(cells, row, at, at + message.bytes.length);
        at += message.bytes.length;
      }
      row += entries;
    }
    cells.close();
    resources.close();
  }
}

/** Rows and cells of the lines: each as often as its message has entries. */
function copyRows(expanded: Batch, batch: Batch, messages: ReadonlyMap<number, AlsMessage>): void {
  const origins: number[] = [];
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i]!;
    const entries = messages.get(row)?.entries ?? 1;
    for (let k = 0; k < entries; k++) {
      expanded.addRow(batch.rowStart[row]!, batch.rowEnd[row]!);
      origins.push(row);
    }
  }
  for (const column of batch.columns) {
    if (origins.some((row) => column.kind[row] !== ABSENT)) {
      copyCells(column, expanded.addColumn(column.name), origins);
    }
  }
  for (const name of ['time', 'severity', 'body', 'traceId', 'spanId'] as const) {
    const column = batch[name];
    if (column === undefined) continue;
    const copy = expanded.recordColumn(name);
    copyCells(column, copy, origins);
    expanded[name] = copy;
  }
}

function copyCells(from: Column, to: Column, origins: readonly number[]): void {
  to.dictionary = from.dictionary;
  for (let row = 0; row < origins.length; row++) {
    const origin = origins[row]!;
    to.kind[row] = from.kind[origin]!;
    to.a[row] = from.a[origin]!;
    to.b[row] = from.b[origin]!;
  }
}

/** Resource facts per row: those of the batch, and those of the messages. */
class Resources {
  readonly #to: Batch;
  readonly #from: Batch;
  readonly #list: Attributes[] = [];
  readonly #known = new Map<string, number>();
  readonly #of: Uint16Array;

  constructor(to: Batch, from: Batch) {
    this.#to = to;
    this.#from = from;
    this.#of = new Uint16Array(to.capacity);
  }

  /** The number of the facts of a line, with those of its message. */
  of(origin: number, facts: Attributes | undefined): number {
    const { resources, resourceOf } = this.#from;
    const index = resourceOf?.[origin] ?? 0;
    const key = facts === undefined ? String(index) : `${index}${JSON.stringify(facts)}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const number = this.#list.length;
    if (number >= resourcesMax) return 0;
    this.#list.push({ ...resources[index], ...facts });
    this.#known.set(key, number);
    return number;
  }

  set(row: number, number: number): void {
    this.#of[row] = number;
  }

  close(): void {
    const [only = {}] = this.#list;
    if (this.#list.length <= 1) this.#to.resource = only;
    else {
      this.#to.resources = this.#list;
      this.#to.resourceOf = this.#of;
    }
  }
}
