// Requests that are delivered together: what a batch costs is shared by all that are in it.

/** While something is being delivered, what comes in waits for company, but not longer. */
const companyMs = 10;
/** Senders who were answered are waited for so long: most of them send the next request at once. */
const returnMs = 1;
/** Not all of them return. */
const returningShare = 7 / 8;

/** Puts requests together while that costs nobody much time: a sender who is alone is never kept waiting. */
export class Gathering<T> {
  readonly #deliver: (requests: readonly T[]) => Promise<void>;
  readonly #bytesMax: number;
  #requests: T[] = [];
  /** When the first of them came. */
  #sinceMs = 0;
  #bytes = 0;
  #looking: NodeJS.Immediate | undefined;
  #waiting: NodeJS.Timeout | undefined;
  #underWay = 0;
  /** When the last delivery ended, and the bytes of its requests and of those that had come by then. */
  #endedMs = 0;
  #expectedBytes = 0;

  /** `deliver` never rejects. What goes together has up to `bytesMax` bytes, or is one request. */
  constructor(deliver: (requests: readonly T[]) => Promise<void>, bytesMax: number) {
    this.#deliver = deliver;
    this.#bytesMax = bytesMax;
  }

  add(request: T, bytes: number): void {
    if (this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) void this.#flush();
    if (this.#requests.length === 0) this.#sinceMs = performance.now();
    this.#requests.push(request);
    this.#bytes += bytes;
    this.#lookSoon();
  }

  /** What one reading of the sockets brings is there by then. */
  #lookSoon(): void {
    this.#looking ??= setImmediate(() => {
      this.#looking = undefined;
      if (this.#requests.length > 0) this.#look();
    });
  }

  #look(): void {
    const waitMs = this.#waitMs();
    if (waitMs <= 0) void this.#flush();
    else this.#waiting ??= setTimeout(() => void this.#flush(), waitMs);
  }

  #waitMs(): number {
    if (this.#bytes >= this.#bytesMax / 2) return 0;
    const nowMs = performance.now();
    if (this.#underWay > 0) return Math.ceil(this.#sinceMs + companyMs - nowMs);
    if (this.#bytes >= this.#expectedBytes * returningShare) return 0;
    return Math.ceil(this.#endedMs + returnMs - nowMs);
  }

  async #flush(): Promise<void> {
    this.#stopWaiting();
    const requests = this.#requests;
    const bytes = this.#bytes;
    this.#requests = [];
    this.#bytes = 0;
    this.#underWay++;
    await this.#deliver(requests);
    this.#underWay--;
    this.#endedMs = performance.now();
    this.#expectedBytes = bytes + this.#bytes;
    this.#stopWaiting();
    if (this.#requests.length > 0) this.#lookSoon();
  }

  #stopWaiting(): void {
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
  }
}
