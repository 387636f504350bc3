// The passes over a line: forward through every slot, and from either end as far as values are certain. A pass looks at
// each byte once; positions go into the caller's arrays.

import { allIn, hasShape } from './alphabets.ts';
import {
  byTextWords,
  byTime,
  byWidth,
  byWords,
  dashOrDigits,
  type Program,
  type Slot,
} from './program.ts';

/** Bytes start..end of a batch; `view` shows the same memory. */
export type Line = {
  bytes: Buffer;
  view: DataView;
  start: number;
  end: number;
};

/** Where the values of a line begin and end, by slot. */
export type Spans = { readonly starts: Int32Array; readonly ends: Int32Array };

/** The slot at which a pass stopped, where its value begins or (going backwards) ends, and the byte that did not fit. */
export const stop = { slot: 0, value: 0, at: 0 };

/**
 * Reads a line forward. True when all of it fits; else `stop` says where it did not. With `certainOnly` it goes no
 * further than the first value that is not certain. `view` shows the same bytes.
 */
export function forward(program: Program, spans: Spans, line: Line, certainOnly: boolean): boolean {
  const { slots, head } = program;
  const { starts, ends } = spans;
  const { bytes, view, start, end } = line;
  if (!holds(bytes, start, end, head)) return stopped(-1, start, start);
  let at = start + head.length;
  for (let k = 0; k < slots.length; k++) {
    const slot = slots[k]!;
    if (certainOnly && !slot.certain) return stopped(k, at, at);
    const table = slot.table;
    let i = at;
    switch (slot.scan) {
      case byWords:
        // A word without a byte up to 34 is all value; else its lowest such byte is the end, or one that is accepted.
        while (i + 4 <= end) {
          const word = view.getInt32(i, true);
          const found = (word - 0x23232323) & ~word & 0x80808080;
          if (found === 0) i += 4;
          else {
            i += (31 - Math.clz32(found & -found)) >> 3;
            if (table[bytes[i]!] === 0) break;
            i++;
          }
        }
        while (i < end && table[bytes[i]!] !== 0) i++;
        break;
      case byTextWords:
        i = textEnd(table, bytes, view, at, end);
        break;
      case dashOrDigits:
        if (i < end && bytes[i] === 45) i++;
        else while (i < end && table[bytes[i]!] !== 0) i++;
        break;
      case byWidth:
        i += slot.width;
        break;
      case byTime:
        if (i + 24 < end && bytes[i + 24] === slot.literal[0]) i += 24;
        else while (i < end && table[bytes[i]!] !== 0) i++;
        break;
      default:
        while (i < end && table[bytes[i]!] !== 0) i++;
    }
    // Where the line ends with this value there is nothing to step back over.
    if (slot.back > 0 && i < end) i -= slot.back;
    const next = i + slot.literalLength;
    if (i < at || next > end || (view.getInt32(i, true) & slot.mask) !== slot.word) {
      return stopped(k, at, i);
    }
    if (slot.literalLength > 4 && !holds(bytes, i, end, slot.literal)) return stopped(k, at, i);
    if (i === at && slot.neverEmpty) return stopped(k, at, i);
    starts[k] = at;
    ends[k] = i;
    at = next;
  }
  if (at === end) return true;
  return stopped(slots.length - 1, starts[slots.length - 1]!, at);
}

function stopped(slot: number, value: number, at: number): false {
  stop.slot = slot;
  stop.value = value;
  stop.at = at;
  return false;
}

/** The end of a value that may hold spaces: words without controls and quotes are all value. */
function textEnd(
  table: Uint8Array,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
): number {
  let i = at;
  while (i + 4 <= end) {
    const word = view.getInt32(i, true);
    const quote = word ^ 0x22222222;
    const found = (((quote - 0x01010101) & ~quote) | ((word - 0x20202020) & ~word)) & 0x80808080;
    if (found === 0) i += 4;
    else {
      i += (31 - Math.clz32(found & -found)) >> 3;
      if (table[bytes[i]!] === 0) return i;
      i++;
    }
  }
  while (i < end && table[bytes[i]!] !== 0) i++;
  return i;
}

function holds(bytes: Uint8Array, at: number, end: number, literal: Uint8Array): boolean {
  if (at < 0 || at + literal.length > end) return false;
  for (let i = 0; i < literal.length; i++) if (bytes[at + i] !== literal[i]) return false;
  return true;
}

/**
 * Reads backwards from the end of the line down to slot `lowest`, as long as values are certain. `stop` is then the slot
 * that was not, and where its value ends; slot -1: the end of the line does not fit.
 */
export function fromRight(
  program: Program,
  spans: Spans,
  bytes: Uint8Array,
  range: { readonly from: number; readonly end: number; readonly lowest: number },
): void {
  const { slots } = program;
  const { from, end, lowest } = range;
  const tail = slots.at(-1)!.literal;
  let to = end - tail.length;
  stop.slot = -1;
  stop.value = to;
  if (!holds(bytes, to, end, tail) || to < from) return;
  for (let k = slots.length - 1; k > lowest; k--) {
    stop.slot = k;
    stop.value = to;
    const slot = slots[k]!;
    const before = slots[k - 1]!.literal;
    if (!slot.certain || before.length === 0) return;
    const begin = valueStart(slot, bytes, from, to);
    if (!fits(slot, bytes, begin, to)) return;
    const next = begin - before.length;
    if (next < from || !holds(bytes, next, begin, before)) return;
    spans.starts[k] = begin;
    spans.ends[k] = to;
    to = next;
  }
  stop.slot = lowest;
  stop.value = to;
}

function valueStart(slot: Slot, bytes: Uint8Array, from: number, to: number): number {
  if (slot.scan === byWidth) return to - slot.width;
  if (slot.scan === dashOrDigits && to > from && bytes[to - 1] === 45) return to - 1;
  const table = slot.backTable;
  let i = to;
  while (i > from && table[bytes[i - 1]!] !== 0) i--;
  return i;
}

/** Whether bytes[start, end) is surely a value of the slot: what is certain has its alphabet, free text its shape. */
export function fits(slot: Slot, bytes: Uint8Array, start: number, end: number): boolean {
  if (start < 0 || end < start) return false;
  if (slot.scan === byWidth) return end - start === slot.width;
  const length = end - start;
  const { alphabet, shape } = slot.target;
  if (length === 1 && bytes[start] === 45) {
    // A dash is a missing value, unless there is none or a client may have sent it.
    return slot.command.operator.kind !== 'count' && (alphabet !== 'free' || shape !== 'none');
  }
  switch (alphabet) {
    case 'free':
      return hasShape(shape, bytes, start, end);
    case 'path':
      return (bytes[start] === 47 || bytes[start] === 42) && allIn(slot.table, bytes, start, end);
    case 'protocol':
      return isProtocol(bytes, start, end);
    case 'duration':
      return length > 0 && allIn(slot.table, bytes, start, end);
    default:
      return (length > 0 || !slot.neverEmpty) && allIn(slot.wide, bytes, start, end);
  }
}

function isProtocol(bytes: Uint8Array, start: number, end: number): boolean {
  // HTTP/1.1, HTTP/2 and whatever version comes.
  if (end - start < 6 || bytes[start] !== 72 || bytes[start + 4] !== 47) return false;
  for (let i = start + 5; i < end; i++) {
    const c = bytes[i]!;
    if (c !== 46 && (c < 48 || c > 57)) return false;
  }
  return true;
}
