// All fields of a row as KeyValues: the attributes of a record, or the values of a kvlist body. This is the hot loop of
// the exporter: the key of a column is encoded once, text is copied from the source bytes in words.

import type { Batch } from '../../pipeline/batch.ts';
import {
  ABSENT,
  CODE,
  type Column,
  type Dictionary,
  DOUBLE,
  INT,
  NUMBER,
  TEXT,
} from '../../pipeline/column.ts';
import { FLOAT64, INT64, KVLIST, putKeyValue } from './any_value.ts';
import { codeBytes, encodeOnce, integerOf, isText, putCell } from './cell.ts';
import {
  copyAbove,
  copyWords,
  type Piece,
  type ProtobufWriter,
  pieceOf,
  varintSize,
  viewOf,
} from './writer.ts';

/**
 * A KeyValue's beginning: its tag, room for its length in one byte, the key, the tag of its value. And whole ones for the
 * values of dictionaries.
 */
type Key = Piece & { readonly coded: WeakMap<Dictionary, Piece[]> };

/** Names come from the network: more than this many are not kept. */
const keysMax = 10_000;

/** Writes something of each row. `prepare` is called with a batch before its rows are written. */
export type RowWriter = {
  prepare(batch: Batch): void;
  write(out: ProtobufWriter, row: number): void;
};

/** Every field of a row: its columns, then what the whole batch has in common. */
export class FieldsWriter implements RowWriter {
  /** The tag in front of each KeyValue: of a record's attributes, or of a kvlist's values. */
  readonly #tag: number;
  readonly #keys = new Map<string, Key>();
  #batch: Batch | undefined;
  #view: DataView = new DataView(new ArrayBuffer(0));
  #isUtf8 = false;
  #columns: readonly Column[] = [];
  #columnKeys: Key[] = [];
  /** By column and code: KeyValues behind their tag. */
  #coded: Piece[][] = [];
  /** What a row without a column's field has from the batch; undefined for nearly all batches. */
  #fallbacks: (Buffer | undefined)[] | undefined;
  #facts = pieceOf(Buffer.alloc(0));

  constructor(tag: number) {
    this.#tag = tag;
  }

  prepare(batch: Batch): void {
    this.#batch = batch;
    this.#view = viewOf(batch.bytes);
    this.#isUtf8 = batch.isUtf8;
    this.#columns = batch.columns;
    this.#columnKeys = batch.columns.map(({ name }) => this.#key(name));
    this.#coded = batch.columns.map(({ dictionary }, c) => this.#codedOf(c, dictionary));
    this.#prepareFacts(batch);
  }

  write(out: ProtobufWriter, row: number): void {
    const columns = this.#columns;
    const keys = this.#columnKeys;
    const batch = this.#batch!;
    const source = this.#view;
    const isUtf8 = this.#isUtf8;
    for (let c = 0; c < columns.length; c++) {
      const column = columns[c]!;
      const kind = column.kind[row]!;
      if (kind === ABSENT) {
        if (this.#fallbacks !== undefined) this.#fallback(out, c);
        continue;
      }
      const a = column.a[row]!;
      if (kind === CODE) {
        out.piece(this.#coded[c]![a] ?? this.#code(c, column, a));
        continue;
      }
      const key = keys[c]!;
      const b = column.b[row]!;
      const { length } = key;
      if (kind === TEXT) {
        const count = b - a;
        if (length + count > 126 || !(isUtf8 || isText(batch.bytes, source, a, b))) {
          this.#text(out, key, a, b);
          continue;
        }
        // Nearly every cell: its lengths take one byte each.
        if (out.at + 160 > out.limit) out.reserve(160);
        const { view, at } = out;
        copyWords(view, at, key.view, 0, length);
        view.setUint8(at + 1, length + count + 1);
        view.setInt32(at + length, (count << 16) | 0x0a00 | (count + 2), true);
        copyWords(view, at + length + 3, source, a, count);
        out.at = at + length + 3 + count;
        continue;
      }
      if (kind === DOUBLE && length <= doubleKeyMax) {
        putDouble(out, key, a, b);
        continue;
      }
      let value = -1;
      if (kind === NUMBER) value = integerOf(batch.bytes, a, b);
      else if (kind === INT && b === 0) value = a;
      if (value < 0 || value > 0x7fffffff || !this.#integer(out, key, value)) {
        this.#other(out, key, batch, column, row);
      }
    }
    if (this.#facts.length > 0) out.piece(this.#facts);
  }

  /** What a row without a column's field has from the batch. */
  #fallback(out: ProtobufWriter, c: number): void {
    const fallback = this.#fallbacks?.[c];
    if (fallback !== undefined) out.put(fallback);
  }

  /** A KeyValue whose value is the text start..end: its lengths are known before it is written. */
  #text(out: ProtobufWriter, key: Key, start: number, end: number): void {
    const batch = this.#batch!;
    if (!this.#isUtf8 && !isText(batch.bytes, this.#view, start, end)) {
      this.#value(out, batch.bytes.utf8Slice(start, end), key);
      return;
    }
    const count = end - start;
    const { length, view: head } = key;
    if (out.at + length + count + 20 > out.limit) out.reserve(length + count + 20);
    const { buffer, view, at } = out;
    const any = 1 + varintSize(count) + count;
    buffer[at] = this.#tag;
    let to = putVarint(buffer, at + 1, length - 2 + varintSize(any) + any);
    copyWords(view, to, head, 2, length - 2);
    to = putVarint(buffer, to + length - 2, any);
    buffer[to++] = 0x0a;
    to = putVarint(buffer, to, count);
    if (count > copyAbove) batch.bytes.copy(buffer, to, start, end);
    else copyWords(view, to, this.#view, start, count);
    out.at = to + count;
  }

  /** A KeyValue whose value is an integer below 2^31. False: its length takes more than one byte. */
  #integer(out: ProtobufWriter, key: Key, value: number): boolean {
    const any = 1 + varintSize(value);
    const { length, view: head } = key;
    if (length + any > 128) return false;
    if (out.at + length + 20 > out.limit) out.reserve(length + 20);
    const { buffer, view, at } = out;
    copyWords(view, at, head, 0, length);
    buffer[at + 1] = length - 1 + any;
    buffer[at + length] = any;
    buffer[at + length + 1] = INT64;
    out.at = putVarint(buffer, at + length + 2, value);
    return true;
  }

  #other(out: ProtobufWriter, key: Key, batch: Batch, column: Column, row: number): void {
    const mark = this.#begin(out, key);
    putCell(out, batch, this.#view, column, row);
    out.close(mark, 1);
  }

  #value(out: ProtobufWriter, text: string, key: Key): void {
    const mark = this.#begin(out, key);
    const value = out.open(1);
    out.byte(0x0a);
    out.string(text);
    out.close(value, 1);
    out.close(mark, 1);
  }

  #begin(out: ProtobufWriter, key: Key): number {
    const start = out.at;
    out.piece(key);
    return start + 2;
  }

  #prepareFacts(batch: Batch): void {
    this.#fallbacks = undefined;
    const facts: [string, Batch['attributes'][string]][] = [];
    for (const [name, value] of Object.entries(batch.attributes)) {
      const column = batch.column(name);
      if (column === undefined) facts.push([name, value]);
      else {
        this.#fallbacks ??= [];
        this.#fallbacks[batch.columns.indexOf(column)] = this.#fact(name, value);
      }
    }
    this.#facts = pieceOf(Buffer.concat(facts.map(([name, value]) => this.#fact(name, value))));
  }

  #fact(name: string, value: Batch['attributes'][string]): Buffer {
    return encodeOnce((out) => {
      out.byte(this.#tag);
      putKeyValue(out, name, value);
    });
  }

  #codedOf(c: number, dictionary: Dictionary | undefined): Piece[] {
    if (dictionary === undefined) return [];
    const { coded } = this.#columnKeys[c]!;
    let pieces = coded.get(dictionary);
    if (pieces === undefined) {
      pieces = [];
      coded.set(dictionary, pieces);
    }
    return pieces;
  }

  #code(c: number, column: Column, code: number): Piece {
    const piece = pieceOf(
      encodeOnce((out) => {
        const mark = this.#begin(out, this.#columnKeys[c]!);
        out.put(codeBytes(column.dictionary, code));
        out.close(mark, 1);
      }),
    );
    if (column.dictionary !== undefined) this.#coded[c]![code] = piece;
    return piece;
  }

  #key(name: string): Key {
    let key = this.#keys.get(name);
    if (key === undefined) {
      key = encodeKey(this.#tag, name);
      if (this.#keys.size >= keysMax) this.#keys.clear();
      this.#keys.set(name, key);
    }
    return key;
  }
}

/** With a longer key the length of a double's KeyValue takes more than one byte. */
const doubleKeyMax = 119;

/** A KeyValue whose value is a double, given as its two words. */
function putDouble(out: ProtobufWriter, key: Key, low: number, high: number): void {
  const { length } = key;
  if (out.at + length + 20 > out.limit) out.reserve(length + 20);
  const { buffer, view, at } = out;
  copyWords(view, at, key.view, 0, length);
  buffer[at + 1] = length + 8;
  buffer[at + length] = 9;
  buffer[at + length + 1] = FLOAT64;
  view.setInt32(at + length + 2, low, true);
  view.setInt32(at + length + 6, high, true);
  out.at = at + length + 10;
}

/** The fields of a row as a body: an AnyValue behind its length. */
export class FieldsBody implements RowWriter {
  readonly #fields = new FieldsWriter(0x0a);

  prepare(batch: Batch): void {
    this.#fields.prepare(batch);
  }

  write(out: ProtobufWriter, row: number): void {
    const body = out.open(2);
    out.byte(KVLIST);
    const list = out.open(2);
    this.#fields.write(out, row);
    out.close(list, 2);
    out.close(body, 2);
  }
}

function encodeKey(tag: number, name: string): Key {
  const bytes = encodeOnce((out) => {
    out.byte(tag);
    out.byte(0);
    out.byte(0x0a);
    out.string(name);
    out.byte(0x12);
  });
  return { ...pieceOf(bytes), coded: new WeakMap() };
}

function putVarint(buffer: Buffer, from: number, value: number): number {
  let at = from;
  let rest = value;
  while (rest > 127) {
    buffer[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  buffer[at++] = rest;
  return at;
}
