// Log records as rows of a batch.

import { readAnyValue } from '../../pipeline/any_value_reader.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { recordFields } from '../../pipeline/batch_fields.ts';
import { type Column, ENCODED, INT, TEXT } from '../../pipeline/column.ts';
import {
  FIXED32,
  FIXED64,
  LENGTH_DELIMITED,
  ProtobufReader,
  VARINT,
} from '../../pipeline/protobuf_reader.ts';
import { type Attributes, severityText } from '../../pipeline/record.ts';
import type { AttributeCells } from './attribute_cells.ts';
import { ownNames } from './own_fields.ts';

/** Hex text of a trace id and a span id, which a record has as bytes: room for it stands behind the message. */
export const idBytes = 48;
const resourcesMax = 65_535;

/** Bytes start..stop; from -1 on there are none. */
export type Span = { start: number; stop: number };

/** The rows of one request. */
export class Rows {
  readonly batch: Batch;
  /** By row, the bytes of its record. */
  starts: Int32Array;
  ends: Int32Array;
  /** Whether those that are left undecoded have their observed times. */
  observed = false;
  readonly #reader: ProtobufReader;
  readonly #indexes = new Map<Attributes, number>();
  readonly #resources: Attributes[] = [];
  #isLine: Uint8Array | undefined;
  #lines = 0;
  #resourceOf: Uint16Array | undefined;
  #resource = 0;
  /** Where the text of the next id goes. */
  #idsAt: number;

  /** `sourceLength`: the end of the messages in the batch's bytes. */
  constructor(batch: Batch, sourceLength: number) {
    this.batch = batch;
    this.starts = batch.rowStart;
    this.ends = batch.rowEnd;
    this.#idsAt = sourceLength;
    this.#reader = new ProtobufReader(batch.bytes);
  }

  /** The resource of the records that follow. */
  resource(facts: Attributes): void {
    let index = this.#indexes.get(facts);
    if (index === undefined) {
      if (this.#resources.length >= resourcesMax) {
        // Whose facts do not fit shares those of the last.
        this.#resource = resourcesMax - 1;
        return;
      }
      index = this.#resources.length;
      this.#resources.push(facts);
      this.#indexes.set(facts, index);
    }
    if (index > 0) this.#resourceOf ??= new Uint16Array(this.batch.capacity);
    this.#resource = index;
  }

  /** The LogRecord in bytes start..stop as a row. False: it is malformed, and there is no row. */
  record(cells: AttributeCells, start: number, stop: number): boolean {
    const { batch } = this;
    const row = batch.rows;
    batch.rowStart[row] = start;
    batch.rowEnd[row] = stop;
    if (!this.fill(cells, row, start, stop)) {
      this.#undo(row);
      return false;
    }
    this.#add(batch.rowStart[row]!, batch.rowEnd[row]!);
    return true;
  }

  /**
   * The LogRecord in bytes start..stop, undecoded. False: others have a line and this one has none, or the reverse; or
   * an observed time.
   */
  leave(start: number, stop: number, line: Span, observed: boolean): boolean {
    const { batch } = this;
    const isLine = line.start >= 0;
    if (batch.rows === 0) this.observed = observed;
    else if (isLine !== this.#lines > 0 || observed !== this.observed) return false;
    if (!isLine) {
      this.#add(start, stop);
      return true;
    }
    if (this.starts === batch.rowStart) {
      this.starts = new Int32Array(batch.capacity);
      this.ends = new Int32Array(batch.capacity);
    }
    this.#lines++;
    this.starts[batch.rows] = start;
    this.ends[batch.rows] = stop;
    this.#add(line.start, line.stop);
    return true;
  }

  #add(start: number, stop: number): void {
    const row = this.batch.addRow(start, stop);
    if (this.#resourceOf !== undefined) this.#resourceOf[row] = this.#resource;
  }

  /** Forgets all rows. */
  clear(): void {
    this.batch.rows = 0;
    this.batch.count = 0;
    this.#lines = 0;
    this.#indexes.clear();
    this.#resources.length = 0;
    this.#resourceOf = undefined;
  }

  /** The cells of a row from the LogRecord in bytes start..stop. False: it is malformed. */
  fill(cells: AttributeCells, row: number, start: number, stop: number): boolean {
    const reader = this.#reader;
    reader.bad = false;
    reader.enter(start, stop);
    cells.first();
    let severity = 0;
    let textStart = 0;
    let textStop = 0;
    let good = true;
    while (good) {
      reader.at = cells.run(row, reader.at, stop);
      if (!reader.next()) break;
      const { field, wireType } = reader;
      if (wireType === LENGTH_DELIMITED) {
        if (field === 6) good = cells.put(row, reader.start, reader.stop);
        else if (field === 5) good = this.#body(cells, row, reader.start, reader.stop);
        else if (field === 9) this.#id('traceId', 16, row);
        else if (field === 10) this.#id('spanId', 8, row);
        else if (field === 3) {
          textStart = reader.start;
          textStop = reader.stop;
        } else if (field === 12) this.#text(ownNames.eventName, row, reader.start, reader.stop);
      } else if (wireType === FIXED64) {
        if (field === 1) this.#time('time', row);
        else if (field === 11) this.#time('observedTime', row);
      } else if (wireType === VARINT && field === 2) severity = reader.low;
      else if (wireType === FIXED32 && field === 8)
        this.#number(ownNames.traceFlags, row, reader.low);
      else if (wireType === VARINT && field === 7) {
        this.#number(ownNames.droppedAttributes, row, reader.low);
      }
    }
    if (!good || reader.bad) return false;
    this.#severity(row, severity, textStart, textStop);
    return true;
  }

  /** The batches of all rows. */
  finish(): readonly Batch[] {
    const { batch } = this;
    batch.resources = this.#resources;
    batch.resourceOf = this.#resourceOf;
    batch.source = 'otlp';
    if (batch.rows === 0) return [];
    if (this.#lines === 0) return [batch];
    const lines = this.#lines === batch.rows ? batch : batch.fork();
    lines.source = 'line';
    lines.body = undefined;
    if (lines === batch) return [batch];
    const others = batch.fork();
    lines.keep((row) => this.#isLine?.[row] === 1);
    others.keep((row) => this.#isLine?.[row] === 0);
    return [lines, others];
  }

  #undo(row: number): void {
    const { batch } = this;
    for (const column of batch.columns) column.clear(row);
    for (const field of recordFields) batch[field]?.clear(row);
    if (this.#isLine?.[row] !== 1) return;
    this.#lines--;
    this.#isLine[row] = 0;
  }

  /** A text body is the line of its row. */
  #body(cells: AttributeCells, row: number, start: number, stop: number): boolean {
    const { batch } = this;
    const { bytes } = batch;
    const reader = new ProtobufReader(bytes, start, stop);
    let field = 0;
    while (reader.next()) field = reader.field;
    if (reader.bad) return false;
    if (field === 1 && reader.wireType === LENGTH_DELIMITED) {
      batch.rowStart[row] = reader.start;
      batch.rowEnd[row] = reader.stop;
      this.#isLine ??= new Uint8Array(batch.capacity);
      if (this.#isLine[row] === 0) this.#lines++;
      this.#isLine[row] = 1;
      return true;
    }
    if (field === 6 && reader.wireType === LENGTH_DELIMITED && cells.printed) {
      return cells.putAll(row, 1, reader.start, reader.stop);
    }
    const isPlain = cells.plain.isPlain(start, stop);
    const value = isPlain ? undefined : readAnyValue(bytes, start, stop);
    if (!isPlain && value === undefined) return false;
    batch.body ??= batch.recordColumn('body');
    if (isPlain) batch.body.setSpan(row, ENCODED, start, stop);
    else batch.setValue(batch.body, row, value);
    return true;
  }

  /** Zero is no time. */
  #time(field: 'time' | 'observedTime', row: number): void {
    const { batch } = this;
    const { low, high } = this.#reader;
    if (low === 0 && high === 0) return;
    const column = batch[field] ?? batch.recordColumn(field);
    batch[field] = column;
    column.setSpan(row, INT, low, high);
  }

  /** The text is kept where it says something else than the number does. */
  #severity(row: number, number: number, start: number, stop: number): void {
    const { batch } = this;
    if (number >= 1 && number <= 24) {
      batch.severity ??= batch.recordColumn('severity');
      batch.severity.setInt(row, number);
    }
    if (start === stop) return;
    const text = number === 0 ? '' : severityText(number);
    if (stop - start === text.length && batch.bytes.latin1Slice(start, stop) === text) return;
    this.#text(ownNames.severityText, row, start, stop);
  }

  /** An id as hex text, behind the message. */
  #id(field: 'traceId' | 'spanId', size: number, row: number): void {
    const { batch } = this;
    const { start, stop } = this.#reader;
    if (stop - start !== size) return;
    const column = batch[field] ?? batch.recordColumn(field);
    batch[field] = column;
    // A second id takes the place of the first.
    const at = column.kind[row] === TEXT ? column.a[row]! : this.#idsAt;
    let seen = 0;
    for (let i = 0; i < size; i++) {
      const byte = batch.bytes[start + i]!;
      seen |= byte;
      batch.bytes[at + 2 * i] = hexDigits[byte >> 4]!;
      batch.bytes[at + 2 * i + 1] = hexDigits[byte & 15]!;
    }
    if (seen === 0) return;
    column.setSpan(row, TEXT, at, at + 2 * size);
    this.#idsAt = Math.max(this.#idsAt, at + 2 * size);
    batch.length = Math.max(batch.length, this.#idsAt);
  }

  #text(name: string, row: number, start: number, stop: number): void {
    if (start < stop) columnOf(this.batch, name).setSpan(row, TEXT, start, stop);
  }

  #number(name: string, row: number, value: number): void {
    if (value > 0) columnOf(this.batch, name).setInt(row, value);
  }
}

/** The column of a name, made when missing. */
const columnOf = (batch: Batch, name: string): Column =>
  batch.column(name) ?? batch.addColumn(name);

const hexDigits = Buffer.from('0123456789abcdef');
