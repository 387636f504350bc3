// Which lists and maps of OTLP stay as they came: cells that are their bytes, read when somebody asks.

import { ARRAY, BINARY, BOOL, depthMax, FLOAT64, INT64, KVLIST, STRING } from './any_value.ts';
import { isText } from './cell.ts';

const LIST_ITEM = 0x0a;
const KEY = 0x0a;
const VALUE = 0x12;
/** Finding a key again takes a look at all before it: larger maps are read. */
const keysMax = 64;
/** Fits nowhere. */
const tooLong = 0x7fffffff;

/** Looks through values without making any. */
export class PlainValues {
  #bytes: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** Where what `#end` measured begins. */
  #start = 0;

  /** Turns to the messages in `bytes`, which `view` shows too. A few bytes behind them are readable. */
  turn(bytes: Buffer, view: DataView): void {
    this.#bytes = bytes;
    this.#view = view;
  }

  /**
   * Whether the AnyValue in bytes start..stop is a list or a map that says just what its bytes do: well-formed, nothing
   * twice or unknown, all text valid UTF-8, and no deeper than what is sent on.
   */
  isPlain(start: number, stop: number): boolean {
    const tag = this.#bytes[start];
    return (tag === ARRAY || tag === KVLIST) && start < stop && this.#value(start, stop, 0);
  }

  #value(at: number, stop: number, depth: number): boolean {
    const bytes = this.#bytes;
    if (at === stop) return true;
    const tag = bytes[at]!;
    switch (tag) {
      case BOOL:
        return stop - at === 2 && bytes[at + 1]! < 2;
      case INT64:
        return isVarint(bytes, at + 1, stop);
      case FLOAT64:
        return stop - at === 9;
      case STRING:
      case BINARY:
      case ARRAY:
      case KVLIST:
        if (this.#end(at + 1) !== stop) return false;
        if (tag === STRING) return isText(bytes, this.#view, this.#start, stop);
        if (tag === BINARY) return true;
        if (depth === depthMax) return false;
        if (tag === ARRAY) return this.#list(this.#start, stop, depth + 1);
        return this.#map(this.#start, stop, depth + 1);
      default:
        return false;
    }
  }

  #list(from: number, stop: number, depth: number): boolean {
    let at = from;
    while (at < stop) {
      if (this.#bytes[at] !== LIST_ITEM) return false;
      const end = this.#end(at + 1);
      if (end > stop || !this.#value(this.#start, end, depth)) return false;
      at = end;
    }
    return true;
  }

  #map(from: number, stop: number, depth: number): boolean {
    const bytes = this.#bytes;
    // A bit for each key, by where it may be again.
    let low = 0;
    let high = 0;
    let keys = 0;
    let at = from;
    while (at < stop) {
      if (bytes[at] !== LIST_ITEM || ++keys > keysMax) return false;
      const end = this.#end(at + 1);
      const pair = this.#start;
      if (end > stop || pair === end || bytes[pair] !== KEY) return false;
      const keyEnd = this.#end(pair + 1);
      const key = this.#start;
      if (keyEnd >= end || !isText(bytes, this.#view, key, keyEnd)) return false;
      const hash = keyEnd - key + 7 * bytes[keyEnd - 1]! + 13 * bytes[(key + keyEnd) >> 1]!;
      const bit = 1 << hash;
      const seen = hash & 32 ? high : low;
      if ((seen & bit) !== 0 && this.#isThere(from, at, key, keyEnd)) return false;
      if (hash & 32) high |= bit;
      else low |= bit;
      if (bytes[keyEnd] !== VALUE || this.#end(keyEnd + 1) !== end) return false;
      if (!this.#value(this.#start, end, depth)) return false;
      at = end;
    }
    return true;
  }

  /** Whether the key in bytes start..stop is one of those of the pairs in from..to. */
  #isThere(from: number, to: number, start: number, stop: number): boolean {
    const bytes = this.#bytes;
    let at = from;
    while (at < to) {
      at = this.#end(at + 1);
      const end = this.#end(this.#start + 1);
      const other = this.#start;
      if (end - other !== stop - start) continue;
      let i = start;
      while (i < stop && bytes[i] === bytes[other + i - start]) i++;
      if (i === stop) return true;
    }
    return false;
  }

  /** Where that ends whose length stands at `at`. */
  #end(at: number): number {
    const bytes = this.#bytes;
    let length = bytes[at]!;
    let start = at + 1;
    if (length > 127) {
      length &= 127;
      for (let shift = 7; ; shift += 7) {
        const byte = bytes[start++]!;
        if (shift > 21) return tooLong;
        length |= (byte & 127) << shift;
        if (byte < 128) break;
      }
    }
    this.#start = start;
    return start + length;
  }
}

/** Whether bytes start..end are one varint of at most 64 bits. */
export function isVarint(bytes: Buffer, start: number, end: number): boolean {
  const last = end - 1;
  if (last < start || last - start > 9 || (last - start === 9 && bytes[last]! > 1)) return false;
  for (let i = start; i < last; i++) if (bytes[i]! < 128) return false;
  return bytes[last]! < 128;
}
