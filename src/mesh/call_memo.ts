// Answers by the facts that led to them: the rules run once per combination of facts.

import type { Call } from './call.ts';

/** Combinations kept; beyond that the memo starts over. */
const entriesMax = 16_384;
const slotsMask = entriesMax * 2 - 1;
/** Slots looked at before one is overwritten. */
const probesMax = 8;

export class CallMemo {
  readonly #keyLength: number;
  readonly #keys: Int32Array;
  /** Per slot: entry + 1, or 0. */
  readonly #slots = new Int32Array(entriesMax * 2);
  #calls: Call[] = [];

  constructor(keyLength: number) {
    this.#keyLength = keyLength;
    this.#keys = new Int32Array(entriesMax * keyLength);
  }

  /** The answer for the first `length` words of a key. Keys of different length must differ in those that they share. */
  get(key: Int32Array, length: number): Call | undefined {
    let slot = hashOf(key, length) & slotsMask;
    for (let probe = 0; probe < probesMax; probe++) {
      const entry = this.#slots[slot]! - 1;
      if (entry < 0) return undefined;
      if (this.#isKey(entry, key, length)) return this.#calls[entry];
      slot = (slot + 1) & slotsMask;
    }
    return undefined;
  }

  set(key: Int32Array, length: number, call: Call): void {
    if (this.#calls.length >= entriesMax) this.clear();
    let slot = hashOf(key, length) & slotsMask;
    for (let probe = 1; probe < probesMax && this.#slots[slot] !== 0; probe++) {
      slot = (slot + 1) & slotsMask;
    }
    this.#keys.set(key, this.#calls.length * this.#keyLength);
    this.#calls.push(call);
    this.#slots[slot] = this.#calls.length;
  }

  clear(): void {
    this.#slots.fill(0);
    this.#calls = [];
  }

  #isKey(entry: number, key: Int32Array, length: number): boolean {
    const start = entry * this.#keyLength;
    for (let i = 0; i < length; i++) if (this.#keys[start + i] !== key[i]) return false;
    return true;
  }
}

/** Odd numbers, one per fact: the products do not wait for one another. */
const factors = Int32Array.from({ length: 32 }, (_, i) => Math.imul(0x9e3779b1, 2 * i + 1));

function hashOf(key: Int32Array, length: number): number {
  let hash = 0;
  for (let i = 0; i < length; i++) hash = (hash + Math.imul(key[i]!, factors[i]!)) | 0;
  return hash ^ (hash >>> 15);
}
