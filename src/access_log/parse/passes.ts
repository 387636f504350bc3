// The passes over a line: forward through every slot, and from either end as far as values are certain. A pass looks at
// each byte once; positions go into the caller's arrays.

import { allIn, hasShape } from './alphabets.ts';
import { byWidth, dashOrDigits, type Program, type Slot } from './program.ts';

/** Where the values of a line begin and end, by slot. */
export type Spans = { readonly starts: Int32Array; readonly ends: Int32Array };

/** The slot at which a pass stopped, where its value begins or (going backwards) ends, and the byte that did not fit. */
export const stop = { slot: 0, value: 0, at: 0 };

/** Reads the whole line forward. True when it fits; else `stop` says where it did not. */
export function forward(
  program: Program,
  spans: Spans,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  return through(program, spans, bytes, start, end, false);
}

/** Reads forward up to the first value that is not certain, or that does not fit; `stop` says which. */
export function fromLeft(
  program: Program,
  spans: Spans,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  through(program, spans, bytes, start, end, true);
}

function through(
  program: Program,
  spans: Spans,
  bytes: Uint8Array,
  start: number,
  end: number,
  certainOnly: boolean,
): boolean {
  const { slots, head } = program;
  const { starts, ends } = spans;
  let at = start;
  stop.slot = -1;
  stop.value = start;
  stop.at = start;
  if (!holds(bytes, at, end, head)) return false;
  at += head.length;
  for (let k = 0; k < slots.length; k++) {
    const slot = slots[k]!;
    stop.slot = k;
    stop.value = at;
    stop.at = at;
    if (certainOnly && !slot.certain) return false;
    const to = valueEnd(slot, bytes, at, end);
    if (to < 0) return false;
    const literal = slot.literal;
    const next = to + literal.length;
    if (next > end) return false;
    for (let i = 0; i < literal.length; i++) {
      if (bytes[to + i] !== literal[i]) {
        stop.at = to;
        return false;
      }
    }
    starts[k] = at;
    ends[k] = to;
    at = next;
  }
  stop.at = at;
  return at === end;
}

/** Where the value of a slot ends that begins at `at`; -1 when nothing there is such a value. */
function valueEnd(slot: Slot, bytes: Uint8Array, at: number, end: number): number {
  if (slot.scan === byWidth) return at + slot.width <= end ? at + slot.width : -1;
  const table = slot.table;
  let i = at;
  if (slot.scan === dashOrDigits && i < end && bytes[i] === 45) return i + 1;
  while (i < end && table[bytes[i]!] !== 0) i++;
  // Where the line ends with this value there is nothing to step back over.
  if (slot.back > 0 && i < end) i -= slot.back;
  if (i < at) return -1;
  return i === at && neverEmpty(slot) ? -1 : i;
}

/** Counts are printed as 0 when they are unknown. */
function neverEmpty({ command, target }: Slot): boolean {
  return command.operator.kind === 'count' || target.store === 'time';
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
  if (length === 1 && bytes[start] === 45 && slot.command.operator.kind !== 'count') return true;
  switch (slot.target.alphabet) {
    case 'free':
      return hasShape(slot.target.shape, bytes, start, end);
    case 'path':
      return (bytes[start] === 47 || bytes[start] === 42) && allIn(slot.table, bytes, start, end);
    case 'protocol':
      return isProtocol(bytes, start, end);
    case 'duration':
      return length > 0 && allIn(slot.table, bytes, start, end);
    default:
      return (length > 0 || !neverEmpty(slot)) && allIn(slot.wide, bytes, start, end);
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
