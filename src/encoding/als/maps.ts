// Maps of entries: headers, tags, metadata and filter state. Each key is a column.

import { headerField } from '../../access_log/header_fields.ts';
import { BYTES, type Column, NESTED } from '../../pipeline/column.ts';
import { LENGTH_DELIMITED, ProtobufReader } from '../../pipeline/protobuf_reader.ts';
import type { AnyValue } from '../../pipeline/record.ts';
import { SpanMemo } from '../../pipeline/span_memo.ts';
import { stringify } from '../json_record.ts';
import type { EntryCells } from './entry_cells.ts';
import { derivedRule, ops, type Rule } from './rules.ts';
import { readAny, readStruct } from './struct.ts';

const { ANYS_FIELD, STRUCTS_FIELD } = ops;

/** Columns that one batch may get: keys come from the network. */
const columnsMax = 512;

/** A value that took decoding: as JSON when it is a map or a list. */
type Decoded = { readonly json: Buffer | undefined; readonly value: AnyValue | undefined };

export class EntryMaps {
  readonly #reader = new ProtobufReader(Buffer.alloc(0));
  /** Per prefix: the rule of each key. */
  readonly #keys = new Map<string, SpanMemo<Rule>>();
  readonly #structs = new SpanMemo((bytes, start, end) => decoded(readStruct(bytes, start, end)));
  readonly #anys = new SpanMemo((bytes, start, end) => decoded(readAny(bytes, start, end)));

  /** Writes the map entry in bytes start..end of the margin. False: it is malformed. */
  put(cells: EntryCells, rule: Rule, row: number, start: number, end: number): boolean {
    const reader = this.#reader;
    reader.bytes = cells.margin.bytes;
    reader.bad = false;
    reader.enter(start, end);
    let keyStart = end;
    let keyEnd = end;
    let valueStart = end;
    let valueEnd = end;
    while (reader.next()) {
      if (reader.wireType !== LENGTH_DELIMITED) continue;
      if (reader.field === 1) {
        keyStart = reader.start;
        keyEnd = reader.stop;
      } else if (reader.field === 2) {
        valueStart = reader.start;
        valueEnd = reader.stop;
      }
    }
    if (reader.bad) return false;
    const key = this.#key(rule.name, cells, keyStart, keyEnd);
    const column = columnOf(cells, key);
    if (rule.op === STRUCTS_FIELD || rule.op === ANYS_FIELD) {
      const memo = rule.op === ANYS_FIELD ? this.#anys : this.#structs;
      const { bytes, view } = cells.margin;
      const { json, value } = memo.get(bytes, view, valueStart, valueEnd);
      if (value === undefined) return false;
      if (column === undefined) overflow(cells, rule, key, row, value);
      else if (json === undefined) putScalar(cells, column, row, value);
      else {
        cells.margin.reserve(json.length);
        const from = cells.margin.at;
        cells.margin.put(json);
        column.setSpan(row, NESTED, from, cells.margin.at);
      }
      return true;
    }
    // Headers that have a field of their own are there already, as the proxy saw them first.
    if (column === undefined) {
      overflow(cells, rule, key, row, cells.margin.bytes.utf8Slice(valueStart, valueEnd));
    } else if (column.kind[row] === 0) cells.text(column, row, valueStart, valueEnd);
    return true;
  }

  #key(prefix: string, cells: EntryCells, start: number, end: number): Rule {
    let keys = this.#keys.get(prefix);
    if (keys === undefined) {
      keys = new SpanMemo((bytes, from, to) =>
        derivedRule(headerField(prefix, bytes.utf8Slice(from, to))),
      );
      this.#keys.set(prefix, keys);
    }
    return keys.get(cells.margin.bytes, cells.margin.view, start, end);
  }
}

function decoded(value: AnyValue | undefined): Decoded {
  const isTree = typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
  return { value, json: isTree ? Buffer.from(stringify(value)) : undefined };
}

function columnOf(cells: EntryCells, rule: Rule): Column | undefined {
  const { batch } = cells;
  if (rule.column !== undefined) return rule.column;
  if (batch.columns.length >= columnsMax && batch.column(rule.name) === undefined) return undefined;
  return cells.column(rule);
}

function putScalar(cells: EntryCells, column: Column, row: number, value: AnyValue): void {
  const { margin } = cells;
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
    cells.batch.setValue(column, row, value);
    return;
  }
  const bytes = Buffer.from(value as string);
  margin.reserve(bytes.length);
  const from = margin.at;
  margin.put(bytes);
  if (typeof value === 'string') cells.text(column, row, from, margin.at);
  else column.setSpan(row, BYTES, from, margin.at);
}

/** Keys for which no column is left stay together, in a map under the prefix. */
function overflow(cells: EntryCells, map: Rule, key: Rule, row: number, value: AnyValue): void {
  const { batch } = cells;
  const column = batch.ownColumn(map.name.slice(0, -1));
  const before = batch.value(column, row);
  const kept = typeof before === 'object' && before !== null ? before : {};
  batch.setValue(column, row, { ...kept, [key.name.slice(map.name.length)]: value } as AnyValue);
}
