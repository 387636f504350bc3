// JSON lines into columns: every value becomes a span of the source bytes, nothing is decoded. It accepts exactly what
// JSON.parse accepts as an object, nested no deeper than `depthMax`; of a key that stands twice the last value counts.

import type { Batch } from '../../pipeline/batch.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import { FALSE, NESTED, NUMBER, TEXT, TRUE } from '../../pipeline/column.ts';
import { CellWriter } from './cells.ts';
import {
  closingQuote,
  skipLiteral,
  skipNested,
  skipNumber,
  skipSpace,
  tooDeep,
} from './grammar.ts';
import { KeyGraph, type KeyMeaning, type KeyNode, type Slot } from './keys.ts';
import { endOfPlainText, matches } from './words.ts';

/** Why a line is no record; the position is `JsonScanner.at`. */
export type JsonProblem = 'invalid_json' | 'not_an_object' | 'nested_too_deep' | 'too_many_fields';

const nothing = Buffer.alloc(0);

export class JsonScanner {
  readonly #keys: KeyGraph;
  readonly #cells = new CellWriter();
  #bytes: Buffer = nothing;
  #view = viewOf(nothing);
  /** Where the value of the key begins that `#key` has read; negative: it was none. */
  #next = 0;
  /** Where the last line that was refused stopped being JSON, counted from its start. */
  at = 0;
  problem: JsonProblem = 'invalid_json';

  /** Whether the last line had an object or a list under one of the telling keys. */
  told = false;

  /**
   * `meaning` says which field a key stands for; undefined: none, the key names the field. Lines with a value under one
   * of the `telling` keys are marked.
   */
  constructor(
    meaning: (key: string) => KeyMeaning | undefined,
    telling: ReadonlySet<string> = new Set(),
  ) {
    this.#keys = new KeyGraph(meaning, telling);
  }

  /** Turns to the rows of a batch. */
  begin(batch: Batch): void {
    this.#keys.prune();
    this.#cells.begin(batch);
    this.#bytes = batch.bytes;
    this.#view = viewOf(batch.bytes);
  }

  /** Leaves the batch. */
  end(): void {
    this.#cells.end();
    this.#bytes = nothing;
    this.#view = viewOf(nothing);
  }

  /**
   * Reads bytes[start, end) of the batch as one JSON object into the cells of `row`. False: it is none, the row has no
   * cells, and `problem` and `at` say why.
   */
  scan(row: number, start: number, end: number): boolean {
    this.told = false;
    const stop = this.#object(row, start, end);
    if (stop < 0 && !this.#cells.isFull) return true;
    if (this.#cells.isFull) this.problem = 'too_many_fields';
    this.#cells.clear(row);
    this.at = Math.max(0, Math.min(stop, end) - start);
    return false;
  }

  /** Takes back the cells of a row that was read. */
  clear(row: number): void {
    this.#cells.clear(row);
  }

  /** Whether a key has stood in a line. */
  knows(key: string): boolean {
    return this.#keys.knows(key);
  }

  /** Reads an object. Negative: done; else the position of the problem. */
  #object(inRow: number, start: number, before: number): number {
    const row = inRow | 0;
    this.#keys.row = row;
    const end = before | 0;
    const bytes = this.#bytes;
    const view = this.#view;
    const keys = this.#keys;
    const cells = this.#cells;
    // An imported binding is checked at each use, a local constant is not.
    const asText = TEXT;
    this.problem = 'not_an_object';
    let i = start | 0;
    if (bytes[i]! <= 32) i = skipSpace(bytes, i, end) | 0;
    if (i >= end || bytes[i] !== 123) return i;
    this.problem = 'invalid_json';
    i = (i + 1) | 0;
    if (bytes[i]! <= 32) i = skipSpace(bytes, i, end) | 0;
    if (bytes[i] === 125 && i < end) return this.#ends(i + 1, end);
    let node = keys.root;
    for (;;) {
      const { words } = keys.patterns;
      const { key } = node.next;
      if (((i + key.length) | 0) <= end && matches(words, key, view, i)) {
        node = node.next;
        i = (i + key.length) | 0;
      } else {
        node = this.#key(node, i, end);
        if (this.#next < 0) return i;
        i = this.#next | 0;
      }
      for (;;) {
        if (bytes[i]! <= 32) i = skipSpace(bytes, i, end) | 0;
        const from = (i + 1) | 0;
        const slot = node.slot;
        if (bytes[i] !== 34) {
          i = this.#value(slot, row, i, end) | 0;
          if (i < 0) return from - 1;
          break;
        }
        i = endOfPlainText(view, from, end) | 0;
        if (bytes[i] !== 34 || i >= end) {
          i = this.#escaped(slot, row, from, end) | 0;
          if (i < 0) return from - 1;
        } else if (((i - from) | 0) === 1 && bytes[from] === 45) cells.absent(slot, row);
        else if (slot.plain) {
          const column = slot.column!;
          column.kind[row] = asText;
          column.a[row] = from;
          column.b[row] = i;
        } else cells.text(slot, row, from, i);
        // While strings follow strings as they did before, this is all: text, what links it to the next, text.
        const { link } = node.next;
        if (((i + link.length) | 0) > end || !matches(words, link, view, i)) {
          i = (i + 1) | 0;
          break;
        }
        node = node.next;
        i = (i + link.length) | 0;
      }
      if (bytes[i]! <= 32) i = skipSpace(bytes, i, end) | 0;
      if (i >= end) return end;
      if (bytes[i] === 125) return this.#ends(i + 1, end);
      if (bytes[i] !== 44) return i;
      i = (i + 1) | 0;
      if (bytes[i]! <= 32) i = skipSpace(bytes, i, end) | 0;
    }
  }

  /** The key at `at`, which is not the expected one. `#next` is where its value begins, or negative. */
  #key(before: KeyNode, at: number, end: number): KeyNode {
    const { others, next } = before;
    for (let i = 0; i < others.length; i++) {
      const node = others[i]!;
      const stop = at + node.key.length;
      if (stop > end || !matches(this.#keys.patterns.words, node.key, this.#view, at)) continue;
      others[i] = next;
      before.next = node;
      this.#next = stop;
      return node;
    }
    return this.#newKey(before, at, end);
  }

  #newKey(before: KeyNode, at: number, end: number): KeyNode {
    const bytes = this.#bytes;
    this.#next = -1;
    if (at >= end || bytes[at] !== 34) return before;
    const close = closingQuote(bytes, at + 1, end);
    if (close < 0) return before;
    const colon = skipSpace(bytes, close + 1, end);
    if (colon >= end || bytes[colon] !== 58) return before;
    this.#next = colon + 1;
    return this.#keys.after(before, bytes.latin1Slice(at + 1, close));
  }

  /** After the closing brace only white space may come. */
  #ends(at: number, end: number): number {
    if (at === end) return -1;
    const rest = skipSpace(this.#bytes, at, end);
    return rest === end ? -1 : rest;
  }

  /** A string that holds an escape, or is none. Returns the position of its closing quote, or -1. */
  #escaped(slot: Slot, row: number, start: number, end: number): number {
    const close = closingQuote(this.#bytes, start, end);
    if (close >= 0) this.#cells.escaped(slot, row, start, close);
    return close;
  }

  /** A value that is no string. Returns the position after it, or -1. */
  #value(slot: Slot, row: number, at: number, end: number): number {
    const bytes = this.#bytes;
    const c = bytes[at]!;
    if (c === 45 || (c >= 48 && c <= 57)) return this.#number(slot, row, at, end);
    if (c !== 123 && c !== 91) return this.#literal(slot, row, at, end);
    const after = skipNested(bytes, at, end);
    if (after === tooDeep) this.problem = 'nested_too_deep';
    if (after > 0) this.#cells.put(slot, row, NESTED, at, after);
    if (slot.tells) this.told = true;
    return after;
  }

  #number(slot: Slot, row: number, at: number, end: number): number {
    const bytes = this.#bytes;
    // Digits up to a comma or brace and no zero in front: nearly every number.
    let after = at | 0;
    while (after < end && bytes[after]! >= 48 && bytes[after]! <= 57) after = (after + 1) | 0;
    const c = bytes[after];
    if ((c !== 44 && c !== 125) || after === at || bytes[at] === 48) {
      after = skipNumber(bytes, at, end);
    }
    if (after > 0) this.#cells.put(slot, row, NUMBER, at, after);
    return after;
  }

  #literal(slot: Slot, row: number, at: number, end: number): number {
    const word = this.#view.getInt32(at, true);
    if (word === nullWord && at + 4 <= end) {
      this.#cells.absent(slot, row);
      return at + 4;
    }
    const after = skipLiteral(this.#bytes, at, end);
    if (after > 0) this.#cells.put(slot, row, after - at === 4 ? TRUE : FALSE, at, after);
    return after;
  }
}

/** `null` */
const nullWord = 0x6c6c756e;
