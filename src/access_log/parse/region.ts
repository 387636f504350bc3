// The part of a line in which free text may hold what ends it. It is narrowed from both ends by values that have a shape
// of their own; what then remains of one value is that value, and of several is split where their texts first stand.
// Every search moves one way, and all of them together may look at a bounded number of bytes.

import { allIn } from './alphabets.ts';
import { fits, type Spans } from './passes.ts';
import type { Slot } from './program.ts';

export type Region = {
  /** Slots `first` to `last`, whose values and texts fill bytes[start, end). */
  first: number;
  last: number;
  start: number;
  end: number;
};

/** 0: solved; 1: solved, but it could be read otherwise; 2: it does not fit. */
export type Solution = 0 | 1 | 2;

/** Bytes that may be looked at: 32 times the region for any line, since each slot looks at a value a few times. */
let budget = 0;

/** Gives the slots of a region their values. */
export function solve(
  slots: readonly Slot[],
  spans: Spans,
  bytes: Uint8Array,
  region: Region,
): Solution {
  const { first, last, start, end } = region;
  budget = 4096 + (end - start) * 32;
  const rest: Region = { first, last, start, end };
  if (!narrow(slots, spans, bytes, rest)) return 2;
  let doubtful = false;
  if (rest.first === rest.last) {
    spans.starts[rest.first] = rest.start;
    spans.ends[rest.first] = rest.end;
  } else {
    const split = splitRest(slots, spans, bytes, rest);
    if (split === 2) return 2;
    doubtful = split === 1;
  }
  for (let k = first; k <= last; k++) if (!holdsValue(slots[k]!, spans, bytes, k)) return 2;
  return doubtful || holdsSeparator(slots, spans, bytes, region) ? 1 : 0;
}

/** Takes values off both ends as long as they are surely what they seem. */
function narrow(slots: readonly Slot[], spans: Spans, bytes: Uint8Array, rest: Region): boolean {
  while (rest.first < rest.last) {
    const slot = slots[rest.first]!;
    const to = endOfFirst(slot, bytes, rest);
    if (to < 0) return false;
    const next = to + slot.literal.length;
    if (!fits(slot, bytes, rest.start, to) || !nextFits(slots, bytes, rest, next)) break;
    spans.starts[rest.first] = rest.start;
    spans.ends[rest.first] = to;
    rest.first++;
    rest.start = next;
  }
  while (rest.first < rest.last) {
    const before = slots[rest.last - 1]!.literal;
    const at = before.length === 0 ? -1 : findLast(bytes, before, rest.start, rest.end);
    const from = at + before.length;
    if (at < 0 || !fits(slots[rest.last]!, bytes, from, rest.end)) break;
    spans.starts[rest.last] = from;
    spans.ends[rest.last] = rest.end;
    rest.last--;
    rest.end = at;
  }
  return true;
}

function endOfFirst(slot: Slot, bytes: Uint8Array, rest: Region): number {
  if (slot.literal.length > 0) return find(bytes, slot.literal, rest.start, rest.end);
  return slot.width > 0 && rest.start + slot.width <= rest.end ? rest.start + slot.width : -1;
}

/** Whether the value after the first one can stand at `at`, as far as that is sure. */
function nextFits(slots: readonly Slot[], bytes: Uint8Array, rest: Region, at: number): boolean {
  const slot = slots[rest.first + 1]!;
  if (!slot.certain) return true;
  if (rest.first + 1 === rest.last) return fits(slot, bytes, at, rest.end);
  const to = endOfFirst(slot, bytes, { ...rest, start: at });
  return to >= 0 && fits(slot, bytes, at, to);
}

/** Splits what remains at the first place where each text stands, and at the last: both must agree to be sure. */
function splitRest(
  slots: readonly Slot[],
  spans: Spans,
  bytes: Uint8Array,
  rest: Region,
): Solution {
  const count = rest.last - rest.first;
  const left = new Int32Array(count);
  const right = new Int32Array(count);
  const fromLeft = splitLeft(slots, bytes, rest, left);
  const fromRight = splitRight(slots, bytes, rest, right);
  if (!fromLeft && !fromRight) return 2;
  const cuts = fromLeft ? left : right;
  let start = rest.start;
  for (let i = 0; i < count; i++) {
    const k = rest.first + i;
    spans.starts[k] = start;
    spans.ends[k] = cuts[i]!;
    start = cuts[i]! + slots[k]!.literal.length;
  }
  spans.starts[rest.last] = start;
  spans.ends[rest.last] = rest.end;
  if (!fromLeft || !fromRight) return 1;
  return left.every((cut, i) => cut === right[i]) ? 0 : 1;
}

function splitLeft(
  slots: readonly Slot[],
  bytes: Uint8Array,
  rest: Region,
  cuts: Int32Array,
): boolean {
  let at = rest.start;
  for (let k = rest.first; k < rest.last; k++) {
    const slot = slots[k]!;
    const step: Region = { first: k, last: rest.last, start: at, end: rest.end };
    let to = endOfFirst(slot, bytes, step);
    while (to >= 0 && !cutFits(slots, bytes, step, to)) {
      to = slot.literal.length === 0 ? -1 : find(bytes, slot.literal, to + 1, rest.end);
    }
    if (to < 0) return false;
    cuts[k - rest.first] = to;
    at = to + slot.literal.length;
  }
  return true;
}

function cutFits(slots: readonly Slot[], bytes: Uint8Array, step: Region, to: number): boolean {
  const slot = slots[step.first]!;
  if (slot.certain && !fits(slot, bytes, step.start, to)) return false;
  return nextFits(slots, bytes, step, to + slot.literal.length);
}

function splitRight(
  slots: readonly Slot[],
  bytes: Uint8Array,
  rest: Region,
  cuts: Int32Array,
): boolean {
  let end = rest.end;
  for (let k = rest.last; k > rest.first; k--) {
    const slot = slots[k]!;
    const before = slots[k - 1]!.literal;
    if (before.length === 0) return false;
    let at = findLast(bytes, before, rest.start, end);
    while (at >= 0 && slot.certain && !fits(slot, bytes, at + before.length, end)) {
      at = findLast(bytes, before, rest.start, at + before.length - 1);
    }
    if (at < 0) return false;
    cuts[k - 1 - rest.first] = at;
    end = at;
  }
  return true;
}

function holdsValue(slot: Slot, { starts, ends }: Spans, bytes: Uint8Array, k: number): boolean {
  const start = starts[k]!;
  const end = ends[k]!;
  return slot.certain ? fits(slot, bytes, start, end) : allIn(slot.wide, bytes, start, end);
}

/** Whether a free value holds the text that stands before or after it: then the line could be read otherwise. */
function holdsSeparator(
  slots: readonly Slot[],
  { starts, ends }: Spans,
  bytes: Uint8Array,
  { first, last }: Region,
): boolean {
  for (let k = first; k <= last; k++) {
    const slot = slots[k]!;
    if (slot.certain) continue;
    const after = slot.literal;
    const before = slots[k - 1]?.literal;
    if (after.length > 0 && find(bytes, after, starts[k]!, ends[k]!) >= 0) return true;
    if (before && before.length > 0 && find(bytes, before, starts[k]!, ends[k]!) >= 0) return true;
  }
  return false;
}

/** The first place in bytes[from, end) where `text` stands; -1 when there is none or the budget is used up. */
function find(bytes: Uint8Array, text: Uint8Array, from: number, end: number): number {
  const first = text[0]!;
  for (let i = from; i + text.length <= end; i++) {
    if (budget-- <= 0) return -1;
    if (bytes[i] === first && standsAt(bytes, text, i)) return i;
  }
  return -1;
}

function findLast(bytes: Uint8Array, text: Uint8Array, from: number, end: number): number {
  const first = text[0]!;
  for (let i = end - text.length; i >= from; i--) {
    if (budget-- <= 0) return -1;
    if (bytes[i] === first && standsAt(bytes, text, i)) return i;
  }
  return -1;
}

function standsAt(bytes: Uint8Array, text: Uint8Array, at: number): boolean {
  for (let i = 1; i < text.length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}
