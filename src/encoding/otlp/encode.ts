// A batch as OTLP: ExportLogsServiceRequest in protobuf, written from the cells straight into bytes.

import type { Batch } from '../../pipeline/batch.ts';
import type { Undecoded } from '../../pipeline/batch_fields.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import { ABSENT, BYTES, type Column, INT, TEXT } from '../../pipeline/column.ts';
import { type Attributes, severityText } from '../../pipeline/record.ts';
import { millisToWords, words } from '../../pipeline/time.ts';
import { putKeyValue } from './any_value.ts';
import { encodeOnce, putCell, putText } from './cell.ts';
import { FieldsBody, FieldsWriter, type RowWriter } from './fields.ts';
import { OwnFields } from './own_fields.ts';
import { apart, type Scope } from './scope.ts';
import { ProtobufWriter } from './writer.ts';

const RESOURCE_LOGS = 0x0a;
const RESOURCE = 0x0a;
const SCOPE_LOGS = 0x12;
const SCOPE = 0x0a;
const LOG_RECORD = 0x12;
const TIME = 0x09;
const SEVERITY_NUMBER = 0x10;
const SEVERITY_TEXT = 0x1a;
const BODY = 0x2a;
const ATTRIBUTES = 0x32;
const TRACE_ID = 0x4a;
const SPAN_ID = 0x52;
const OBSERVED_TIME = 0x59;

/** What a record carries. A row that could not be parsed always has its line as body. */
export type OtlpContent = {
  /** none: only what the record has as its body. line: the source line. fields: all fields as one kvlist. */
  readonly body: 'none' | 'line' | 'fields' | RowWriter;
  /** all: every field. none: no attributes. A RowWriter writes KeyValues behind the tag of attributes, 0x32. */
  readonly attributes: 'all' | 'none' | RowWriter;
};

export type OtlpEncoderOptions = OtlpContent & {
  /** A request ends before the record that would make it larger; a larger record goes alone. */
  readonly bytesMax: number;
  /** Of this program, in the instrumentation scope. */
  readonly version: string;
};

/** Free bytes in front of a request, for what a protocol puts there (gRPC: a flag and the length). */
const headroomBytes = 8;

/** What a record takes besides its own bytes when it is passed on. */
const passedBytes = 16;
const observedBytes = 9;
const noView = new DataView(new ArrayBuffer(0));

/** One request: rows `from` to `next` of the batch in the encoder's order. `release` it once nobody reads it. */
export type OtlpRequest = {
  /** At least 5 bytes in front of it are free. */
  readonly bytes: Buffer;
  readonly records: number;
  readonly next: number;
  release(): void;
};

/** Encodes batches. One instance per exporter; what is kept between batches are keys and severities. */
export class OtlpEncoder {
  readonly #options: OtlpEncoderOptions;
  readonly #attributes: RowWriter | undefined;
  readonly #body: RowWriter | undefined;
  readonly #own = new OwnFields();
  /** The scope of what came in without one. */
  readonly #scope: Buffer;
  readonly #severities: (Buffer | undefined)[] = [];
  readonly #heads = new WeakMap<Attributes, Head>();
  #observedLow = 0;
  #observedHigh = 0;

  constructor(options: OtlpEncoderOptions) {
    this.#options = options;
    const { attributes, body } = options;
    const isOwn = (column: Column): boolean => this.#own.has(column);
    if (attributes === 'all') this.#attributes = new FieldsWriter(ATTRIBUTES, isOwn);
    else if (attributes !== 'none') this.#attributes = attributes;
    if (body === 'fields') this.#body = new FieldsBody();
    else if (body !== 'none' && body !== 'line') this.#body = body;
    this.#scope = scopeBytes({ name: 'meshlog', version: options.version, attributes: {} });
  }

  /** A request of the selected rows from the `from`th on, in the order of `rowsByResource`, until it is full. */
  encode(batch: Batch, from = 0): OtlpRequest {
    const rows = rowsByResource(batch);
    const passed = this.#passed(batch);
    const view = passed === undefined ? viewOf(batch.bytes) : noView;
    const size = passed
      ? batch.length + batch.count * passedBytes
      : 2 * batch.length + batch.count * 64;
    const out = new ProtobufWriter(Math.min(this.#options.bytesMax, size + 4096));
    out.at = headroomBytes;
    if (passed === undefined) {
      this.#own.prepare(batch, view);
      this.#attributes?.prepare(batch, rows, from);
      this.#body?.prepare(batch, rows, from);
    }
    this.#prepareTime(batch);
    let group: Group | undefined;
    let next = from;
    while (next < batch.count) {
      const row = rows[next]!;
      const resource = batch.resourceOf?.[row] ?? 0;
      const before = out.at;
      const outer = group;
      if (group === undefined || group.resource !== resource) {
        if (group !== undefined) closeGroup(out, group);
        group = this.#openGroup(out, batch.resources[resource] ?? noFacts, resource);
      }
      const first = next;
      if (passed !== undefined) next = this.#passOn(out, batch, passed, rows, next);
      else {
        this.#record(out, batch, view, row);
        next++;
      }
      if (out.at - headroomBytes > this.#options.bytesMax && first > from) {
        // What was closed for the next group stays as it is: closing moves nothing.
        out.at = before;
        group = group === outer ? group : undefined;
        next = first;
        break;
      }
    }
    if (group !== undefined) closeGroup(out, group);
    const bytes = out.bytes().subarray(headroomBytes);
    return { bytes, records: next - from, next, release: () => out.release() };
  }

  #openGroup(out: ProtobufWriter, facts: Attributes, resource: number): Group {
    out.byte(RESOURCE_LOGS);
    const logs = out.open(4);
    const head = this.#headOf(facts);
    out.put(head.resource);
    out.byte(SCOPE_LOGS);
    const scope = out.open(4);
    out.put(head.scope);
    return { resource, logs, scope };
  }

  /** Resource and scope are the same for many batches of their sender. */
  #headOf(facts: Attributes): Head {
    let head = this.#heads.get(facts);
    if (head === undefined) {
      const { resource, scope } = apart(facts);
      head = {
        resource: encodeOnce((out) => {
          out.byte(RESOURCE);
          const mark = out.open(1);
          putAttributes(out, 0x0a, resource);
          out.close(mark, 1);
        }),
        scope: scope === undefined ? this.#scope : scopeBytes(scope),
      };
      this.#heads.set(facts, head);
    }
    return head;
  }

  /** The records of a batch that nobody has looked into, if they say what is wanted of them. */
  #passed(batch: Batch): Undecoded<Batch> | undefined {
    const isWanted =
      this.#options.attributes === 'all' &&
      // A line is the body whatever else is wanted.
      (this.#body === undefined || batch.source === 'line') &&
      Object.keys(batch.attributes).length === 0;
    return isWanted ? batch.undecoded : undefined;
  }

  /**
   * The record of rows[first] as it came, with our observed time if it has none; and those that stand behind it just as
   * they shall, while there is room. Returns who comes next.
   */
  #passOn(
    out: ProtobufWriter,
    batch: Batch,
    { starts, ends, observed }: Undecoded<Batch>,
    rows: Int32Array,
    first: number,
  ): number {
    const row = rows[first]!;
    const start = starts[row]!;
    let end = ends[row]!;
    out.byte(LOG_RECORD);
    out.varint(end - start + (observed ? 0 : observedBytes));
    let next = first + 1;
    if (observed) {
      const last = start + this.#options.bytesMax - (out.at - headroomBytes);
      for (; next < batch.count; next++) {
        const follower = rows[next]!;
        const from = starts[follower]!;
        const to = ends[follower]!;
        if (from - end !== headBytes(to - from) || to > last) break;
        end = to;
      }
    }
    out.reserve(end - start);
    batch.bytes.copy(out.buffer, out.at, start, end);
    out.at += end - start;
    if (!observed) this.#ourTime(out);
    return next;
  }

  #ourTime(out: ProtobufWriter): void {
    out.byte(OBSERVED_TIME);
    out.fixed64(this.#observedLow, this.#observedHigh);
  }

  #record(out: ProtobufWriter, batch: Batch, view: DataView, row: number): void {
    out.byte(LOG_RECORD);
    const mark = out.open(2);
    if (batch.timeWords(row)) {
      out.byte(TIME);
      out.fixed64(words.low, words.high);
    }
    const isNamed = this.#own.severityText(out, row);
    if (batch.severity !== undefined) {
      this.#severity(out, severityOf(batch, batch.severity, row), isNamed);
    }
    this.#putBody(out, batch, view, row);
    this.#attributes?.write(out, row);
    putId(out, TRACE_ID, 16, batch, batch.traceId, row);
    putId(out, SPAN_ID, 8, batch, batch.spanId, row);
    const { observedTime } = batch;
    if (observedTime?.kind[row] === INT) {
      out.byte(OBSERVED_TIME);
      out.fixed64(observedTime.a[row]!, observedTime.b[row]!);
    } else this.#ourTime(out);
    this.#own.write(out, row);
    out.close(mark, 2);
  }

  #putBody(out: ProtobufWriter, batch: Batch, view: DataView, row: number): void {
    const own = batch.body;
    const isLine = batch.source === 'line';
    if (own !== undefined && own.kind[row] !== ABSENT) {
      out.byte(BODY);
      putCell(out, batch, view, own, row);
    } else if (isLine && (own === undefined || this.#options.body === 'line')) {
      out.byte(BODY);
      putText(out, batch, view, batch.rowStart[row]!, batch.rowEnd[row]!);
    } else if (this.#body !== undefined) {
      out.byte(BODY);
      this.#body.write(out, row);
    }
  }

  /** The number, and its text unless the record `isNamed`. */
  #severity(out: ProtobufWriter, number: number, isNamed: boolean): void {
    if (number < 1 || number > 24) return;
    if (isNamed) {
      out.byte(SEVERITY_NUMBER);
      out.byte(number);
      return;
    }
    let bytes = this.#severities[number];
    if (bytes === undefined) {
      bytes = encodeOnce((piece) => {
        piece.byte(SEVERITY_NUMBER);
        piece.varint(number);
        piece.byte(SEVERITY_TEXT);
        piece.string(severityText(number));
      });
      this.#severities[number] = bytes;
    }
    out.put(bytes);
  }

  #prepareTime(batch: Batch): void {
    millisToWords(batch.observedMs);
    this.#observedLow = words.low;
    this.#observedHigh = words.high;
  }
}

/** Tag and length of a record of so many bytes, as we write them. */
const headBytes = (length: number): number =>
  length < 128 ? 2 : length < 16_384 ? 3 : length < 2_097_152 ? 4 : 5;

/** As a small integer, which needs no memory of its own; any other number is none. */
function severityOf(batch: Batch, column: Column, row: number): number {
  const kind = column.kind[row];
  if (kind === INT) return column.b[row] === 0 ? column.a[row]! : 0;
  return kind === ABSENT ? 0 : batch.number(column, row) | 0;
}

const noFacts: Attributes = Object.freeze({});

/** How the logs of a resource and of a scope begin. */
type Head = { readonly resource: Buffer; readonly scope: Buffer };

function scopeBytes({ name, version, attributes }: Scope): Buffer {
  return encodeOnce((out) => {
    out.byte(SCOPE);
    const mark = out.open(1);
    if (name !== '') {
      out.byte(0x0a);
      out.string(name);
    }
    if (version !== '') {
      out.byte(0x12);
      out.string(version);
    }
    putAttributes(out, 0x1a, attributes);
    out.close(mark, 1);
  });
}

function putAttributes(out: ProtobufWriter, tag: number, attributes: Attributes): void {
  for (const [key, value] of Object.entries(attributes)) {
    out.byte(tag);
    putKeyValue(out, key, value);
  }
}

type Group = { readonly resource: number; readonly logs: number; readonly scope: number };

function closeGroup(out: ProtobufWriter, group: Group): void {
  out.close(group.scope, 4);
  out.close(group.logs, 4);
}

/** The selected rows, those of one resource together; otherwise in the order in which they were read. */
function rowsByResource(batch: Batch): Int32Array {
  const of = batch.resourceOf;
  const { selection, count } = batch;
  if (of === undefined) return selection;
  const starts = new Int32Array(batch.resources.length + 1);
  for (let i = 0; i < count; i++) starts[of[selection[i]!]! + 1]!++;
  for (let r = 1; r < starts.length; r++) starts[r]! += starts[r - 1]!;
  const rows = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const row = selection[i]!;
    rows[starts[of[row]!]!++] = row;
  }
  return rows;
}

/** An id of `size` bytes from its hex text; shorter hex (B3's 64 bit) is padded in front, zeros alone are no id. */
function putId(
  out: ProtobufWriter,
  tag: number,
  size: number,
  batch: Batch,
  column: Column | undefined,
  row: number,
): void {
  if (column === undefined) return;
  const kind = column.kind[row];
  const a = column.a[row]!;
  const b = column.b[row]!;
  if (kind === BYTES && b - a === size) {
    out.byte(tag);
    out.byte(size);
    out.put(batch.bytes.subarray(a, b));
  } else if (kind === TEXT) putHex(out, tag, size, batch.bytes, a, b);
  else if (kind !== ABSENT) {
    const text = Buffer.from(batch.text(column, row) ?? '');
    putHex(out, tag, size, text, 0, text.length);
  }
}

function putHex(
  out: ProtobufWriter,
  tag: number,
  size: number,
  hex: Buffer,
  start: number,
  end: number,
): void {
  const digits = end - start;
  if (digits !== size * 2 && (digits !== 16 || size !== 16)) return;
  out.reserve(size + 2);
  const { buffer } = out;
  let at = out.at;
  buffer[at++] = tag;
  buffer[at++] = size;
  for (let pad = digits; pad < size * 2; pad += 2) buffer[at++] = 0;
  let seen = 0;
  for (let i = start; i < end; i += 2) {
    const high = hexValue[hex[i]!]!;
    const low = hexValue[hex[i + 1]!]!;
    if ((high | low) > 15) return;
    seen |= high | low;
    buffer[at++] = (high << 4) | low;
  }
  if (seen !== 0) out.at = at;
}

const hexValue = new Uint8Array(256).fill(255);
for (let digit = 0; digit < 16; digit++) {
  const text = digit.toString(16);
  hexValue[text.charCodeAt(0)] = digit;
  hexValue[text.toUpperCase().charCodeAt(0)] = digit;
}
