// Which log records may be passed on as they came: those that say, field by field, what decoding and encoding them would
// say. Whatever is unusual is not passable, so that only the usual has to be known here.

import { isUtf8 } from 'node:buffer';
import { flagLists } from '../../access_log/flag_lists.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import { LENGTH_DELIMITED, ProtobufReader } from '../../pipeline/protobuf_reader.ts';
import { SpanMemo } from '../../pipeline/span_memo.ts';
import { matches } from '../json_lines/words.ts';
import {
  codeOfFlagList,
  columnsMax,
  missingMax,
  smallNumber,
  twoBytes,
} from './attribute_cells.ts';
import { type AttributeKeys, follow, type Slot } from './attribute_keys.ts';
import { codeBytes } from './cell.ts';
import { isVarint, PlainValues } from './plain_value.ts';
import type { Rows, Span } from './rows.ts';

const TIME = 0x09;
const SEVERITY_NUMBER = 0x10;
const SEVERITY_TEXT = 0x1a;
const BODY = 0x2a;
const ATTRIBUTE = 0x32;
const DROPPED_ATTRIBUTES_COUNT = 0x38;
const FLAGS = 0x45;
const TRACE_ID = 0x4a;
const SPAN_ID = 0x52;
const OBSERVED_TIME = 0x59;
const EVENT_NAME = 0x62;

/** Looks through the records of one batch after the other. */
export class Passable {
  readonly #keys: AttributeKeys;
  readonly #plain = new PlainValues();
  readonly #isFlags = new SpanMemo(isFlagsAsWritten, 1024);
  #bytes: Buffer = Buffer.alloc(0);
  #view: DataView = viewOf(this.#bytes);
  readonly #body = new ProtobufReader(this.#bytes);
  readonly #scope = new ProtobufReader(this.#bytes);
  #last: Slot;
  /** Counts records, so that each key knows the last one that had it. */
  #record = 1;
  /** The batch's first record. */
  #first = 1;
  /** Some text of the record is not ASCII. */
  #high = false;
  /** The record has its observed time. */
  #observed = false;
  /** The text body of the record. */
  readonly #line: Span = { start: -1, stop: -1 };
  /** How many keys the batch has. */
  columns = 0;
  /** The ids of the batch's records, as hex text. */
  idTextBytes = 0;

  constructor(keys: AttributeKeys) {
    this.#keys = keys;
    this.#last = keys.root;
  }

  /** Turns to the messages in `bytes`, which `view` shows too. */
  begin(bytes: Buffer, view: DataView): void {
    this.#keys.prune();
    this.#bytes = bytes;
    this.#view = view;
    this.#plain.turn(bytes, view);
    this.#first = this.#record + 1;
    this.columns = 0;
    this.idTextBytes = 0;
  }

  /** Adds the records of the ScopeLogs in bytes start..stop. False: not all of them are passable. */
  scope(rows: Rows, start: number, stop: number): boolean {
    const bytes = this.#bytes;
    const reader = this.#scope;
    reader.turn(bytes);
    reader.enter(start, stop);
    let hasRecord = false;
    while (reader.next()) {
      // Its scope comes before a record, where whoever calls has looked for it.
      if (reader.field === 1 && hasRecord) return false;
      if (reader.field !== 2) continue;
      hasRecord = true;
      const end = this.#endOf(reader.start, reader.stop);
      if (end < 0 || !rows.leave(reader.start, end, this.#line, this.#observed)) {
        return false;
      }
    }
    return this.columns <= columnsMax;
  }

  /** Where the LogRecord in bytes start..stop ends but for an observed time of zero; -1: it is not passable. */
  #endOf(start: number, stop: number): number {
    const bytes = this.#bytes;
    const view = this.#view;
    this.#record++;
    this.#last = this.#keys.root;
    this.#high = false;
    this.#line.start = -1;
    // A bit for each field that stood there: attributes may again.
    let seen = 0;
    let at = start;
    while (at < stop) {
      const tag = bytes[at]!;
      if (tag === ATTRIBUTE) at = this.#attributes(at, stop);
      else {
        // Ours takes its place.
        if (tag === OBSERVED_TIME && at + 9 === stop && isZero(view, at + 1, 8)) break;
        const field = 1 << (tag >> 3);
        if ((seen & field) !== 0) return -1;
        seen |= field;
        at = this.#fieldEnd(tag, at, stop);
      }
      if (at < 0) return -1;
    }
    if (this.#high && !this.#isText(start, at)) return -1;
    if ((seen & (1 << (TRACE_ID >> 3))) !== 0) this.idTextBytes += 32;
    if ((seen & (1 << (SPAN_ID >> 3))) !== 0) this.idTextBytes += 16;
    this.#observed = (seen & (1 << (OBSERVED_TIME >> 3))) !== 0;
    return at;
  }

  /** The end of the field whose tag is at `at`; -1: it is not passable. */
  #fieldEnd(tag: number, at: number, stop: number): number {
    switch (tag) {
      case TIME:
      case OBSERVED_TIME:
        return this.#nonZeroEnd(at + 1, 8, stop);
      case SEVERITY_NUMBER:
        return this.#severityEnd(at + 1, stop);
      case BODY:
        return this.#bodyEnd(at, stop);
      case DROPPED_ATTRIBUTES_COUNT:
        return this.#countEnd(at + 1, stop);
      case FLAGS:
        return this.#nonZeroEnd(at + 1, 4, stop);
      case TRACE_ID:
        return this.#bytes[at + 1] === 16 ? this.#nonZeroEnd(at + 2, 16, stop) : -1;
      case SPAN_ID:
        return this.#bytes[at + 1] === 8 ? this.#nonZeroEnd(at + 2, 8, stop) : -1;
      case EVENT_NAME:
        return this.#nameEnd(at + 1, stop);
      default:
        return -1;
    }
  }

  #nonZeroEnd(at: number, count: number, stop: number): number {
    const end = at + count;
    return end > stop || isZero(this.#view, at, count) ? -1 : end;
  }

  /** The end of a number of up to 28 bits, but not of 0. */
  #countEnd(at: number, stop: number): number {
    let end = at + 1;
    while (end < stop && end - at < 4 && this.#bytes[end - 1]! > 127) end++;
    return end <= stop && smallNumber(this.#bytes, at, end) > 0 ? end : -1;
  }

  /** The end of text whose length is at `at`: some, and not too much, all of it ASCII. */
  #nameEnd(at: number, stop: number): number {
    const bytes = this.#bytes;
    const length = bytes[at]!;
    const end = at + 1 + length;
    if (length === 0 || length > 127 || end > stop) return -1;
    for (let i = at + 1; i < end; i++) if (bytes[i]! > 127) return -1;
    return end;
  }

  /** The end of the attributes (field 6) that stand at `from`; -1: one is not passable. */
  #attributes(from: number, end: number): number {
    const bytes = this.#bytes;
    const view = this.#view;
    const record = this.#record;
    const first = this.#first;
    let { words } = this.#keys.patterns;
    let last = this.#last;
    let at = from | 0;
    // From here to `at` there is nothing but text, and numbers below 128.
    let unchecked = at;
    while (at < end) {
      const head = view.getInt32(at, true);
      if ((head & 255) !== ATTRIBUTE) break;
      let length = (head >> 8) & 255;
      let start = (at + 2) | 0;
      if (length > 127) {
        this.#look(unchecked, at);
        length = (length & 127) | (twoBytes(bytes[start++]!) << 7);
        unchecked = start;
      }
      const stop = (start + length) | 0;
      if (stop > end) return -1;
      let slot = last.next;
      let value = (start + slot.pattern.length) | 0;
      if (value >= stop || !matches(words, slot.pattern, view, start)) {
        slot = this.#slot(last, start, stop);
        words = this.#keys.patterns.words;
        value = (start + slot.pattern.length) | 0;
      }
      if (!slot.passes || slot.seen === record || value >= stop) return -1;
      if (slot.seen < first) this.columns++;
      slot.seen = record;
      last = slot;
      at = stop;
      // Short text or a small number: length and tag, and of text its length again.
      const left = (stop - value) | 0;
      const form = view.getInt32(value, true);
      if (left < 129) {
        const text = (left - 1) | 0x0a00 | ((left - 3) << 16) | 0;
        if ((form & 0xffffff) === text && slot.conversion !== 'flags') continue;
        if (left === 3 && (form & 0x80ffff) === 0x1802) continue;
      }
      length = bytes[value++]!;
      if (length > 127) {
        this.#look(unchecked, value - 1);
        length = (length & 127) | (twoBytes(bytes[value++]!) << 7);
        unchecked = value;
      }
      if (((value + length) | 0) !== stop || length === 0) return -1;
      const tag = bytes[value++];
      if (tag === 0x0a) {
        length = bytes[value++]!;
        if (length > 127) {
          this.#look(unchecked, value - 1);
          length = (length & 127) | (twoBytes(bytes[value++]!) << 7);
          unchecked = value;
        }
        if (((value + length) | 0) !== stop || slot.conversion === 'flags') return -1;
      } else if (tag === 0x18) {
        if (stop - value !== 1 || bytes[value]! > 127) {
          this.#look(unchecked, value);
          unchecked = stop;
          if (smallNumber(bytes, value, stop) < 0 && !isVarint(bytes, value, stop)) return -1;
        }
      } else {
        this.#look(unchecked, value);
        unchecked = stop;
        if (!this.#isOther(slot, value - 1, stop)) return -1;
      }
    }
    this.#look(unchecked, at);
    this.#last = last;
    return at;
  }

  /** Notes whether a byte of from..to is not ASCII. */
  #look(from: number, to: number): void {
    const view = this.#view;
    let seen = 0;
    let i = from | 0;
    if (to - from < 4) for (; i < to; i = (i + 1) | 0) seen |= view.getInt8(i);
    else {
      const last = (to - 16) | 0;
      for (; i <= last; i = (i + 16) | 0) {
        seen |=
          view.getInt32(i, true) |
          view.getInt32(i + 4, true) |
          view.getInt32(i + 8, true) |
          view.getInt32(i + 12, true);
      }
      const end = (to - 4) | 0;
      for (; i < end; i = (i + 4) | 0) seen |= view.getInt32(i, true);
      seen |= view.getInt32(end, true);
    }
    if ((seen & 0x80808080) !== 0) this.#high = true;
  }

  /** The slot of the key in bytes start..stop, which comes after `last`; one that does not pass if there is no key. */
  #slot(last: Slot, start: number, stop: number): Slot {
    const { words } = this.#keys.patterns;
    let slot = last.next;
    for (let missing = 0; missing < missingMax; missing++) {
      slot = slot.next;
      const fits = start + slot.pattern.length < stop;
      if (fits && matches(words, slot.pattern, this.#view, start)) return slot;
    }
    const length = this.#bytes[start + 1]!;
    const isKey = this.#bytes[start] === 0x0a && length < 128 && start + 2 + length < stop;
    if (!isKey || this.#bytes[start + 2 + length] !== 0x12) return this.#keys.root;
    slot = this.#keys.slot(this.#bytes.latin1Slice(start + 2, start + 2 + length));
    follow(last, slot);
    return slot;
  }

  /** Whether an AnyValue passes that is neither text nor a number: its tag is at `at`. */
  #isOther(slot: Slot, at: number, stop: number): boolean {
    const bytes = this.#bytes;
    const length = stop - at;
    switch (bytes[at]) {
      case 0x10:
        return length === 2 && bytes[at + 1]! < 2;
      case 0x21:
        return length === 9;
      case 0x2a:
        if (slot.conversion === 'flags') return this.#isFlags.get(bytes, this.#view, at, stop);
        return this.#plain.isPlain(at, stop);
      case 0x32:
        return this.#plain.isPlain(at, stop);
      case 0x3a:
        return length > 1 && bytes[at + 1]! < 128 && bytes[at + 1] === length - 2;
      default:
        return false;
    }
  }

  /** The end of severity number and text, the first at `at`; -1: one is missing, or unusual. */
  #severityEnd(at: number, stop: number): number {
    const bytes = this.#bytes;
    const number = bytes[at]!;
    if (number < 1 || number > 24 || bytes[at + 1] !== SEVERITY_TEXT) return -1;
    return this.#nameEnd(at + 2, stop);
  }

  /** The end of the body that begins at `at`, if it is text, a list or a map; -1: it is none. */
  #bodyEnd(at: number, stop: number): number {
    const reader = this.#body;
    reader.bytes = this.#bytes;
    reader.bad = false;
    reader.enter(at, stop);
    if (!reader.next()) return -1;
    const end = reader.stop;
    if (this.#plain.isPlain(reader.start, end)) return end;
    reader.enter(reader.start, end);
    if (!reader.next() || reader.at !== end || reader.field !== 1) return -1;
    if (reader.wireType !== LENGTH_DELIMITED) return -1;
    this.#line.start = reader.start;
    this.#line.stop = end;
    this.#look(reader.start, end);
    return end;
  }

  /** Whether the line and the text of all attributes is valid UTF-8. */
  #isText(start: number, stop: number): boolean {
    const bytes = this.#bytes;
    const { start: from, stop: to } = this.#line;
    if (from >= 0 && !isUtf8(bytes.subarray(from, to))) return false;
    const record = new ProtobufReader(bytes, start, stop);
    const pair = new ProtobufReader(bytes);
    const value = new ProtobufReader(bytes);
    while (record.next()) {
      if (record.field !== 6) continue;
      pair.enter(record.start, record.stop);
      while (pair.next()) {
        if (pair.field !== 2) continue;
        value.enter(pair.start, pair.stop);
        if (!value.next() || value.field !== 1) continue;
        if (!isUtf8(bytes.subarray(value.start, value.stop))) return false;
      }
    }
    return true;
  }
}

function isZero(view: DataView, at: number, count: number): boolean {
  let seen = 0;
  for (let i = 0; i < count; i += 4) seen |= view.getInt32(at + i, true);
  return seen === 0;
}

/** Whether the ArrayValue whose tag is at `start` is a list of flags, spelled as we spell it. */
function isFlagsAsWritten(bytes: Buffer, start: number, end: number): boolean {
  const reader = new ProtobufReader(bytes, start, end);
  if (!reader.next() || reader.at !== end) return false;
  const code = codeOfFlagList(bytes, reader.start, reader.stop);
  // Behind its length.
  const written = code < 0 ? undefined : codeBytes(flagLists, code).subarray(1);
  return written !== undefined && end - start < 128 && written.equals(bytes.subarray(start, end));
}
