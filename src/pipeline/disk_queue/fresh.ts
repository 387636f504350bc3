// Committed batches that are still in memory: while the exporter keeps up, or nearly does, it gets them from here, and
// nothing is read back from disk. They take a bounded part of memory. When it is used up, sources learn of the commit a little later, so that
// what this process does for the exporter comes before taking in more. An exporter that stays behind, or whose peer is
// away, holds nobody up: what does not fit is then read back from disk.

import { Fifo } from '../fifo.ts';
import type { Committed } from './puts.ts';
import type { Position } from './state.ts';

/** Bytes of memory that batches take from here. */
const memoryBytesMax = 8 << 20;
/** No more than this is read back from disk before what is here: an exporter that has nearly caught up gets the rest from memory. */
const behindBytesMax = 8 << 20;
/** Sources that wait go on together once this little is left: then the next commit is a large one. */
const memoryBytesLow = memoryBytesMax / 2;
/** The longest that a source waits for the exporter. */
const holdMsMax = 1000;

export class Fresh {
  readonly #waiting = new Fifo<Committed>();
  /** Committed, and their sources do not know it yet: the last ones that came. */
  readonly #held = new Set<Committed>();
  #memoryBytes = 0;
  /** Whether what is committed next follows what waits here. */
  #isOpen = false;
  #timer: NodeJS.Timeout | undefined;
  #hurry = false;
  /** Bytes on disk of what waits here. */
  bytes = 0;

  /** Where what waits here begins. */
  get start(): Position | undefined {
    return this.#waiting.at(0)?.at;
  }

  /**
   * Takes over what was committed next, or only tells its sources. `unreadBytes`: on disk before it, with what waits here.
   * `isAway`: the peer is.
   */
  add(
    committed: readonly Committed[],
    { unreadBytes, isAway }: { unreadBytes: number; isAway: boolean },
  ): void {
    let keeps = this.#waiting.length > 0 ? this.#isOpen : unreadBytes <= behindBytesMax;
    for (const one of committed) {
      const isFull = this.#memoryBytes >= memoryBytesMax || this.#held.size > 0;
      keeps &&= !isFull || !(isAway || this.#hurry);
      if (!keeps) {
        one.batch.letGo();
        one.resolve();
        continue;
      }
      this.#waiting.push(one);
      this.bytes += one.length;
      this.#memoryBytes += one.memoryBytes;
      if (isFull) this.#held.add(one);
      else one.resolve();
    }
    this.#isOpen = keeps;
    if (this.#held.size > 0) this.#timer ??= setTimeout(() => this.#late(), holdMsMax);
  }

  /** The next one, if it is here. The caller says `done` when it is delivered. */
  take(): Committed | undefined {
    const next = this.#waiting.shift();
    if (next !== undefined) this.bytes -= next.length;
    return next;
  }

  /** Ends the use of one. `settled` false: somebody may still look at it, its memory is the garbage collector's. */
  done({ batch, memoryBytes }: Committed, settled = true): void {
    this.#memoryBytes -= memoryBytes;
    if (settled) batch.letGo();
    if (this.#memoryBytes <= memoryBytesLow) this.#tell();
  }

  /** Forgets what lies before a position. */
  skipBefore({ segment, offset }: Position): void {
    for (let one = this.#waiting.at(0); one !== undefined; one = this.#waiting.at(0)) {
      const { at } = one;
      if (at.segment > segment || (at.segment === segment && at.offset >= offset)) return;
      this.take();
      this.#held.delete(one);
      one.resolve();
      this.done(one);
    }
  }

  /** From now on nobody waits. */
  hurry(): void {
    this.#hurry = true;
    this.#tell();
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { resolve } of this.#held) resolve();
    this.#held.clear();
  }

  /** The exporter has not come to them in time: they are on disk, which has room for them. */
  #late(): void {
    const rest = this.#waiting.drain();
    const kept = rest.filter((one) => !this.#held.has(one));
    this.#waiting.putBack(kept);
    this.#isOpen &&= kept.length === rest.length;
    for (const one of rest.slice(kept.length)) {
      this.bytes -= one.length;
      this.done(one);
    }
    this.#tell();
  }
}
