// A batch as bytes and back, for the disk queue: the table as it is, so that writing costs little more than a copy.
//
// Layout: u32 length of the head, head (v8-serialised: names, facts, dictionaries, held values), then for the selected
// rows rowStart and rowEnd (i32 each), per column a and b (i32 each), then per column kind (u8), then the source bytes.

import { deserialize, serialize } from 'node:v8';
import { Batch, type RowSource } from './batch.ts';
import { recordFields } from './batch_fields.ts';
import { buffers, slackBytes } from './buffers.ts';
import { CODE, type Column, Dictionary } from './column.ts';
import type { AnyValue, Attributes } from './record.ts';

type RecordField = (typeof recordFields)[number];

type Head = {
  readonly rows: number;
  readonly length: number;
  readonly source: RowSource;
  readonly observedMs: number;
  readonly resources: readonly Attributes[];
  readonly resourceOf: Uint16Array | undefined;
  readonly attributes: Attributes;
  readonly held: readonly AnyValue[];
  /** Column names; undefined dictionaries belong to columns without codes. */
  readonly names: readonly string[];
  readonly dictionaries: readonly (readonly AnyValue[] | undefined)[];
  /** Where a record field is: the index of a column; those from `attributesEnd` on are no attributes. */
  readonly fields: Readonly<Partial<Record<RecordField, number>>>;
  readonly attributesEnd: number;
};

/** The parts of a snapshot, one behind the other. */
export type Snapshot = {
  /** Head and table, in a buffer of the pool. */
  readonly table: Buffer;
  /** The batch's own source bytes. */
  readonly bytes: Buffer;
};

/** The selected rows, after `headroom` bytes that are left to the caller. Source bytes are not copied. */
export function writeSnapshot(batch: Batch, headroom = 0): Snapshot {
  const columns = [...batch.columns];
  const fields: Partial<Record<RecordField, number>> = {};
  for (const field of recordFields) {
    const column = batch[field];
    if (column === undefined) continue;
    const known = columns.indexOf(column);
    fields[field] = known >= 0 ? known : columns.push(column) - 1;
  }
  const rows = batch.count;
  const chosen = batch.selection.subarray(0, rows);
  const head = serialize({
    rows,
    length: batch.length,
    source: batch.source,
    observedMs: batch.observedMs,
    resources: batch.resources,
    resourceOf: batch.resourceOf === undefined ? undefined : gather(batch.resourceOf, chosen),
    attributes: batch.attributes,
    held: batch.held,
    names: columns.map(({ name }) => name),
    dictionaries: columns.map((column) => usedValues(column, chosen)),
    fields,
    attributesEnd: batch.columns.length,
  } satisfies Head);
  const length = headroom + 4 + head.length + rows * 8 + columns.length * rows * 9;
  const table = buffers.take(length).subarray(0, length);
  table.writeUInt32LE(head.length, headroom);
  head.copy(table, headroom + 4);
  writeTable(table, headroom + 4 + head.length, batch, columns, chosen);
  return { table, bytes: batch.bytes.subarray(0, batch.length) };
}

/** The batch that `writeSnapshot` wrote at start..end. Its source bytes stay in `buffer`, which needs slack after end. */
export function readSnapshot(buffer: Buffer, start: number, end: number): Batch {
  const headLength = buffer.readUInt32LE(start);
  const head = deserialize(buffer.subarray(start + 4, start + 4 + headLength)) as Head;
  const { rows, names } = head;
  const tableStart = start + 4 + headLength;
  const bytesStart = end - head.length;
  const bytes = buffer.subarray(bytesStart, Math.min(buffer.length, end + slackBytes));
  const batch = new Batch(bytes, head.length, rows);
  batch.ownsBytes = false;
  batch.source = head.source;
  batch.observedMs = head.observedMs;
  batch.resources = [...head.resources];
  batch.attributes = head.attributes;
  batch.held = [...head.held];
  if (head.resourceOf !== undefined) {
    batch.resourceOf = new Uint16Array(batch.capacity);
    batch.resourceOf.set(head.resourceOf);
  }
  let at = tableStart;
  const into = (target: Int32Array): void => {
    const bytes = new Uint8Array(target.buffer, target.byteOffset, rows * 4);
    buffer.copy(bytes, 0, at, at + rows * 4);
    at += rows * 4;
  };
  into(batch.rowStart);
  into(batch.rowEnd);
  for (let row = 0; row < rows; row++) batch.selection[row] = row;
  batch.rows = rows;
  batch.count = rows;
  const columns = names.map((name, index) => {
    const column = index < head.attributesEnd ? batch.addColumn(name) : batch.recordColumn(name);
    into(column.a);
    into(column.b);
    const values = head.dictionaries[index];
    if (values !== undefined) {
      const dictionary = new Dictionary();
      for (const value of values) dictionary.append(value);
      column.dictionary = dictionary;
    }
    return column;
  });
  for (const column of columns) {
    column.kind.set(buffer.subarray(at, at + rows));
    at += rows;
  }
  for (const field of recordFields) {
    const index = head.fields[field];
    if (index !== undefined) batch[field] = columns[index];
  }
  return batch;
}

function gather(values: Uint16Array, rows: Int32Array): Uint16Array {
  const out = new Uint16Array(rows.length);
  for (let i = 0; i < rows.length; i++) out[i] = values[rows[i]!]!;
  return out;
}

/** The dictionary up to the highest code in use: shared dictionaries keep growing, old batches need not. */
function usedValues(column: Column, rows: Int32Array): AnyValue[] | undefined {
  if (column.dictionary === undefined) return undefined;
  let highest = -1;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    if (column.kind[row] === CODE && column.a[row]! > highest) highest = column.a[row]!;
  }
  return column.dictionary.values.slice(0, highest + 1);
}

function writeTable(
  buffer: Buffer,
  start: number,
  batch: Batch,
  columns: readonly Column[],
  rows: Int32Array,
): void {
  let at = start;
  const whole = rows.length === batch.rows;
  const ints = (values: Int32Array): void => {
    const chosen = whole ? values.subarray(0, rows.length) : gatherInts(values, rows);
    buffer.set(new Uint8Array(chosen.buffer, chosen.byteOffset, chosen.byteLength), at);
    at += chosen.byteLength;
  };
  ints(batch.rowStart);
  ints(batch.rowEnd);
  for (const column of columns) {
    ints(column.a);
    ints(column.b);
  }
  for (const column of columns) {
    if (whole) buffer.set(column.kind.subarray(0, rows.length), at);
    else for (let i = 0; i < rows.length; i++) buffer[at + i] = column.kind[rows[i]!]!;
    at += rows.length;
  }
}

function gatherInts(values: Int32Array, rows: Int32Array): Int32Array {
  const out = new Int32Array(rows.length);
  for (let i = 0; i < rows.length; i++) out[i] = values[rows[i]!]!;
  return out;
}
