// One byte budget for the whole process: what receivers may hold at once, whatever the sinks do (design: "One byte
// budget bounds memory").

/** Somebody who waits for room. */
export type Waiter = {
  readonly bytes: number;
  readonly share: Share;
  /** What the share had been given in all when the wait began; infinity: it borrows nothing. */
  readonly sinceBytes: number;
  /** There is room, and it was taken. */
  readonly taken: () => void;
};

/** Hands out bytes to receivers, first come first served, so that no receiver takes more than its fair part for long. */
export class Budget {
  #limitBytes: number;
  usedBytes = 0;
  readonly #shares = new Set<Share>();
  readonly #waiting = new Set<Waiter>();

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
    share.givenBytes += bytes;
    this.usedBytes += bytes;
  }

  /** @internal */ give(share: Share, bytes: number): void {
    share.usedBytes -= bytes;
    share.lentBytes = Math.max(0, share.lentBytes - bytes);
    this.usedBytes -= bytes;
    this.#serve();
  }

  /** Gives what is free to those that wait. */
  #serve(): void {
    for (const waiter of this.#waiting) {
      if (!this.fits(waiter.share, waiter.bytes) && !this.#lends(waiter)) continue;
      this.#waiting.delete(waiter);
      this.take(waiter.share, waiter.bytes);
      waiter.taken();
    }
  }

  /**
   * Who asks for much would wait for as long as others ask for little: once its share has been given a whole budget
   * meanwhile, it gets what there is not, one at a time until as much was given back.
   */
  #lends({ share, bytes, sinceBytes }: Waiter): boolean {
    if (share.lentBytes > 0 || share.givenBytes - sinceBytes < this.limitBytes) return false;
    share.lentBytes = bytes;
    return true;
  }

  /** @internal */ wait(waiter: Waiter): void {
    this.#waiting.add(waiter);
  }

  /** @internal */ forget(waiter: Waiter): void {
    this.#waiting.delete(waiter);
  }

  /** @internal */ remove(share: Share): void {
    this.#shares.delete(share);
    for (const waiter of this.#waiting) {
      if (waiter.share !== share) continue;
      this.#waiting.delete(waiter);
      waiter.taken();
    }
    this.give(share, share.usedBytes);
  }
}

/** What one receiver holds of the budget. */
export class Share {
  usedBytes = 0;
  /** @internal What it was given in all, and what of that was beyond the limit and is not given back yet. */
  givenBytes = 0;
  lentBytes = 0;
  readonly #budget: Budget;
  #closed = false;
  /** What was taken beyond the limit and not given back yet, and who waits to do the same. */
  #debtBytes = 0;
  readonly #debtors: Pick<Waiter, 'bytes' | 'taken'>[] = [];

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Takes bytes at once when there is room for them; false otherwise. */
  tryTake(bytes: number): boolean {
    // What nobody gives back any more is not counted either.
    if (this.#closed) return true;
    if (!this.#budget.fits(this, bytes)) return false;
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
    await new Promise<void>((taken) => this.wait(bytes, taken));
  }

  /**
   * Waits for room. `taken` is called when there is some, and it was taken. Whoever goes away before says `forget`.
   * `borrows`: it waits without an end, and is lent what there is not when others have long been given theirs.
   */
  wait(bytes: number, taken: () => void, { borrows = false } = {}): Waiter {
    const sinceBytes = borrows ? this.givenBytes : Number.POSITIVE_INFINITY;
    const waiter = { bytes, share: this, sinceBytes, taken };
    this.#budget.wait(waiter);
    return waiter;
  }

  forget(waiter: Waiter): void {
    this.#budget.forget(waiter);
  }

  /**
   * Takes bytes even where there is no room, for what is in memory already and holds a part of its room: those who wait
   * so for each other would wait for ever. Not before as much was given back as the last one has taken so.
   */
  async overdraw(bytes: number): Promise<void> {
    if (this.tryTake(bytes)) return;
    if (this.#debtBytes === 0) return this.#owe(bytes);
    await new Promise<void>((taken) => this.#debtors.push({ bytes, taken }));
  }

  #owe(bytes: number): void {
    this.#budget.take(this, bytes);
    this.#debtBytes = bytes;
  }

  give(bytes: number): void {
    if (this.#closed) return;
    this.#budget.give(this, bytes);
    this.#debtBytes = Math.max(0, this.#debtBytes - bytes);
    while (this.#debtBytes === 0) {
      const next = this.#debtors.shift();
      if (next === undefined) return;
      if (!this.tryTake(next.bytes)) this.#owe(next.bytes);
      next.taken();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#budget.remove(this);
    for (const { taken } of this.#debtors.splice(0)) taken();
  }
}
