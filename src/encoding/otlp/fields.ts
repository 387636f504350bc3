// All fields of a row as KeyValues: the attributes of a record, or the values of a kvlist body. This is the hot loop of
// the exporter: rows are written some at once (field_block.ts), what is too long for that one by one.

import type { Batch } from '../../pipeline/batch.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import { ABSENT, CODE, type Column, type Dictionary, TEXT } from '../../pipeline/column.ts';
import { KVLIST, putKeyValue } from './any_value.ts';
import { codeBytes, encodeOnce, isText, putCell } from './cell.ts';
import { FieldBlock, type Lane } from './field_block.ts';
import {
  copyAbove,
  copyWords,
  type Piece,
  type ProtobufWriter,
  pieceOf,
  varintSize,
} from './writer.ts';

/** A column's KeyValue up to its value. And whole ones for the values of dictionaries. */
type Key = Piece & { readonly coded: WeakMap<Dictionary, Piece[]> };

/** Names come from the network: more than this many are not kept. */
const keysMax = 10_000;

/**
 * Writes something of each row. `prepare` is called with a batch before its rows are written: rows[from..], by default
 * those selected.
 */
export type RowWriter = {
  prepare(batch: Batch, rows?: Int32Array, from?: number): void;
  write(out: ProtobufWriter, row: number): void;
};

const noFacts = pieceOf(Buffer.alloc(0));

/** Every field of a row: its columns, then what the whole batch has in common. */
export class FieldsWriter implements RowWriter {
  /** The tag in front of each KeyValue: of a record's attributes, or of a kvlist's values. */
  readonly #tag: number;
  readonly #omits: (column: Column) => boolean;
  readonly #keys = new Map<string, Key>();
  readonly #block = new FieldBlock({
    cell: (out, lane, row) => this.#cell(out, lane, row),
    code: (lane, code) => this.#code(lane, code),
  });
  #batch: Batch | undefined;
  #view: DataView = new DataView(new ArrayBuffer(0));
  #lanes: Lane[] = [];
  #facts = noFacts;
  /** The rows in the order in which they are asked for, and which of them is next. */
  #rows: Int32Array = new Int32Array(0);
  #next = 0;
  /** Those that the block has: blockFrom..blockTo of `#rows`. */
  #blockFrom = 0;
  #blockTo = 0;

  /** `omits`: columns that are not written. */
  constructor(tag: number, omits: (column: Column) => boolean = () => false) {
    this.#tag = tag;
    this.#omits = omits;
  }

  prepare(batch: Batch, rows: Int32Array = batch.selection, from = 0): void {
    this.#batch = batch;
    this.#view = viewOf(batch.bytes);
    this.#rows = rows;
    this.#next = from;
    this.#blockFrom = from;
    this.#blockTo = from;
    const facts: Buffer[] = [];
    const fallbacks = new Map<string, Piece>();
    for (const [name, value] of Object.entries(batch.attributes)) {
      const fact = encodeOnce((out) => {
        out.byte(this.#tag);
        putKeyValue(out, name, value);
      });
      if (batch.column(name) === undefined) facts.push(fact);
      else fallbacks.set(name, pieceOf(fact));
    }
    this.#facts = facts.length === 0 ? noFacts : pieceOf(Buffer.concat(facts));
    const columns = batch.columns.filter((column) => !this.#omits(column));
    this.#lanes = columns.map((column) => {
      const key = this.#key(column.name);
      const { dictionary, name } = column;
      return { column, key, coded: codedOf(key, dictionary), fallback: fallbacks.get(name) };
    });
    this.#block.prepare(batch, this.#view);
  }

  write(out: ProtobufWriter, row: number): void {
    const rows = this.#rows;
    const { count } = this.#batch!;
    let next = this.#next;
    // Not every row is asked for.
    while (next < count && rows[next] !== row) next++;
    if (next >= count) return this.#row(out, row);
    this.#next = next + 1;
    const block = this.#block;
    if (next >= this.#blockTo) {
      this.#blockFrom = next;
      this.#blockTo = next + block.fill(this.#lanes, this.#facts, rows, next, count);
    }
    if (block.has(next - this.#blockFrom)) block.put(out, next - this.#blockFrom);
    else this.#row(out, row);
  }

  /** A row alone. */
  #row(out: ProtobufWriter, row: number): void {
    for (const lane of this.#lanes) {
      const { column, fallback } = lane;
      if (column.kind[row] !== ABSENT) this.#cell(out, lane, row);
      else if (fallback !== undefined) out.piece(fallback);
    }
    if (this.#facts.length > 0) out.piece(this.#facts);
  }

  #cell(out: ProtobufWriter, lane: Lane, row: number): void {
    const { column, key, coded } = lane;
    const batch = this.#batch!;
    const kind = column.kind[row]!;
    const a = column.a[row]!;
    if (kind === CODE) out.piece(coded[a] ?? this.#code(lane, a));
    else if (kind === TEXT) this.#text(out, key, a, column.b[row]!);
    else {
      const mark = begin(out, key);
      putCell(out, batch, this.#view, column, row);
      out.close(mark, 1);
    }
  }

  /** A KeyValue whose value is the text start..end: its lengths are known before it is written. */
  #text(out: ProtobufWriter, key: Key | Piece, start: number, end: number): void {
    const { bytes, isUtf8 } = this.#batch!;
    if (!isUtf8 && !isText(bytes, this.#view, start, end)) {
      putString(out, key, bytes.utf8Slice(start, end));
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
    if (count > copyAbove) bytes.copy(buffer, to, start, end);
    else copyWords(view, to, this.#view, start, count);
    out.at = to + count;
  }

  /** The KeyValue of a dictionary's value, kept. */
  #code({ column, key, coded }: Lane, code: number): Piece {
    const piece = pieceOf(
      encodeOnce((out) => {
        const mark = begin(out, key);
        out.put(codeBytes(column.dictionary, code));
        out.close(mark, 1);
      }),
    );
    if (column.dictionary !== undefined) coded[code] = piece;
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

/** The fields of a row as a body: an AnyValue behind its length. */
export class FieldsBody implements RowWriter {
  readonly #fields = new FieldsWriter(0x0a);

  prepare(batch: Batch, rows?: Int32Array, from?: number): void {
    this.#fields.prepare(batch, rows, from);
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

/** Writes a KeyValue up to its value. Returns the mark for `close`. */
function begin(out: ProtobufWriter, key: Piece): number {
  const start = out.at;
  out.piece(key);
  return start + 2;
}

function putString(out: ProtobufWriter, key: Piece, text: string): void {
  const mark = begin(out, key);
  const value = out.open(1);
  out.byte(0x0a);
  out.string(text);
  out.close(value, 1);
  out.close(mark, 1);
}

function codedOf(key: Key, dictionary: Dictionary | undefined): Piece[] {
  if (dictionary === undefined) return [];
  let pieces = key.coded.get(dictionary);
  if (pieces === undefined) {
    pieces = [];
    key.coded.set(dictionary, pieces);
  }
  return pieces;
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
