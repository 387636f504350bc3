// A batch as JSON lines, one record each: {time, observed_time, severity, body, attributes, resource, trace_id, span_id}.
// Every key is always there; what a record lacks is null. Cells are copied as bytes.

import type { Batch } from '../pipeline/batch.ts';
import { viewOf } from '../pipeline/buffers.ts';
import { jsonSafe } from '../pipeline/cell_values.ts';
import {
  ABSENT,
  BYTES,
  CODE,
  type Column,
  type Dictionary,
  ESCAPED,
  FALSE,
  INT,
  NESTED,
  NUMBER,
  TEXT,
  TRUE,
} from '../pipeline/column.ts';
import type { Attributes } from '../pipeline/record.ts';
import { severityText } from '../pipeline/record.ts';
import { formatTime, millisToWords, wordsAsNanoseconds } from '../pipeline/time.ts';
import { ByteWriter, type Piece, pieceOf } from './byte_writer.ts';

const keyTime = pieceOf('{"time":');
const keyObserved = pieceOf(',"observed_time":');
const keySeverity = pieceOf(',"severity":');
const keyBody = pieceOf(',"body":');
const keyAttributes = pieceOf(',"attributes":');
const keyResource = pieceOf('},"resource":');
const keyTraceId = pieceOf(',"trace_id":');
const keySpanId = pieceOf(',"span_id":');
const end = pieceOf('}\n');
const nothing = pieceOf('null');
const noValue = Buffer.from('null');
const yes = Buffer.from('true');
const no = Buffer.from('false');

const severities = new Map<number, Buffer>();
const namesMax = 10_000;

/** Turns batches into JSON lines. One instance per exporter; not for use by two callers at once. */
export class JsonRecordEncoder {
  readonly #out = new ByteWriter(1 << 18);
  /** `,"name":` of every column name seen, bounded: names come from the network. */
  readonly #names = new Map<string, Piece>();

  /** The selected rows as lines. The result is valid until the next call. */
  encode(batch: Batch): Buffer {
    const out = this.#out;
    out.reset();
    const view = viewOf(batch.bytes);
    const facts = factsOf(batch);
    const resources = batch.resources.map((resource) => pieceOf(stringify(resource)));
    millisToWords(Math.round(batch.observedMs));
    const ours = pieceOf(`"${formatTime(wordsAsNanoseconds())}"`);
    const names = batch.columns.map((column) => this.#name(column.name));
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      out.piece(keyTime);
      writeTime(out, batch, view, row);
      out.piece(keyObserved);
      writeObservedTime(out, batch, row, ours);
      out.piece(keySeverity);
      writeSeverity(out, batch, row);
      out.piece(keyBody);
      writeBody(out, batch, view, row);
      out.piece(keyAttributes);
      this.#attributes(batch, view, row, names, facts);
      out.piece(keyResource);
      out.piece(resources[batch.resourceOf?.[row] ?? 0]!);
      out.piece(keyTraceId);
      writeCellOrNull(out, batch, view, batch.traceId, row);
      out.piece(keySpanId);
      writeCellOrNull(out, batch, view, batch.spanId, row);
      out.piece(end);
    }
    return out.bytes();
  }

  #attributes(
    batch: Batch,
    view: DataView,
    row: number,
    names: readonly Piece[],
    facts: Piece,
  ): void {
    const out = this.#out;
    const { columns, isUtf8: utf8 } = batch;
    const start = out.at;
    for (let c = 0; c < names.length; c++) {
      const column = columns[c]!;
      const kind = column.kind[row]!;
      if (kind === ABSENT) continue;
      const name = names[c]!;
      if (kind === TEXT && utf8 && out.pieceAndText(name, view, column.a[row]!, column.b[row]!)) {
        continue;
      }
      out.piece(name);
      writeCell(out, batch, view, column, row);
    }
    out.piece(facts);
    // Every name begins with a comma; the first one is the brace.
    if (out.at > start) out.buffer[start] = 123;
    else out.byte(123);
  }

  #name(name: string): Piece {
    let bytes = this.#names.get(name);
    if (bytes === undefined) {
      bytes = pieceOf(`,${JSON.stringify(name)}:`);
      if (this.#names.size >= namesMax) this.#names.clear();
      this.#names.set(name, bytes);
    }
    return bytes;
  }
}

/** A value as compact JSON; bigints and bytes as in OTLP/JSON. */
export function stringify(value: unknown): string {
  return JSON.stringify(value, jsonSafe) ?? 'null';
}

/** The batch's own attributes as the rest of an object, less those that a column overrides. */
function factsOf(batch: Batch): Piece {
  const facts: Attributes = batch.attributes;
  const own = Object.keys(facts).filter((key) => batch.column(key) === undefined);
  return pieceOf(own.map((key) => `,${JSON.stringify(key)}:${stringify(facts[key])}`).join(''));
}

function writeTime(out: ByteWriter, batch: Batch, view: DataView, row: number): void {
  const column = batch.time;
  if (column?.kind[row] === TEXT && batch.bytes[column.b[row]! - 1] === 90) {
    if (batch.timeWords(row)) {
      out.jsonSpan(batch.bytes, view, column.a[row]!, column.b[row]!);
      return;
    }
  }
  if (!batch.timeWords(row)) {
    out.piece(nothing);
    return;
  }
  out.text(`"${formatTime(wordsAsNanoseconds())}"`);
}

function writeObservedTime(out: ByteWriter, batch: Batch, row: number, ours: Piece): void {
  if (batch.observedTime?.kind[row] !== INT) {
    out.piece(ours);
    return;
  }
  batch.observedWords(row);
  out.text(`"${formatTime(wordsAsNanoseconds())}"`);
}

function writeSeverity(out: ByteWriter, batch: Batch, row: number): void {
  const column = batch.severity;
  if (column === undefined || column.kind[row] === ABSENT) {
    out.piece(nothing);
    return;
  }
  const number = batch.number(column, row);
  let text = severities.get(number);
  if (text === undefined) {
    text = Buffer.from(`"${severityText(number)}"`);
    severities.set(number, text);
  }
  out.put(text);
}

function writeBody(out: ByteWriter, batch: Batch, view: DataView, row: number): void {
  if (batch.body !== undefined) writeCellOrNull(out, batch, view, batch.body, row);
  else if (batch.source !== 'line') out.piece(nothing);
  else writeText(out, batch, view, batch.rowStart[row]!, batch.rowEnd[row]!);
}

function writeText(out: ByteWriter, batch: Batch, view: DataView, start: number, to: number): void {
  if (batch.isUtf8) out.jsonSpan(batch.bytes, view, start, to);
  else out.text(JSON.stringify(batch.bytes.utf8Slice(start, to)));
}

function writeCellOrNull(
  out: ByteWriter,
  batch: Batch,
  view: DataView,
  column: Column | undefined,
  row: number,
): void {
  if (column === undefined || column.kind[row] === ABSENT) out.piece(nothing);
  else writeCell(out, batch, view, column, row);
}

/** The value of a cell as JSON. The cell is not ABSENT. */
export function writeCell(
  out: ByteWriter,
  batch: Batch,
  view: DataView,
  column: Column,
  row: number,
): void {
  const a = column.a[row]!;
  const b = column.b[row]!;
  switch (column.kind[row]) {
    case TEXT:
      return writeText(out, batch, view, a, b);
    case NUMBER:
      return writeNumber(out, batch, view, a, b);
    case CODE:
      return out.put(codeBytes(column.dictionary, a));
    case ESCAPED:
      if (!batch.isUtf8) break;
      out.byte(34);
      out.span(batch.bytes, view, a, b);
      return out.byte(34);
    case NESTED:
      if (!batch.isUtf8) break;
      return out.span(batch.bytes, view, a, b);
    case INT:
      if (b >= 0 && b < 0x200000) return out.digits(b * 4294967296 + (a >>> 0));
      return out.text(column.bigIntAt(row).toString());
    case TRUE:
      return out.put(yes);
    case FALSE:
      return out.put(no);
    case BYTES:
      return out.text(`"${batch.bytes.toString('base64', a, b)}"`);
    default:
      break;
  }
  out.text(stringify(batch.value(column, row)));
}

/** JSON has no leading zeros, which a text line may print: they are left out. */
function writeNumber(out: ByteWriter, batch: Batch, view: DataView, a: number, b: number): void {
  let start = a;
  while (batch.bytes[start] === 48 && start + 1 < b && isDigit(batch.bytes[start + 1]!)) start++;
  out.span(batch.bytes, view, start, b);
}

const isDigit = (c: number): boolean => c >= 48 && c <= 57;

function codeBytes(dictionary: Dictionary | undefined, code: number): Buffer {
  if (dictionary === undefined) return noValue;
  let encoded = dictionary.encoded.get('json');
  if (encoded === undefined) {
    encoded = [];
    dictionary.encoded.set('json', encoded);
  }
  let bytes = encoded[code];
  if (bytes === undefined) {
    bytes = Buffer.from(stringify(dictionary.values[code]));
    encoded[code] = bytes;
  }
  return bytes;
}
