// What came in while nobody takes it, in one piece however small its parts were.

export class HeldBytes {
  bytes: Buffer = Buffer.alloc(0);
  /** What is held stands between these places. */
  start = 0;
  end = 0;

  add(bytes: Buffer, start: number, end: number): void {
    const length = this.end + end - start;
    if (length > this.bytes.length) {
      const longer = Buffer.allocUnsafeSlow(Math.max(length, this.bytes.length * 2));
      this.bytes.copy(longer, 0, 0, this.end);
      this.bytes = longer;
    }
    bytes.copy(this.bytes, this.end, start, end);
    this.end = length;
  }
}
