// Reads one field of a batch without making strings. Resolved once per batch, asked once per row.

import type { Batch } from '../../pipeline/batch.ts';
import { textOf } from '../../pipeline/cell_values.ts';
import { ABSENT, type Column, FALSE, NESTED, NUMBER, TEXT, TRUE } from '../../pipeline/column.ts';
import type { AnyValue } from '../../pipeline/record.ts';
import { parsedTime, parseTime } from '../../pipeline/time.ts';

/** The part of a text that counts: `path` and `query` of a URL, the `first` of several, `host` and `port` of an address. */
export type Cut = 'all' | 'path' | 'query' | 'first' | 'host' | 'port';

/** Where a value may stand, in the order of preference. `record`: a record field, no attribute. */
export type Source = {
  readonly name: string;
  readonly cut?: Cut;
  readonly record?: 'body' | 'severity' | 'traceId';
};

type Place = { readonly column: Column; readonly cut: Cut };
type Fact = { readonly value: AnyValue; readonly cut: Cut };

const noBytes = Buffer.alloc(0);

/** One field as text, number or value. `span` leaves the text in `bytes` from `start` to `end`. */
export class FieldReader {
  readonly sources: readonly Source[];
  readonly #emptyWhenAbsent: boolean;
  #batch: Batch | undefined = undefined;
  #places: Place[] = [];
  /** What batch and resource say, per resource of the batch: it holds for rows that do not have the field. */
  #facts: (Fact | undefined)[] = [];
  /** The row's own line is the value: the body of a batch that nobody has parsed. */
  #isLine = false;
  #scratch = Buffer.alloc(256);
  #column: Column | undefined = undefined;
  #cut: Cut = 'all';
  bytes: Buffer = noBytes;
  start = 0;
  end = 0;

  constructor(sources: readonly Source[], emptyWhenAbsent = false) {
    this.sources = sources;
    this.#emptyWhenAbsent = emptyWhenAbsent;
  }

  bind(batch: Batch): void {
    this.#batch = batch;
    this.#places = [];
    this.#isLine = false;
    for (const { name, cut = 'all', record } of this.sources) {
      const column = columnOf(batch, name, record);
      if (column !== undefined) this.#places.push({ column, cut });
      if (record === 'body') this.#isLine = batch.body === undefined && batch.source === 'line';
    }
    this.#facts = batch.resources.map((resource) => {
      for (const { name, cut = 'all', record } of this.sources) {
        const value = record === undefined ? (batch.attributes[name] ?? resource[name]) : undefined;
        if (value !== undefined && value !== null) return { value, cut };
      }
      return undefined;
    });
    this.#column = this.#places[0]?.column;
    this.#cut = this.#places[0]?.cut ?? 'all';
  }

  /** Whether the row has the field. */
  has(row: number): boolean {
    return this.#find(row) || this.#isLine || this.#factAt(row) !== undefined;
  }

  /** The text of the field as bytes[start, end). False when the row has none. */
  span(row: number): boolean {
    if (!this.#find(row)) return this.#elsewhere(row);
    const column = this.#column!;
    const kind = column.kind[row]!;
    if (kind !== TEXT && kind !== NUMBER && kind !== NESTED) {
      return this.#put(this.#batch!.value(column, row), this.#cut);
    }
    this.bytes = this.#batch!.bytes;
    this.start = column.a[row]!;
    this.end = column.b[row]!;
    return this.#cut === 'all' || this.#narrow(this.#cut);
  }

  /** The number of the field; NaN when the row has none. */
  number(row: number): number {
    if (this.#find(row) && this.#cut === 'all') return this.#batch!.number(this.#column, row);
    if (!this.span(row)) return Number.NaN;
    const text = this.bytes.latin1Slice(this.start, this.end);
    return text === '' ? Number.NaN : Number(text);
  }

  /** 1 or 0, or 2 when the row has no such field or no truth value in it. */
  truth(row: number): number {
    if (this.#find(row)) {
      const kind = this.#column!.kind[row];
      if (kind === TRUE) return 1;
      if (kind === FALSE) return 0;
    }
    if (!this.span(row)) return 2;
    const text = this.bytes.latin1Slice(this.start, Math.min(this.end, this.start + 6));
    return text === 'true' ? 1 : text === 'false' ? 0 : 2;
  }

  /** A time in milliseconds since 1970, with a fraction; NaN when the row has none. */
  time(row: number): number {
    if (!this.span(row)) return Number.NaN;
    if (parseTime(this.bytes, this.start, this.end)) {
      return parsedTime.seconds * 1000 + parsedTime.nanos / 1e6;
    }
    return this.number(row) / 1e6;
  }

  /** The value as it is kept. Numbers that older JSON logs spell as text stay text. */
  value(row: number): AnyValue | undefined {
    if (this.#find(row)) {
      if (this.#cut === 'all') return this.#batch!.value(this.#column, row);
    } else {
      const fact = this.#factAt(row);
      if (fact?.cut === 'all') return fact.value;
    }
    return this.text(row);
  }

  /** The text as a string; undefined when the row has none. */
  text(row: number): string | undefined {
    return this.span(row) ? this.bytes.utf8Slice(this.start, this.end) : undefined;
  }

  #find(row: number): boolean {
    const places = this.#places;
    if (places.length <= 1) return this.#column !== undefined && this.#column.kind[row] !== ABSENT;
    // Rows of one batch may carry the field in different places.
    for (let i = 0; i < places.length; i++) {
      const { column, cut } = places[i]!;
      if (column.kind[row] === ABSENT) continue;
      this.#column = column;
      this.#cut = cut;
      return true;
    }
    return false;
  }

  #factAt(row: number): Fact | undefined {
    return this.#facts[this.#batch!.resourceOf?.[row] ?? 0];
  }

  /** The text of a row that has no cell: a fact, its line, or nothing. */
  #elsewhere(row: number): boolean {
    const fact = this.#factAt(row);
    if (fact !== undefined) return this.#put(fact.value, fact.cut);
    this.bytes = this.#batch!.bytes;
    this.start = this.#isLine ? this.#batch!.rowStart[row]! : 0;
    this.end = this.#isLine ? this.#batch!.rowEnd[row]! : 0;
    return this.#isLine || this.#emptyWhenAbsent;
  }

  /** The text of a value. The first item of a list may have commas. */
  #put(value: AnyValue | undefined, cut: Cut): boolean {
    const isList = cut === 'first' && Array.isArray(value);
    const one = isList ? (value[0] as AnyValue | undefined) : value;
    this.#write(one === undefined || one === null ? '' : textOf(one));
    return isList || this.#narrow(cut);
  }

  #write(text: string): void {
    // Caches read words, up to four bytes beyond the end.
    const needed = text.length * 3 + 8;
    if (needed > this.#scratch.length) this.#scratch = Buffer.alloc(needed);
    this.bytes = this.#scratch;
    this.start = 0;
    this.end = this.#scratch.utf8Write(text, 0);
  }

  /** Narrows the span to the part that counts. */
  #narrow(cut: Cut): boolean {
    const { bytes, start, end } = this;
    if (cut === 'path') this.end = find(bytes, start, end, 63);
    else if (cut === 'query') {
      this.start = Math.min(end, find(bytes, start, end, 63) + 1);
      this.end = find(bytes, this.start, end, 35);
    } else if (cut === 'first') this.end = find(bytes, start, end, 44);
    else if (cut === 'host') this.#narrowToHost();
    else if (cut === 'port') return this.#narrowToPort();
    return true;
  }

  /** Without port and brackets. */
  #narrowToHost(): void {
    const { start, end } = this;
    if (this.#narrowToPort()) this.end = this.start - 1;
    this.start = start;
    if (this.end - start >= 2 && this.bytes[start] === 91 && this.bytes[this.end - 1] === 93) {
      this.start++;
      this.end--;
    }
    if (this.end < this.start) this.end = end;
  }

  /** `1.2.3.4:80`, `[::1]:80`; an IPv6 address without brackets has no port. */
  #narrowToPort(): boolean {
    const { bytes, start, end } = this;
    let at = end;
    while (at > start && bytes[at - 1]! >= 48 && bytes[at - 1]! <= 57) at--;
    const colon = at - 1;
    if (at === end || colon < start || bytes[colon] !== 58) return false;
    if (bytes[colon - 1] !== 93 && find(bytes, start, colon, 58) !== colon) return false;
    this.start = at;
    return true;
  }
}

function columnOf(batch: Batch, name: string, record: Source['record']): Column | undefined {
  if (record === undefined) return batch.column(name);
  return batch[record];
}

/** The place of `byte` in bytes[start, end), or `end`. */
function find(bytes: Buffer, start: number, end: number, byte: number): number {
  let at = start;
  while (at < end && bytes[at] !== byte) at++;
  return at;
}
