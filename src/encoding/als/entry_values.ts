// Values of entries that are more than a span of text, each as what its rule says.

import { codeOfFlagMask, flagLists } from '../../access_log/flag_lists.ts';
import {
  flagOfAlsNumber,
  flagsOfMask,
  unauthorizedExternalService,
} from '../../access_log/flags.ts';
import { cipherName } from '../../access_log/tls_ciphers.ts';
import { Dictionary, kinds } from '../../pipeline/column.ts';
import { LENGTH_DELIMITED, ProtobufReader, VARINT } from '../../pipeline/protobuf_reader.ts';
import { toWords, words } from '../../pipeline/time.ts';
import { addressBytesMax, putAddress } from './address.ts';
import { AddressMemo } from './address_memo.ts';
import type { EntryCells } from './entry_cells.ts';
import { EntryMaps } from './maps.ts';
import { moment as found, readMoment } from './moment.ts';
import { ops, type Rule } from './rules.ts';
import { putTime, timeBytesMax } from './time_text.ts';

// Compiled code has constants of this module in it, and looks up those of others each time.
const { ABSENT, DOUBLE, INT, TEXT } = kinds;
const {
  ADDRESS_FIELD,
  CIPHER_FIELD,
  COUNT_FIELD,
  DURATION_FIELD,
  FLAGS_FIELD,
  JOINED_FIELD,
  NAME_FIELD,
  RATIO_FIELD,
  SWITCH_FIELD,
  TIME_FIELD,
  WRAPPED_FIELD,
} = ops;
const moment = found;

const double = new Float64Array(16);
const halves = new Int32Array(double.buffer);
double[0] = 1;
/** Which half of a double is the lower one. */
const low = halves[0] === 0 ? 0 : 1;

const bits = new Int32Array(64);
for (let number = 1; number < bits.length; number++) {
  const flag = flagOfAlsNumber(number);
  if (flag !== undefined) bits[number] = 1 << flag.index;
}
const unauthorizedField = 13;

const ciphers = new Dictionary();
const ciphersMax = 1024;
/** Names of one certificate, together. */
const joinedMax = 8192;

export class EntryValues {
  readonly #maps = new EntryMaps();
  readonly #addresses = new AddressMemo();
  readonly #reader = new ProtobufReader(Buffer.alloc(0));

  /** A number, given as its low and high word. */
  number(cells: EntryCells, rule: Rule, row: number, low: number, high: number): void {
    const { op } = rule;
    if (op === COUNT_FIELD) (rule.column ?? cells.column(rule)).setSpan(row, INT, low, high);
    else if (op === NAME_FIELD) this.#name(cells, rule, row, low);
    else if (op === SWITCH_FIELD) cells.column(rule).setBoolean(row, low !== 0 || high !== 0);
    else if (op === RATIO_FIELD) cells.column(rule).setSpan(row, DOUBLE, low, high);
  }

  /** What is in bytes start..end. False: it is malformed. */
  span(cells: EntryCells, rule: Rule, row: number, start: number, end: number): boolean {
    switch (rule.op) {
      case DURATION_FIELD:
        return this.#duration(cells, rule, row, start, end);
      case ADDRESS_FIELD:
        return this.#address(cells, rule, row, start, end);
      case TIME_FIELD:
        return this.#time(cells, rule, row, start, end);
      case WRAPPED_FIELD:
        return this.#wrapped(cells, rule, row, start, end);
      case CIPHER_FIELD:
        return this.#cipher(cells, rule, row, start, end);
      case FLAGS_FIELD:
        return this.#flags(cells, rule, row, start, end);
      case JOINED_FIELD:
        return this.#joined(cells, rule, row, start, end);
      default:
        return this.#maps.put(cells, rule, row, start, end) && cells.room(0);
    }
  }

  /** A value of an enumeration; one that is not known is its number. */
  #name(cells: EntryCells, rule: Rule, row: number, number: number): void {
    const code = rule.codes[number];
    if (code === undefined) cells.column(rule).setInt(row, number);
    else if (code >= 0) cells.code(rule, row, code);
  }

  #duration(cells: EntryCells, rule: Rule, row: number, start: number, end: number): boolean {
    if (!readMoment(cells.margin, start, end)) return false;
    const nanos = moment.seconds * 1e9 + moment.nanos;
    rule.nanos = nanos;
    double[0] = nanos / 1e6;
    (rule.column ?? cells.column(rule)).setSpan(row, DOUBLE, halves[low]!, halves[1 - low]!);
    return true;
  }

  #time(cells: EntryCells, rule: Rule, row: number, start: number, end: number): boolean {
    const { margin } = cells;
    if (!readMoment(margin, start, end) || moment.nanos < 0) return false;
    if (!cells.room(timeBytesMax)) return false;
    const { seconds, nanos } = moment;
    const from = margin.at;
    if (!putTime(margin, seconds, nanos)) return true;
    cells.text(rule.column ?? cells.column(rule), row, from, margin.at);
    toWords(seconds, nanos);
    cells.time.setSpan(row, INT, words.low, words.high);
    return true;
  }

  #address(cells: EntryCells, rule: Rule, row: number, start: number, end: number): boolean {
    const { margin } = cells;
    const addresses = this.#addresses;
    if (addresses.find(margin, start, end)) {
      (rule.column ?? cells.column(rule)).setSpan(row, TEXT, addresses.start, addresses.end);
      return true;
    }
    if (!cells.room(addressBytesMax(end - start))) return false;
    const from = margin.at;
    const length = putAddress(margin, start, end);
    if (length <= 0) return length === 0;
    cells.text(rule.column ?? cells.column(rule), row, from, from + length);
    addresses.put(start, end, from, from + length);
    return true;
  }

  /** A UInt32Value. */
  #wrapped(cells: EntryCells, rule: Rule, row: number, start: number, end: number): boolean {
    const value = this.#numberIn(cells, start, end);
    if (value >= 0) (rule.column ?? cells.column(rule)).setSpan(row, INT, value, 0);
    return value >= 0;
  }

  /** Field 1 of the message in bytes start..end, an unsigned number; -1: it is malformed. */
  #numberIn(cells: EntryCells, start: number, end: number): number {
    const reader = this.#enter(cells, start, end);
    let value = 0;
    while (reader.next()) if (reader.field === 1 && reader.wireType === VARINT) value = reader.low;
    return reader.bad ? -1 : value;
  }

  #enter(cells: EntryCells, start: number, end: number): ProtobufReader {
    const reader = this.#reader;
    reader.bytes = cells.margin.bytes;
    reader.bad = false;
    reader.enter(start, end);
    return reader;
  }

  #cipher(cells: EntryCells, rule: Rule, row: number, start: number, end: number): boolean {
    const id = this.#numberIn(cells, start, end);
    const name = cipherName(id);
    if (id < 0 || name === undefined) return id >= 0;
    const column = cells.column(rule);
    column.dictionary ??= ciphers;
    if (column.dictionary !== ciphers || ciphers.size >= ciphersMax) {
      cells.batch.setValue(column, row, name);
    } else column.setCode(row, ciphers.code(name));
    return true;
  }

  #flags(cells: EntryCells, rule: Rule, row: number, start: number, end: number): boolean {
    const reader = this.#enter(cells, start, end);
    let mask = 0;
    while (reader.next()) {
      if (reader.field === unauthorizedField && reader.wireType === LENGTH_DELIMITED) {
        if (isUnauthorized(reader)) mask |= bits[unauthorizedField]!;
      } else if (reader.wireType === VARINT && reader.low !== 0) mask |= bits[reader.field] ?? 0;
    }
    const code = codeOfFlagMask(mask);
    if (reader.bad || code === -1) return !reader.bad;
    const column = cells.column(rule);
    column.dictionary ??= flagLists;
    if (code >= 0 && column.dictionary === flagLists) column.setCode(row, code);
    else cells.batch.setValue(column, row, flagsOfMask(mask));
    return true;
  }

  /** One of several strings. */
  #joined(cells: EntryCells, rule: Rule, row: number, start: number, end: number): boolean {
    const column = cells.column(rule);
    const before = column.kind[row] === ABSENT ? 0 : column.b[row]! - column.a[row]!;
    if (before + end - start > joinedMax) return true;
    if (!cells.room(before + 1 + end - start)) return false;
    cells.joined(column, row, start, end);
    return true;
  }
}

/** The message `unauthorized_details` that the reader stands on: its reason says whether the flag is set. */
function isUnauthorized(reader: ProtobufReader): boolean {
  const { at, end } = reader;
  let reason = 0;
  reader.enter(reader.start, reader.stop);
  while (reader.next()) if (reader.field === 1 && reader.wireType === VARINT) reason = reader.low;
  reader.enter(at, end);
  return reason === unauthorizedExternalService.number;
}
