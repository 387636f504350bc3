// Fields that only a record of OTLP has. Everywhere else they are attributes of these names; in OTLP they are fields
// again, whoever gave a record such an attribute.

import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, type Column, HELD, INT, TEXT } from '../../pipeline/column.ts';
import { isText } from './cell.ts';
import type { ProtobufWriter } from './writer.ts';

/** The names of attributes that are fields of a record in OTLP. */
export const ownNames = {
  severityText: 'severity.text',
  droppedAttributes: 'otlp.dropped_attributes_count',
  traceFlags: 'trace.flags',
  eventName: 'event.name',
} as const;

const names: ReadonlySet<string> = new Set(Object.values(ownNames));
export const isOwnName = (name: string): boolean => names.has(name);

const SEVERITY_TEXT = 0x1a;
const DROPPED_ATTRIBUTES_COUNT = 0x38;
const FLAGS = 0x45;
const EVENT_NAME = 0x62;

/** Writes them for the rows of one batch after the other. */
export class OwnFields {
  #batch: Batch | undefined;
  #view: DataView = new DataView(new ArrayBuffer(0));
  #severityText: Column | undefined;
  #droppedAttributes: Column | undefined;
  #traceFlags: Column | undefined;
  #eventName: Column | undefined;

  /** Turns to a batch whose bytes `view` shows. A column with anything that does not fit stays an attribute. */
  prepare(batch: Batch, view: DataView): void {
    this.#batch = batch;
    this.#view = view;
    const column = (name: string, fits: Fits): Column | undefined => {
      const found = batch.column(name);
      return found !== undefined && fitsAll(batch, view, found, fits) ? found : undefined;
    };
    this.#severityText = column(ownNames.severityText, isTextCell);
    this.#droppedAttributes = column(ownNames.droppedAttributes, isCount);
    this.#traceFlags = column(ownNames.traceFlags, isCount);
    this.#eventName = column(ownNames.eventName, isTextCell);
  }

  /** Whether a column of the batch is no attribute. */
  has(column: Column): boolean {
    return (
      column === this.#severityText ||
      column === this.#droppedAttributes ||
      column === this.#traceFlags ||
      column === this.#eventName
    );
  }

  /** Writes the text of the severity, if the row has one of its own. */
  severityText(out: ProtobufWriter, row: number): boolean {
    return this.#text(out, SEVERITY_TEXT, this.#severityText, row);
  }

  /** Writes all others. */
  write(out: ProtobufWriter, row: number): void {
    const dropped = this.#droppedAttributes;
    if (dropped !== undefined && dropped.kind[row] !== ABSENT) {
      out.byte(DROPPED_ATTRIBUTES_COUNT);
      out.varint(dropped.a[row]! >>> 0);
    }
    const flags = this.#traceFlags;
    if (flags !== undefined && flags.kind[row] !== ABSENT) {
      out.byte(FLAGS);
      for (let shift = 0; shift < 32; shift += 8) out.byte((flags.a[row]! >>> shift) & 255);
    }
    this.#text(out, EVENT_NAME, this.#eventName, row);
  }

  #text(out: ProtobufWriter, tag: number, column: Column | undefined, row: number): boolean {
    if (column === undefined || column.kind[row] === ABSENT) return false;
    const batch = this.#batch!;
    const start = column.a[row]!;
    const end = column.b[row]!;
    out.byte(tag);
    if (column.kind[row] === HELD) out.string(batch.text(column, row) ?? '');
    else {
      out.varint(end - start);
      out.span(batch.bytes, this.#view, start, end);
    }
    return true;
  }
}

type Fits = (batch: Batch, view: DataView, column: Column, row: number) => boolean;

function fitsAll(batch: Batch, view: DataView, column: Column, fits: Fits): boolean {
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i]!;
    if (column.kind[row] !== ABSENT && !fits(batch, view, column, row)) return false;
  }
  return true;
}

const isTextCell: Fits = (batch, view, column, row) =>
  column.kind[row] === TEXT
    ? batch.isUtf8 || isText(batch.bytes, view, column.a[row]!, column.b[row]!)
    : column.kind[row] === HELD && typeof batch.value(column, row) === 'string';

/** What 32 bits hold. */
const isCount: Fits = (_batch, _view, column, row) =>
  column.kind[row] === INT && column.b[row] === 0;
