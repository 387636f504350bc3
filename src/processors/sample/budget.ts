// Shares a budget of records per second among keys, so that busy ones do not crowd out rare ones.

import { Pace } from './pace.ts';

/** Keys that are remembered; what comes beyond shares one place. */
const keysMax = 10_000;
/** How often the shares are worked out anew, and keys that fell silent forgotten. */
const lookMs = 100;
/** No limit: a pace then only measures. */
const unlimited = Number.MAX_SAFE_INTEGER;
/** A key with fewer records a second may be forgotten when there are too many. */
const rateMin = 0.01;

/** What is known of one key, and what of it is in the batch at hand. */
export class Key {
  readonly pace = new Pace();
  others = 0;
  must = 0;
  kept = 0;
  chance = 1;
}

export type Limits = {
  /** Records a second of each key. */
  readonly perKey: number | undefined;
  /** Records a second of all keys together. */
  readonly total: number | undefined;
};

export class Budget {
  readonly #limits: Limits;
  readonly #keys = new Map<string, Key>();
  readonly #rest = new Key();
  readonly #total = new Pace();
  /** Keys of the batch at hand. */
  #touched: Key[] = [];
  #share = unlimited;
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** Incremented whenever keys were forgotten: what `key` has given is void then. */
  generation = 0;

  key(name: string): Key {
    let key = this.#keys.get(name);
    if (key !== undefined) return key;
    if (this.#keys.size >= keysMax) return this.#rest;
    key = new Key();
    this.#keys.set(name, key);
    return key;
  }

  get keys(): number {
    return this.#keys.size;
  }

  /** Counts a record of the batch at hand. */
  add(key: Key, isMust: boolean): void {
    if (key.others === 0 && key.must === 0) this.#touched.push(key);
    if (isMust) key.must++;
    else key.others++;
  }

  /** Works out `chance` of every key of the batch. */
  plan(nowMs: number): void {
    const { total } = this.#limits;
    if (nowMs - this.#lookedMs >= lookMs || nowMs < this.#lookedMs) this.#look(nowMs);
    let others = 0;
    let must = 0;
    for (const key of this.#touched) {
      key.chance = key.pace.chance(nowMs, this.#limit, key);
      others += key.others * key.chance;
      must += key.must;
    }
    if (total === undefined) return;
    const chance = this.#total.chance(nowMs, total, { others, must });
    for (const key of this.#touched) key.chance *= chance;
  }

  /** The batch is done: `kept` of every key is known. */
  settle(): void {
    const { total } = this.#limits;
    const limit = this.#limit;
    let kept = 0;
    for (const key of this.#touched) {
      key.pace.spent(limit, key.kept);
      kept += key.kept;
      key.others = 0;
      key.must = 0;
      key.kept = 0;
    }
    if (total !== undefined) this.#total.spent(total, kept);
    this.#touched = [];
  }

  get #limit(): number {
    return Math.min(this.#limits.perKey ?? unlimited, this.#share);
  }

  #look(nowMs: number): void {
    this.#lookedMs = nowMs;
    if (this.#limits.total !== undefined) this.#share = this.#fairShare(nowMs, this.#limits.total);
    if (this.#keys.size < keysMax) return;
    for (const [name, key] of this.#keys) {
      if (key.pace.rate(nowMs) < rateMin) this.#keys.delete(name);
    }
    this.generation++;
  }

  /** With it every key gets what it needs or as much as any other, and together they get no more than `total`. */
  #fairShare(nowMs: number, total: number): number {
    const rates = [...this.#keys.values()].map((key) => key.pace.rate(nowMs)).sort((a, b) => a - b);
    let left = total;
    for (const [i, rate] of rates.entries()) {
      const share = left / (rates.length - i);
      if (rate > share) return share;
      left -= rate;
    }
    return unlimited;
  }
}
