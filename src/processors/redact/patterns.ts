// What patterns find is replaced wherever it stands: in every text of a record, nested ones included, and in its body.

import { Matcher } from '../../access_log/filter/regex/matcher.ts';
import type { Batch } from '../../pipeline/batch.ts';
import {
  ABSENT,
  CODE,
  type Column,
  type Dictionary,
  ENCODED,
  ESCAPED,
  HELD,
  NESTED,
  TEXT,
} from '../../pipeline/column.ts';
import type { AnyValue, Attributes } from '../../pipeline/record.ts';
import { copyOf } from './own_body.ts';

/** Bytes that a search may look at, per byte of the text: beyond that the rest of the text is taken out. */
const effortMax = 64;
const effortMin = 4096;

export class Patterns {
  readonly #search: Matcher;
  readonly #match: Matcher;
  readonly #replacement: string;
  /** Values of dictionaries, rewritten: by code. */
  readonly #codes = new WeakMap<Dictionary, (AnyValue | undefined)[]>();

  constructor(sources: readonly string[], replacement: string) {
    const any = sources.map((source) => `(?:${source})`).join('|');
    this.#search = new Matcher(any, 'search');
    this.#match = new Matcher(any, 'prefix');
    this.#replacement = replacement;
  }

  /** Rewrites the selected rows; the number of values that changed. */
  apply(batch: Batch): number {
    let changed = 0;
    for (const { name } of [...batch.columns]) {
      changed += this.#column(batch, batch.column(name)!, () => batch.ownColumn(name));
    }
    const { body } = batch;
    if (body !== undefined) {
      changed += this.#column(batch, body, () => {
        batch.body = copyOf(batch, body);
        return batch.body;
      });
    }
    batch.attributes = this.#facts(batch.attributes);
    return changed;
  }

  #column(batch: Batch, column: Column, own: () => Column): number {
    let written: Column | undefined;
    let changed = 0;
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      if (column.kind[row] === ABSENT || !this.#isSuspect(batch, column, row)) continue;
      const value = batch.value(column, row);
      const rewritten = value === undefined ? value : this.#rewritten(value);
      if (rewritten === value) continue;
      changed++;
      written ??= own();
      batch.setValue(written, row, rewritten);
    }
    return changed;
  }

  /** Whether something in the cell may match, found without making a string where that can be. */
  #isSuspect(batch: Batch, column: Column, row: number): boolean {
    const kind = column.kind[row]!;
    if (kind === TEXT || kind === NESTED || kind === ESCAPED) {
      // An escape could hide a match: those are read first.
      return kind === ESCAPED || this.#search.test(batch.bytes, column.a[row]!, column.b[row]!);
    }
    if (kind !== CODE || column.dictionary === undefined) {
      return kind === HELD || kind === ENCODED;
    }
    return this.#isSuspectCode(column.dictionary, column.a[row]!);
  }

  #isSuspectCode(dictionary: Dictionary, code: number): boolean {
    let known = this.#codes.get(dictionary);
    if (known === undefined) {
      known = [];
      this.#codes.set(dictionary, known);
    }
    const value = dictionary.values[code];
    if (!(code in known)) known[code] = value === undefined ? value : this.#rewritten(value);
    return known[code] !== value;
  }

  #facts(facts: Attributes): Attributes {
    const rewritten = this.#rewritten(facts);
    return rewritten === facts ? facts : (rewritten as Attributes);
  }

  /** The value itself when nothing in it matches. */
  #rewritten(value: AnyValue): AnyValue {
    if (typeof value === 'string') return this.#text(value);
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
    if (Array.isArray(value)) {
      const items = value.map((item: AnyValue) => this.#rewritten(item));
      return items.every((item, i) => item === value[i]) ? value : items;
    }
    const entries = Object.entries(value).map(
      ([key, item]) => [key, this.#rewritten(item as AnyValue)] as const,
    );
    const map = value as Attributes;
    return entries.every(([key, item]) => item === map[key]) ? value : Object.fromEntries(entries);
  }

  #text(text: string): string {
    const bytes = Buffer.from(text);
    if (!this.#search.test(bytes, 0, bytes.length)) return text;
    const range = { start: 0, end: bytes.length };
    const effort = Math.max(effortMin, bytes.length * effortMax);
    this.#match.steps = 0;
    let result = '';
    let copied = 0;
    for (let at = 0; at < bytes.length; ) {
      if (this.#match.steps > effort)
        return result + bytes.utf8Slice(copied, at) + this.#replacement;
      const end = this.#match.longest(bytes, range, at);
      if (end <= at) {
        at++;
        continue;
      }
      result += bytes.utf8Slice(copied, at) + this.#replacement;
      at = end;
      copied = end;
    }
    return result + bytes.utf8Slice(copied, bytes.length);
  }
}
