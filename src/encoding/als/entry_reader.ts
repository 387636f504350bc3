// Entries of the access log service into the columns of a batch. Strings stay where they are in the message; what is not
// there as text (addresses, times) is appended behind it. It never throws: a malformed entry keeps what was read of it.

import { Dictionary, kinds } from '../../pipeline/column.ts';
import {
  LENGTH_DELIMITED as delimitedWire,
  ProtobufReader,
  VARINT as varintWire,
} from '../../pipeline/protobuf_reader.ts';
import type { EntryCells } from './entry_cells.ts';
import { EntryValues } from './entry_values.ts';
import { derivedRule, ops, type Rule, type Rules, ruleFor, rulesOf } from './rules.ts';
import { httpEntry, intermediateTypes, logType, type Message, tcpEntry } from './schema.ts';

// Compiled code has constants of this module in it, and looks up those of others each time.
const { ABSENT, CODE, FALSE, INT, TRUE } = kinds;
const { COUNT_FIELD, MESSAGE_FIELD, TEXT_FIELD } = ops;
const LENGTH_DELIMITED = delimitedWire;
const VARINT = varintWire;

/** Which codes of access log types are intermediate. */
const isIntermediate = new Uint8Array(logType.codes.length);
logType.codes.forEach((code, number) => {
  if (code >= 0 && intermediateTypes[number]) isIntermediate[code] = 1;
});

const protocols = new Dictionary();
const tcpCode = protocols.code('tcp');
const httpCode = protocols.code('http');
/** Tags of two bytes. */
const tagMax = 16383;

/** Rules of one kind of entry, with those that several fields take part in. */
class EntryRules {
  readonly rules: Rules;
  readonly duration: Rule;
  readonly firstRx: Rule;
  readonly lastTx: Rule;
  readonly type: Rule;
  readonly method: Rule;
  readonly protocol: Rule;
  readonly tlsVersion: Rule;
  readonly peer: readonly Rule[];

  constructor(message: Message) {
    this.rules = rulesOf(message);
    const rule = (name: string): Rule => ruleFor(this.rules, name) ?? derivedRule(name);
    this.duration = rule('request.duration');
    this.firstRx = rule('response.duration');
    this.lastTx = rule('response.last_tx_duration');
    this.type = rule('access_log.type');
    this.method = rule('request.method');
    this.protocol = rule('request.protocol');
    this.tlsVersion = rule('connection.tls_version');
    this.peer = ['uri_san', 'dns_san', 'subject', 'issuer'].map((part) =>
      rule(`connection.${part}_peer_certificate`),
    );
  }
}

export class EntryReader {
  readonly #http = new EntryRules(httpEntry);
  readonly #tcp = new EntryRules(tcpEntry);
  readonly #values = new EntryValues();
  readonly #reader = new ProtobufReader(Buffer.alloc(0));
  readonly #txDuration = derivedRule('response.tx_duration');
  readonly #mtls = derivedRule('connection.mtls');
  readonly #intermediate = derivedRule('access_log.intermediate');
  readonly #protocol = derivedRule('mesh.protocol', protocols);

  /** Reads the HTTPAccessLogEntry in bytes start..end into a row. False: it is malformed. */
  http(cells: EntryCells, row: number, start: number, end: number): boolean {
    const whole = this.#entry(cells, this.#http, row, start, end);
    const { method, protocol } = this.#http;
    // Without them nothing else in the record says that it is of a request.
    if (!has(method, row) && !has(protocol, row)) cells.code(this.#protocol, row, httpCode);
    return whole;
  }

  /** Reads the TCPAccessLogEntry in bytes start..end into a row. False: it is malformed. */
  tcp(cells: EntryCells, row: number, start: number, end: number): boolean {
    cells.code(this.#protocol, row, tcpCode);
    return this.#entry(cells, this.#tcp, row, start, end);
  }

  #entry(cells: EntryCells, kind: EntryRules, row: number, start: number, end: number): boolean {
    cells.marginMax = cells.margin.at + (end - start) * 4 + 4096;
    const whole = this.#message(cells, kind.rules, row, start, end);
    this.#finish(cells, kind, row);
    return whole;
  }

  /** The fields of the message in bytes start..stop. Tags, lengths and numbers of one or two bytes are read here. */
  #message(cells: EntryCells, rules: Rules, row: number, start: number, stop: number): boolean {
    const { bytes } = cells.margin;
    let at = start;
    while (at < stop) {
      const from = at;
      let tag = bytes[at++]!;
      if (tag > 127) tag = (tag & 127) | (bytes[at++]! << 7);
      let number = bytes[at++]!;
      if (number > 127) number = (number & 127) | (bytes[at++]! << 7);
      const wire = tag & 7;
      if (tag > tagMax || number > 16383 || (wire !== LENGTH_DELIMITED && wire !== VARINT)) {
        at = this.#rare(cells, rules, row, from, stop);
        if (at < 0) return false;
        continue;
      }
      const rule = rules[tag];
      if (wire === VARINT) {
        if (at > stop) return false;
        if (rule === undefined) continue;
        if (rule.op !== COUNT_FIELD) this.#values.number(cells, rule, row, number, 0);
        else (rule.column ?? cells.column(rule)).setSpan(row, INT, number, 0);
        continue;
      }
      const value = at;
      at += number;
      if (at > stop) return false;
      if (rule === undefined) continue;
      if (rule.op === TEXT_FIELD) {
        if (number > 0) cells.text(rule.column ?? cells.column(rule), row, value, at);
      } else if (rule.op === MESSAGE_FIELD) {
        if (!this.#message(cells, rule.inside, row, value, at)) return false;
      } else if (!this.#values.span(cells, rule, row, value, at)) return false;
    }
    return true;
  }

  /** A field of another wire type, with a high number or a long value. Returns the position after it, or -1. */
  #rare(cells: EntryCells, rules: Rules, row: number, at: number, stop: number): number {
    const reader = this.#reader;
    reader.bytes = cells.margin.bytes;
    reader.bad = false;
    reader.enter(at, stop);
    if (!reader.next()) return -1;
    const next = reader.at;
    const rule = rules[reader.field * 8 + reader.wireType];
    if (rule === undefined) return next;
    const { start: from, stop: to } = reader;
    if (reader.wireType !== LENGTH_DELIMITED) {
      this.#values.number(cells, rule, row, reader.low, reader.high);
    } else if (rule.op === TEXT_FIELD) cells.text(cells.column(rule), row, from, to);
    else if (rule.op === MESSAGE_FIELD) {
      if (!this.#message(cells, rule.inside, row, from, to)) return -1;
    } else if (!this.#values.span(cells, rule, row, from, to)) return -1;
    return next;
  }

  /** What follows from several fields of an entry. */
  #finish(cells: EntryCells, kind: EntryRules, row: number): void {
    const { duration, firstRx, lastTx, type, tlsVersion, peer } = kind;
    if (has(lastTx, row)) {
      // Envoys before 1.24 say only when the last byte went out.
      if (!has(duration, row)) cells.column(duration).setDouble(row, lastTx.nanos / 1e6);
      if (has(firstRx, row)) {
        cells.column(this.#txDuration).setDouble(row, (lastTx.nanos - firstRx.nanos) / 1e6);
      }
    }
    if (has(type, row) && type.column!.kind[row] === CODE && isIntermediate[type.column!.a[row]!]) {
      cells.column(this.#intermediate).kind[row] = TRUE;
    }
    let shown = false;
    for (let i = 0; i < peer.length; i++) if (has(peer[i]!, row)) shown = true;
    if (shown || has(tlsVersion, row)) cells.column(this.#mtls).kind[row] = shown ? TRUE : FALSE;
  }
}

const has = (rule: Rule, row: number): boolean =>
  rule.column !== undefined && rule.column.kind[row] !== ABSENT;
