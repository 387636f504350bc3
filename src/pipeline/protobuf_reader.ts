// A cursor over protobuf. It never reads beyond its end and never throws: whatever does not fit sets `bad`. Typed
// arrays are read with `!` as in column.ts.

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
export const FIXED32 = 5;

/** Reads the fields of one message, and of the messages in it, without making objects. */
export class ProtobufReader {
  bytes: Buffer;
  at = 0;
  end = 0;
  /** The field that `next` found. */
  field = 0;
  wireType = 0;
  /** The content of a length-delimited field is bytes start..stop; a number is low (and high). */
  start = 0;
  stop = 0;
  low = 0;
  high = 0;
  bad = false;

  constructor(bytes: Buffer, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** Turns to other bytes. */
  turn(bytes: Buffer): void {
    this.bytes = bytes;
    this.at = 0;
    this.end = bytes.length;
    this.bad = false;
  }

  /** Goes on with the message in bytes start..end. */
  enter(start: number, end: number): void {
    this.at = start;
    this.end = end;
  }

  /** Reads the next field with its value. False at the end, and where the bytes are no protobuf (`bad`). */
  next(): boolean {
    if (this.at >= this.end || this.bad) return false;
    if (!this.#varint()) return false;
    this.field = this.low >>> 3;
    this.wireType = this.low & 7;
    if (this.field === 0 || this.high > 0) return this.#fail();
    switch (this.wireType) {
      case VARINT:
        return this.#varint();
      case LENGTH_DELIMITED:
        return this.#span();
      case FIXED64:
        return this.#fixed(8);
      case FIXED32:
        return this.#fixed(4);
      default:
        return this.#fail();
    }
  }

  /** The number of a varint field as a signed 64-bit integer, exact below 2^53. */
  get int(): number {
    return (this.high | 0) * 4294967296 + this.low;
  }

  #span(): boolean {
    if (!this.#varint()) return false;
    if (this.high !== 0 || this.low > this.end - this.at) return this.#fail();
    this.start = this.at;
    this.stop = this.at + this.low;
    this.at = this.stop;
    return true;
  }

  #fixed(size: number): boolean {
    if (this.end - this.at < size) return this.#fail();
    this.low = this.bytes.readUInt32LE(this.at);
    this.high = size === 8 ? this.bytes.readUInt32LE(this.at + 4) : 0;
    this.at += size;
    return true;
  }

  #varint(): boolean {
    const { bytes, end } = this;
    let at = this.at;
    this.high = 0;
    if (at < end && bytes[at]! < 128) {
      this.low = bytes[at]!;
      this.at = at + 1;
      return true;
    }
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) return this.#fail();
      const byte = bytes[at++]!;
      const bits = byte & 127;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 128) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        this.at = at;
        return true;
      }
    }
    return this.#fail();
  }

  #fail(): false {
    this.bad = true;
    return false;
  }
}
