// One byte budget for the whole process: what receivers may hold at once, whatever the sinks do (design: "One byte
// budget bounds memory").

type Waiter = { bytes: number; share: Share; resolve: () => void };

/** Hands out bytes to receivers, first come first served, so that no receiver takes more than its fair part for long. */
export class Budget {
  #limitBytes: number;
  usedBytes = 0;
  readonly #shares = new Set<Share>();
  #waiting: Waiter[] = [];

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get limitBytes(): number {
    return this.#limitBytes;
  }

  /** A reload may change it. */
  set limitBytes(bytes: number) {
    this.#limitBytes = bytes;
    this.#serve();
  }

  /** A share for one receiver. Call `close` when the receiver is gone. */
  share(): Share {
    const share = new Share(this);
    this.#shares.add(share);
    return share;
  }

  /** Whether `bytes` may be taken by `share` now. A share that holds nothing always gets its first piece. */
  fits(share: Share, bytes: number): boolean {
    if (share.usedBytes === 0) return true;
    if (this.usedBytes + bytes > this.limitBytes) return false;
    // Half of what is free goes to whoever asks: the others always find room for a start.
    const fair = Math.max(this.limitBytes / Math.max(1, this.#shares.size), this.limitBytes / 2);
    return share.usedBytes + bytes <= fair;
  }

  /** @internal */ take(share: Share, bytes: number): void {
    share.usedBytes += bytes;
    this.usedBytes += bytes;
  }

  /** @internal */ give(share: Share, bytes: number): void {
    share.usedBytes -= bytes;
    this.usedBytes -= bytes;
    this.#serve();
  }

  /** Gives what is free to those that wait. */
  #serve(): void {
    if (this.#waiting.length === 0) return;
    const still: Waiter[] = [];
    for (const waiter of this.#waiting) {
      if (this.fits(waiter.share, waiter.bytes)) {
        this.take(waiter.share, waiter.bytes);
        waiter.resolve();
      } else still.push(waiter);
    }
    this.#waiting = still;
  }

  /** @internal */ wait(share: Share, bytes: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ bytes, share, resolve }));
  }

  /** @internal */ remove(share: Share): void {
    this.#shares.delete(share);
    this.give(share, share.usedBytes);
    for (const waiter of this.#waiting) if (waiter.share === share) waiter.resolve();
    this.#waiting = this.#waiting.filter((waiter) => waiter.share !== share);
  }
}

/** What one receiver holds of the budget. */
export class Share {
  usedBytes = 0;
  readonly #budget: Budget;
  #closed = false;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Takes bytes at once when there is room for them; false otherwise. */
  tryTake(bytes: number): boolean {
    if (!this.#closed && !this.#budget.fits(this, bytes)) return false;
    this.#budget.take(this, bytes);
    return true;
  }

  /**
   * Takes bytes for something that can be dropped instead: up to half of the budget while there is room, and an eighth
   * of it even when others have the rest; they get less from then on.
   */
  claim(bytes: number): boolean {
    const { limitBytes, usedBytes } = this.#budget;
    const own = this.usedBytes + bytes;
    const most = usedBytes + bytes <= limitBytes ? limitBytes / 2 : limitBytes / 8;
    if (this.usedBytes > 0 && own > most) return false;
    this.#budget.take(this, bytes);
    return true;
  }

  /** Takes bytes, waiting for room. Not reading while this is pending is the backpressure. */
  async take(bytes: number): Promise<void> {
    if (this.tryTake(bytes)) return;
    await this.#budget.wait(this, bytes);
  }

  give(bytes: number): void {
    if (!this.#closed) this.#budget.give(this, bytes);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#budget.remove(this);
  }
}
