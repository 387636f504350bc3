// Streams of one connection that were reset: what is on its way for them is no mistake, and too many are an attack.

/** Streams that a peer may reset, or have reset by its mistakes, at once and per second: they cost more here than there. */
const resetsMax = 1000;
const resetsPerSecond = 33;
/** So many of those that we have reset last are remembered. */
const keptMax = 256;

export class Resets {
  readonly #kept = new Set<number>();
  #left = resetsMax;
  #sinceMs = performance.now();

  /** We have reset a stream. */
  add(stream: number): void {
    this.#kept.add(stream);
    if (this.#kept.size <= keptMax) return;
    for (const oldest of this.#kept) {
      this.#kept.delete(oldest);
      return;
    }
  }

  has(stream: number): boolean {
    return this.#kept.has(stream);
  }

  /** A stream was lost by what the peer did, or something that costs as much. False: that is too many. */
  bear(nowMs: number): boolean {
    const back = ((nowMs - this.#sinceMs) / 1000) * resetsPerSecond;
    this.#sinceMs = nowMs;
    this.#left = Math.min(resetsMax, this.#left + back) - 1;
    return this.#left >= 0;
  }
}
