// What peers may send before there is room for it: it stays in memory while it waits, outside of any budget.

/** Of all peers of a server together, beside what each stream may send before it is read. */
const bytesMax = 16 * 1024 * 1024;
const streamBytesMax = 256 * 1024;
/** One stream gets this part of what is left: who comes later finds some, too. */
const parts = 8;

export class Ahead {
  #left = bytesMax;

  /** What a stream may send ahead that may send `own` so far. */
  share(own: number): number {
    return Math.min(streamBytesMax, Math.floor((this.#left + own) / parts));
  }

  take(bytes: number): void {
    this.#left -= bytes;
  }
}
