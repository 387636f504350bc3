// KeyValues into the columns of a batch: text stays where it is, numbers keep their type. A sender writes its keys in
// one order, so that a key is mostly known before it is read, and reading it is comparing a few words.

import { codeOfFlags, flagLists, splitFlags } from '../../access_log/flag_lists.ts';
import { readAnyValue } from '../../pipeline/any_value_reader.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import {
  ABSENT,
  BYTES,
  type Column,
  DOUBLE,
  ENCODED,
  FALSE,
  INT,
  NUMBER,
  TEXT,
  TRUE,
} from '../../pipeline/column.ts';
import { LENGTH_DELIMITED, ProtobufReader } from '../../pipeline/protobuf_reader.ts';
import type { AnyValue } from '../../pipeline/record.ts';
import { SpanMemo } from '../../pipeline/span_memo.ts';
import { skipLiteral, skipNumber } from '../json_lines/grammar.ts';
import { matches } from '../json_lines/words.ts';
import { type AttributeKeys, follow, type Slot } from './attribute_keys.ts';
import { PlainValues } from './plain_value.ts';

export type AttributeOptions = {
  readonly keys: AttributeKeys;
  /** A proxy printed every value as text: numbers become numbers again, `-` is nothing. */
  readonly printed: boolean;
};

/** Columns that one batch may get: a sender with random keys must not fill the memory. */
export const columnsMax = 512;
/** So many keys in a row may be missing before a key counts as not expected. */
export const missingMax = 8;
/** Where a row keeps the attributes for which no column was left. */
const overflowName = 'otlp.attributes';

/** Writes the attributes of one batch after the other. */
export class AttributeCells {
  /** Whether what it reads was printed by a proxy. */
  readonly printed: boolean;
  /** The lists and maps of the same batch. */
  readonly plain = new PlainValues();
  readonly #keys: AttributeKeys;
  readonly #reader = new ProtobufReader(Buffer.alloc(0));
  readonly #flagCodes = new SpanMemo(codeOfFlagList, 1024);
  #last: Slot;
  /** Slots that have a column in this batch. */
  #used: Slot[] = [];
  #columnsMax = columnsMax;
  #batch: Batch | undefined;
  #view: DataView = new DataView(new ArrayBuffer(0));

  constructor({ keys, printed }: AttributeOptions) {
    this.printed = printed;
    this.#keys = keys;
    this.#last = this.#keys.root;
  }

  /** Turns to the rows of a batch. `max`: how many columns it may get. */
  begin(batch: Batch, max = columnsMax): void {
    this.#keys.prune();
    this.#batch = batch;
    this.#columnsMax = max;
    this.#view = viewOf(batch.bytes);
    this.#reader.bytes = batch.bytes;
    this.plain.turn(batch.bytes, this.#view);
  }

  end(): void {
    for (const slot of this.#used) {
      slot.column = undefined;
      slot.plain = false;
    }
    this.#used = [];
    this.#batch = undefined;
  }

  /** A record begins: its first key comes after none. */
  first(): void {
    this.#last = this.#keys.root;
  }

  /**
   * Writes the attributes of a record (field 6) that stand at `from`, as long as each has a key that is expected and
   * text or a small number behind it. Returns the position of the first byte that it leaves to others.
   */
  run(row: number, from: number, end: number): number {
    const { bytes } = this.#reader;
    const { printed } = this;
    const view = this.#view;
    const { words } = this.#keys.patterns;
    // An imported binding is checked at each use, a local constant is not.
    const asText = TEXT;
    const asInt = INT;
    let last = this.#last;
    let at = from | 0;
    while (at < end && bytes[at] === 0x32) {
      let length = bytes[at + 1]!;
      let start = (at + 2) | 0;
      if (length > 127) length = (length & 127) | (twoBytes(bytes[start++]!) << 7);
      const stop = (start + length) | 0;
      if (stop > end) break;
      let slot = last.next;
      let value = (start + slot.pattern.length) | 0;
      if (value >= stop || !matches(words, slot.pattern, view, start)) {
        const found = this.#later(slot, start, stop);
        if (found === undefined) break;
        slot = found;
        value = (start + slot.pattern.length) | 0;
      }
      length = bytes[value++]!;
      if (length > 127) length = (length & 127) | (twoBytes(bytes[value++]!) << 7);
      if (((value + length) | 0) !== stop) break;
      const tag = bytes[value++];
      if (tag === 0x18) {
        const number = smallNumber(bytes, value, stop);
        const { column } = slot;
        if (number < 0 || column === undefined || slot.shared) break;
        column.kind[row] = asInt;
        column.a[row] = number;
        column.b[row] = 0;
        last = slot;
        at = stop;
        continue;
      }
      if (tag !== 0x0a) break;
      length = bytes[value++]!;
      if (length > 127) length = (length & 127) | (twoBytes(bytes[value++]!) << 7);
      if (((value + length) | 0) !== stop) break;
      last = slot;
      if (slot.plain && !(printed && length === 1 && bytes[value] === 45)) {
        const column = slot.column!;
        column.kind[row] = asText;
        column.a[row] = value;
        column.b[row] = stop;
      } else this.#text(slot, row, value, stop);
      at = stop;
    }
    this.#last = last;
    return at;
  }

  /** Writes the KeyValue in bytes start..stop. False: it is malformed. */
  put(row: number, start: number, stop: number): boolean {
    const { next } = this.#last;
    const slot = this.#isAt(next, start, stop) ? next : this.#later(next, start, stop);
    if (slot !== undefined) {
      const at = start + slot.pattern.length;
      const length = this.#reader.bytes[at]!;
      if (length < 128 && at + 1 + length === stop) {
        this.#last = slot;
        return this.#value(slot, row, at + 1, stop);
      }
    }
    return this.#pair(row, start, stop);
  }

  /** Writes what the KeyValues in field `field` of the message start..stop say. False: it is malformed. */
  putAll(row: number, field: number, start: number, stop: number): boolean {
    const reader = new ProtobufReader(this.#reader.bytes, start, stop);
    while (reader.next()) {
      if (reader.field !== field || reader.wireType !== LENGTH_DELIMITED) continue;
      if (!this.put(row, reader.start, reader.stop)) return false;
    }
    return !reader.bad;
  }

  /** Whether the KeyValue in bytes start..stop has this key, and its value behind that. */
  #isAt({ pattern }: Slot, start: number, stop: number): boolean {
    if (start + pattern.length >= stop) return false;
    return matches(this.#keys.patterns.words, pattern, this.#view, start);
  }

  /** The key at `start`, if it is one that comes soon after the one that was expected. */
  #later(expected: Slot, start: number, stop: number): Slot | undefined {
    let slot = expected;
    for (let missing = 0; missing < missingMax; missing++) {
      slot = slot.next;
      if (this.#isAt(slot, start, stop)) return slot;
    }
    return undefined;
  }

  #pair(row: number, start: number, stop: number): boolean {
    const reader = this.#reader;
    let keyStart = 0;
    let keyStop = 0;
    let valueStart = 0;
    let valueStop = 0;
    reader.bad = false;
    reader.enter(start, stop);
    while (reader.next()) {
      if (reader.wireType !== LENGTH_DELIMITED) continue;
      if (reader.field === 1) {
        keyStart = reader.start;
        keyStop = reader.stop;
      } else if (reader.field === 2) {
        valueStart = reader.start;
        valueStop = reader.stop;
      }
    }
    if (reader.bad) return false;
    const slot = this.#keys.slot(reader.bytes.latin1Slice(keyStart, keyStop));
    follow(this.#last, slot);
    this.#last = slot;
    return this.#value(slot, row, valueStart, valueStop);
  }

  /** The AnyValue in bytes start..stop. */
  #value(slot: Slot, row: number, start: number, stop: number): boolean {
    const reader = this.#reader;
    reader.bad = false;
    reader.enter(start, stop);
    let field = 0;
    // The last of several counts, as everywhere in protobuf.
    while (reader.next()) field = reader.field;
    if (reader.bad) return false;
    const { wireType } = reader;
    if (field === 1 && wireType === LENGTH_DELIMITED) {
      this.#text(slot, row, reader.start, reader.stop);
      return true;
    }
    if (start === stop) {
      this.#column(slot, row)?.setSpan(row, ENCODED, start, stop);
      return true;
    }
    if (wireType !== wireTypes[field]) return true;
    if (field === 5 && slot.conversion === 'flags') {
      const code = this.#flagCodes.get(reader.bytes, this.#view, reader.start, reader.stop);
      if (code >= 0) {
        this.#code(slot, row, code);
        return true;
      }
    }
    const isPlain = field < 5 || field === 7 || this.plain.isPlain(start, stop);
    const column = isPlain ? this.#column(slot, row) : undefined;
    if (column === undefined) return this.#held(slot, row, readAnyValue(reader.bytes, start, stop));
    if (field === 2) column.setBoolean(row, reader.low !== 0 || reader.high !== 0);
    else if (field === 3) column.setSpan(row, INT, reader.low, reader.high);
    else if (field === 4) column.setSpan(row, DOUBLE, reader.low, reader.high);
    else if (field === 7) column.setSpan(row, BYTES, reader.start, reader.stop);
    else column.setSpan(row, ENCODED, start, stop);
    return true;
  }

  #text(slot: Slot, row: number, start: number, end: number): void {
    const { bytes } = this.#reader;
    const { printed } = this;
    let kind: number = TEXT;
    if (printed && end - start === 1 && bytes[start] === 45) return;
    if (slot.conversion === 'flags') {
      const code = codeOfFlags(bytes, start, end);
      if (code === -2) this.#held(slot, row, splitFlags(bytes.utf8Slice(start, end)));
      else if (code >= 0) this.#code(slot, row, code);
      return;
    }
    if (printed && slot.conversion === 'number') {
      if (start < end && skipNumber(bytes, start, end) === end) kind = NUMBER;
    } else if (printed && slot.conversion === 'boolean' && skipLiteral(bytes, start, end) === end) {
      if (bytes[start] === 0x74) kind = TRUE;
      else if (bytes[start] === 0x66) kind = FALSE;
    }
    const column = this.#column(slot, row);
    if (column === undefined) {
      this.#overflow(slot, row, bytes.utf8Slice(start, end));
      return;
    }
    column.kind[row] = kind;
    column.a[row] = start;
    column.b[row] = end;
  }

  #code(slot: Slot, row: number, code: number): void {
    const column = this.#column(slot, row);
    if (column === undefined) return this.#overflow(slot, row, flagLists.values[code] ?? null);
    column.dictionary = flagLists;
    column.setCode(row, code);
  }

  #held(slot: Slot, row: number, value: AnyValue | undefined): boolean {
    if (value === undefined) return false;
    const column = this.#column(slot, row);
    if (column === undefined) this.#overflow(slot, row, value);
    else this.#batch!.setValue(column, row, value);
    return true;
  }

  /** Where the value of a key goes; undefined when the batch has too many columns. */
  #column(slot: Slot, row: number): Column | undefined {
    const column = slot.column ?? this.#open(slot);
    if (!slot.shared || column === undefined || column.kind[row] === ABSENT) return column;
    return this.#columnOf(slot.key);
  }

  #open(slot: Slot): Column | undefined {
    slot.column = this.#columnOf(slot.name);
    if (slot.column === undefined) return undefined;
    slot.plain = slot.conversion === 'none' && !slot.shared;
    this.#used.push(slot);
    return slot.column;
  }

  #columnOf(name: string): Column | undefined {
    const batch = this.#batch!;
    const known = batch.column(name);
    if (known !== undefined || batch.columns.length >= this.#columnsMax) return known;
    return batch.addColumn(name);
  }

  #overflow(slot: Slot, row: number, value: AnyValue): void {
    const batch = this.#batch!;
    const column = batch.column(overflowName) ?? batch.addColumn(overflowName);
    const before = batch.value(column, row);
    const map = (typeof before === 'object' ? before : {}) as Record<string, AnyValue>;
    if (slot.key !== '__proto__') map[slot.key] = value;
    if (before === undefined) batch.setValue(column, row, map);
  }
}

/** The varint in bytes start..end, below 2^28; -1: it is none, or larger. */
export function smallNumber(bytes: Buffer, start: number, end: number): number {
  if (start >= end || end - start > 4) return -1;
  let number = 0;
  let at = start;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!;
    number |= (byte & 127) << shift;
    if (byte < 128) return at === end ? number : -1;
    if (at === end) return -1;
  }
}

/** The upper bits of a length of two bytes; one of more is made to fit nowhere. */
export const twoBytes = (byte: number): number => (byte < 128 ? byte : 0x1fffff);

/** Wire type of AnyValue's fields by number. */
const wireTypes = [-1, 2, 0, 0, 1, 2, 2, 2];

/** The code of the flags in an ArrayValue; negative: they are none, or too many to be kept. */
export function codeOfFlagList(bytes: Buffer, start: number, end: number): number {
  const reader = new ProtobufReader(bytes, start, end);
  const names: string[] = [];
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== LENGTH_DELIMITED) return -1;
    const name = readAnyValue(bytes, reader.start, reader.stop);
    if (typeof name !== 'string' || name === '' || name.includes(',')) return -1;
    names.push(name);
  }
  const text = Buffer.from(names.join(','));
  return reader.bad || names.length === 0 ? -1 : codeOfFlags(text, 0, text.length);
}
