// What was derived from a value, found again by the value's bytes: most values of a stream were seen a moment ago, and
// making a string only to look it up would cost more than the rest of a processor.

import { viewOf } from './buffers.ts';

/** Slots looked at before one is overwritten: bounds the cost of keys that collide on purpose. */
const probesMax = 8;

/**
 * A bounded cache from bytes to what `make` derives from them. `make` sees each distinct value once, until the cache is
 * full and starts over; the same bytes may therefore give another, equal object later.
 */
export class SpanMemo<T> {
  readonly #make: (bytes: Buffer, start: number, end: number) => T;
  readonly #entriesMax: number;
  readonly #keyBytesMax: number;
  readonly #mask: number;
  /** Per slot: entry + 1, or 0. */
  readonly #slots: Int32Array;
  readonly #hash: Int32Array;
  readonly #keyStart: Int32Array;
  readonly #keyLength: Int32Array;
  #keys = Buffer.alloc(1 << 12);
  #keyView = viewOf(this.#keys);
  #keyBytes = 0;
  #values: T[] = [];
  readonly #text: Buffer;
  readonly #textView: DataView;

  /** Keys of more than `keyBytesMax` are not kept: hostile values must not fill the memory. */
  constructor(
    make: (bytes: Buffer, start: number, end: number) => T,
    entriesMax = 4096,
    keyBytesMax = 2048,
  ) {
    this.#make = make;
    this.#entriesMax = entriesMax;
    this.#keyBytesMax = keyBytesMax;
    this.#text = Buffer.alloc(keyBytesMax * 3 + 8);
    this.#textView = viewOf(this.#text);
    const slots = 2 ** Math.ceil(Math.log2(entriesMax * 2));
    this.#mask = slots - 1;
    this.#slots = new Int32Array(slots);
    this.#hash = new Int32Array(entriesMax);
    this.#keyStart = new Int32Array(entriesMax);
    this.#keyLength = new Int32Array(entriesMax);
  }

  get size(): number {
    return this.#values.length;
  }

  /** What is kept for the bytes start..end, which `view` shows too. Four bytes beyond `end` are readable. */
  get(bytes: Buffer, view: DataView, start: number, end: number): T {
    const length = end - start;
    if (length > this.#keyBytesMax) return this.#make(bytes, start, end);
    const hash = hashOf(view, start, length);
    const slots = this.#slots;
    let slot = hash & this.#mask;
    for (let probe = 0; probe < probesMax; probe++) {
      const entry = slots[slot]! - 1;
      if (entry < 0) break;
      if (
        this.#hash[entry] === hash &&
        this.#keyLength[entry] === length &&
        sameBytes(this.#keyView, this.#keyStart[entry]!, view, start, length)
      ) {
        return this.#values[entry]!;
      }
      slot = (slot + 1) & this.#mask;
    }
    return this.#add(bytes, start, end, hash);
  }

  /** The same for a text that is no span of a batch. */
  getText(text: string): T {
    if (text.length > this.#keyBytesMax) {
      const bytes = Buffer.from(text);
      return this.#make(bytes, 0, bytes.length);
    }
    const length = this.#text.utf8Write(text, 0);
    return this.get(this.#text, this.#textView, 0, length);
  }

  /** Forgets everything: what was derived is not right any more. */
  clear(): void {
    this.#slots.fill(0);
    this.#values = [];
    this.#keyBytes = 0;
  }

  #add(bytes: Buffer, start: number, end: number, hash: number): T {
    // `make` may come back here with another value: entries are taken after it.
    const value = this.#make(bytes, start, end);
    if (this.#values.length >= this.#entriesMax) this.clear();
    const slots = this.#slots;
    let slot = hash & this.#mask;
    for (let probe = 1; probe < probesMax && slots[slot] !== 0; probe++) {
      slot = (slot + 1) & this.#mask;
    }
    const entry = this.#values.length;
    this.#values.push(value);
    this.#hash[entry] = hash;
    this.#keyStart[entry] = this.#keyBytes;
    this.#keyLength[entry] = end - start;
    this.#keep(bytes, start, end);
    slots[slot] = entry + 1;
    return value;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    if (this.#keyBytes + length + 8 > this.#keys.length) {
      const larger = Buffer.alloc(Math.max(this.#keys.length * 2, this.#keyBytes + length + 8));
      this.#keys.copy(larger, 0, 0, this.#keyBytes);
      this.#keys = larger;
      this.#keyView = viewOf(larger);
    }
    bytes.copy(this.#keys, this.#keyBytes, start, end);
    this.#keyBytes += length;
  }
}

/** Length and up to six words spread over the bytes: values that differ in one place mostly differ in one of them. */
function hashOf(view: DataView, start: number, length: number): number {
  let hash = length;
  if (length >= 4) {
    const step = length < 28 ? 4 : ((length - 4) / 6) | 0;
    const last = start + length - 4;
    for (let at = start; at < last; at += step) {
      hash = Math.imul(hash ^ view.getInt32(at, true), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash ^ view.getInt32(last, true), 0x85ebca6b);
  } else {
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ view.getUint8(start + i), 0x01000193);
  }
  return (hash ^ (hash >>> 13)) | 0;
}

function sameBytes(
  left: DataView,
  leftStart: number,
  right: DataView,
  rightStart: number,
  length: number,
): boolean {
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    if (left.getInt32(leftStart + i, true) !== right.getInt32(rightStart + i, true)) return false;
  }
  for (; i < length; i++) {
    if (left.getUint8(leftStart + i) !== right.getUint8(rightStart + i)) return false;
  }
  return true;
}
