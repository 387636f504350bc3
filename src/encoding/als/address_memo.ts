// Addresses that a batch has had: a proxy writes its own and those of its upstreams again and again.

import type { Margin } from './margin.ts';

const slots = 128;
/** Longer messages than those of an IP and a port are not looked for. */
const messageBytesMax = 64;

/** Where the texts of addresses are in a batch, by the bytes of their messages. */
export class AddressMemo {
  /** Where the text is that `find` has found. */
  start = 0;
  end = 0;
  #slot = 0;
  /** The margin that they are of. */
  #margin = 0;
  /** Per slot: where the message and its text begin and end. */
  readonly #known = new Int32Array(slots * 4);

  /** Whether the message in bytes start..end has been put before. */
  find(margin: Margin, start: number, end: number): boolean {
    const { view } = margin;
    const known = this.#known;
    if (margin.number !== this.#margin) {
      this.#margin = margin.number;
      known.fill(0);
    }
    const length = end - start;
    this.#slot = -1;
    if (length < 8 || length > messageBytesMax) return false;
    // The port, and the last characters of the address.
    const last = view.getInt32(end - 4, true);
    const hash = Math.imul(last ^ Math.imul(view.getInt32(end - 8, true), 0x2c1b3c6d), 0x297a2d39);
    const slot = (hash >>> 25) * 4;
    this.#slot = slot;
    const from = known[slot]!;
    if (known[slot + 1]! - from !== length) return false;
    if (view.getInt32(from + length - 4, true) !== last) return false;
    for (let i = 0; i + 4 < length; i += 4) {
      if (view.getInt32(from + i, true) !== view.getInt32(start + i, true)) return false;
    }
    this.start = known[slot + 2]!;
    this.end = known[slot + 3]!;
    return true;
  }

  /** The message that was not found has its text in bytes textStart..textEnd. */
  put(start: number, end: number, textStart: number, textEnd: number): void {
    const slot = this.#slot;
    if (slot < 0) return;
    const known = this.#known;
    known[slot] = start;
    known[slot + 1] = end;
    known[slot + 2] = textStart;
    known[slot + 3] = textEnd;
  }
}
