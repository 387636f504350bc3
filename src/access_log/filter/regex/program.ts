// A regular expression as a machine over bytes: each instruction looks at one byte of UTF-8, branches, asserts or
// accepts. Built from the end, so that every instruction knows what follows it.

import type { Ranges } from './classes.ts';
import { type Assertion, parseRegex, RegexError, type RegexNode } from './syntax.ts';

export const BYTE = 0;
export const SPLIT = 1;
export const ASSERT = 2;
export const ACCEPT = 3;

/** Instructions by index. BYTE: low..high, then `next`. SPLIT: `next` and `other`. ASSERT: `low` is an Assertion's index. */
export type Program = {
  readonly kind: number[];
  readonly low: number[];
  readonly high: number[];
  readonly next: number[];
  readonly other: number[];
  readonly start: number;
};

export const assertions: readonly Assertion[] = [
  'text_start',
  'text_end',
  'line_start',
  'line_end',
  'word_edge',
  'no_word_edge',
];

/** `x{1000}` of something long would fill the memory: RE2 refuses such patterns too. */
const instructionsMax = 20_000;

/** Compiles RE2 syntax, or throws a RegexError. */
export function compileRegex(source: string): Program {
  const tree = parseRegex(source);
  const builder = new Builder();
  const accept = builder.add(ACCEPT, 0, 0, 0, 0);
  const start = builder.node(tree, accept);
  const { kind, low, high, next, other } = builder;
  return { kind, low, high, next, other, start };
}

class Builder {
  readonly kind: number[] = [];
  readonly low: number[] = [];
  readonly high: number[] = [];
  readonly next: number[] = [];
  readonly other: number[] = [];

  add(kind: number, low: number, high: number, next: number, other: number): number {
    const index = this.kind.length;
    if (index >= instructionsMax) throw new RegexError('too large', 0);
    this.kind.push(kind);
    this.low.push(low);
    this.high.push(high);
    this.next.push(next);
    this.other.push(other);
    return index;
  }

  /** Adds `node`, after which `next` goes on; the result is where it begins. */
  node(node: RegexNode, next: number): number {
    switch (node.kind) {
      case 'set':
        return this.#set(node.ranges, next);
      case 'sequence':
        return node.items.reduceRight((after, item) => this.node(item, after), next);
      case 'choice':
        return node.items
          .map((item) => this.node(item, next))
          .reduceRight((other, first) => this.add(SPLIT, 0, 0, first, other));
      case 'repeat':
        return this.#repeat(node.item, node.min, node.max, next);
      default:
        return this.add(ASSERT, assertions.indexOf(node.what), 0, next, 0);
    }
  }

  #repeat(item: RegexNode, min: number, max: number, next: number): number {
    let at = next;
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.add(SPLIT, 0, 0, 0, next);
      this.next[loop] = this.node(item, loop);
      at = loop;
    } else {
      for (let i = min; i < max; i++) at = this.add(SPLIT, 0, 0, this.node(item, at), next);
    }
    for (let i = 0; i < min; i++) at = this.node(item, at);
    return at;
  }

  #set(ranges: Ranges, next: number): number {
    const sequences: ByteRange[][] = [];
    for (const [from, to] of ranges) utf8Sequences(from, to, sequences);
    // Nothing can be in an empty set: a byte that does not exist.
    if (sequences.length === 0) return this.add(BYTE, 256, 256, next, 0);
    return sequences
      .map((sequence) =>
        sequence.reduceRight((after, [low, high]) => this.add(BYTE, low, high, after, 0), next),
      )
      .reduceRight((other, first) => this.add(SPLIT, 0, 0, first, other));
  }
}

type ByteRange = [low: number, high: number];

/** The UTF-8 of the code points from..to as sequences of byte ranges. Surrogates have none. */
function utf8Sequences(from: number, to: number, out: ByteRange[][]): void {
  if (from > to) return;
  for (const last of [0x7f, 0x7ff, 0xd7ff, 0xdfff, 0xffff]) {
    if (from <= last && to > last) {
      utf8Sequences(from, last, out);
      utf8Sequences(last + 1, to, out);
      return;
    }
  }
  if (from >= 0xd800 && to <= 0xdfff) return;
  for (let bits = 6; bits <= 18 && from > 0x7f; bits += 6) {
    const mask = 2 ** bits - 1;
    if ((from & ~mask) === (to & ~mask)) continue;
    if ((from & mask) !== 0) {
      utf8Sequences(from, from | mask, out);
      utf8Sequences((from | mask) + 1, to, out);
      return;
    }
    if ((to & mask) !== mask) {
      utf8Sequences(from, (to & ~mask) - 1, out);
      utf8Sequences(to & ~mask, to, out);
      return;
    }
  }
  const high = Buffer.from(String.fromCodePoint(to));
  const low = Buffer.from(String.fromCodePoint(from));
  out.push(Array.from(low, (byte, i) => [byte, high[i]!]));
}
