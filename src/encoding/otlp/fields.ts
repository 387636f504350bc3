// All fields of a row as KeyValues: the attributes of a record, or the values of a kvlist body. This is the hot loop of
// the exporter: the key of a column is encoded once, text is copied from the source bytes in words.

import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, type Column, TEXT } from '../../pipeline/column.ts';
import { KVLIST, putKeyValue } from './any_value.ts';
import { encodeOnce, isText, putCell } from './cell.ts';
import { copyAbove, copyWords, type ProtobufWriter, varintSize, viewOf } from './writer.ts';

/** A KeyValue's beginning: the key, and the tag of its value. */
type Key = {
  readonly length: number;
  /** The same bytes as words; the last one may be partly beyond the end. */
  readonly words: Int32Array;
};

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
  /** What a row without a column's field has from the batch; undefined for nearly all batches. */
  #fallbacks: (Buffer | undefined)[] | undefined;
  #facts = Buffer.alloc(0);

  constructor(tag: number) {
    this.#tag = tag;
  }

  prepare(batch: Batch): void {
    this.#batch = batch;
    this.#view = viewOf(batch.bytes);
    this.#isUtf8 = batch.isUtf8;
    this.#columns = batch.columns;
    this.#columnKeys = batch.columns.map(({ name }) => this.#key(name));
    this.#prepareFacts(batch);
  }

  write(out: ProtobufWriter, row: number): void {
    const columns = this.#columns;
    const keys = this.#columnKeys;
    const batch = this.#batch!;
    for (let c = 0; c < columns.length; c++) {
      const column = columns[c]!;
      const kind = column.kind[row]!;
      if (kind === TEXT) this.#text(out, keys[c]!, column.a[row]!, column.b[row]!);
      else if (kind !== ABSENT) this.#other(out, keys[c]!, batch, column, row);
      else if (this.#fallbacks !== undefined) {
        const fallback = this.#fallbacks[c];
        if (fallback !== undefined) out.put(fallback);
      }
    }
    if (this.#facts.length > 0) out.put(this.#facts);
  }

  /** A KeyValue whose value is the text start..end: its lengths are known before it is written. */
  #text(out: ProtobufWriter, key: Key, start: number, end: number): void {
    const batch = this.#batch!;
    if (!this.#isUtf8 && !isText(batch.bytes, this.#view, start, end)) {
      this.#value(out, batch.bytes.utf8Slice(start, end), key);
      return;
    }
    const count = end - start;
    const keyLength = key.length;
    if (out.at + count + keyLength + 20 > out.limit) out.reserve(count + keyLength + 20);
    const { buffer, view } = out;
    let at = out.at;
    buffer[at++] = this.#tag;
    if (keyLength + count + 3 < 128) {
      buffer[at++] = keyLength + count + 3;
      at = putKey(view, at, key);
      buffer[at++] = count + 2;
      buffer[at++] = 0x0a;
      buffer[at++] = count;
      copyWords(view, at, this.#view, start, count);
    } else {
      const any = 1 + varintSize(count) + count;
      at = putVarint(buffer, at, keyLength + varintSize(any) + any);
      at = putKey(view, at, key);
      at = putVarint(buffer, at, any);
      buffer[at++] = 0x0a;
      at = putVarint(buffer, at, count);
      if (count > copyAbove) batch.bytes.copy(buffer, at, start, end);
      else copyWords(view, at, this.#view, start, count);
    }
    out.at = at + count;
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
    out.byte(this.#tag);
    const mark = out.open(1);
    out.reserve(key.length);
    out.at = putKey(out.view, out.at, key);
    return mark;
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
    this.#facts = Buffer.concat(facts.map(([name, value]) => this.#fact(name, value)));
  }

  #fact(name: string, value: Batch['attributes'][string]): Buffer {
    return encodeOnce((out) => {
      out.byte(this.#tag);
      putKeyValue(out, name, value);
    });
  }

  #key(name: string): Key {
    let key = this.#keys.get(name);
    if (key === undefined) {
      key = encodeKey(name);
      if (this.#keys.size >= keysMax) this.#keys.clear();
      this.#keys.set(name, key);
    }
    return key;
  }
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

function encodeKey(name: string): Key {
  const bytes = encodeOnce((out) => {
    out.byte(0x0a);
    out.string(name);
    out.byte(0x12);
  });
  const padded = Buffer.alloc((bytes.length + 3) & ~3);
  bytes.copy(padded);
  const words = new Int32Array(padded.length >> 2);
  for (let i = 0; i < words.length; i++) words[i] = padded.readInt32LE(i * 4);
  return { length: bytes.length, words };
}

function putKey(view: DataView, at: number, key: Key): number {
  const words = key.words;
  for (let i = 0; i < words.length; i++) view.setInt32(at + i * 4, words[i]!, true);
  return at + key.length;
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
