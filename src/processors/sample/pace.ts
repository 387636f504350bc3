// Holds a rate: what chance records have, so that about `limit` a second are kept, whatever comes in.
//
// Two estimates agree on it. The arrivals of the last seconds say which chance is right in the long run; it is above zero
// for every record, so that weights are right. What has been saved and spent lately says how much may be kept now; it
// binds at once when ten times as much arrives as a moment ago.

/** The memory of the arrival rate. */
const memoryMs = 1000;
/** What may be saved for later, as a time at the limit: nothing that a burst could spend in a long breath. */
const savedMs = 50;
/** A source that delivers once a second still gets its second. */
const gapMaxMs = 1000;
/** Part of the limit that is for others even when what must be kept takes all of it: they stay represented. */
const reserved = 0.05;

export class Pace {
  #lastMs: number | undefined = undefined;
  /** Arrivals a second, of records that have a chance and of those that must be kept. */
  #rate = 0;
  #mustRate = 0;
  /** Records that may be kept beyond the limit, or have been (negative). */
  #saved = 0;

  /** Arrivals a second, all of them, as of `nowMs`. */
  rate(nowMs: number): number {
    const gapMs = Math.max(0, nowMs - (this.#lastMs ?? nowMs));
    return (this.#rate + this.#mustRate) * Math.exp(-gapMs / memoryMs);
  }

  /** The chance of each of `others` records that arrive at `nowMs`, along with `must` records that are kept anyway. */
  chance(nowMs: number, limit: number, { others, must }: { others: number; must: number }): number {
    const gapMs = this.#advance(nowMs, others, must);
    const savedMax = Math.max(1, (limit * savedMs) / 1000);
    const accrued = (limit * Math.min(gapMs, gapMaxMs)) / 1000;
    this.#saved = Math.max(this.#saved, -savedMax) - must;
    const available = Math.max(this.#saved + accrued, accrued * reserved);
    this.#saved = Math.max(this.#saved, -savedMax) + accrued;
    if (others === 0) {
      this.#saved = Math.min(this.#saved, savedMax);
      return 1;
    }
    const free = Math.max(limit - this.#mustRate, limit * reserved);
    const balance = Math.min(2, Math.max(0.1, 1 + this.#saved / savedMax));
    const steady = Math.min(1, (free / this.#rate) * balance);
    return Math.min(steady, Math.max(available / others, steady * reserved));
  }

  /** How many of the others were kept. */
  spent(limit: number, kept: number): void {
    const savedMax = Math.max(1, (limit * savedMs) / 1000);
    this.#saved = Math.min(savedMax, this.#saved - kept);
  }

  #advance(nowMs: number, others: number, must: number): number {
    if (this.#lastMs === undefined) {
      this.#lastMs = nowMs;
      this.#rate = others;
      this.#mustRate = must;
      return gapMaxMs;
    }
    // A clock that is set back must not make time run backwards here.
    const gapMs = Math.max(0, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    const kept = Math.exp(-gapMs / memoryMs);
    const added = gapMs === 0 ? 1000 / memoryMs : ((1 - kept) * 1000) / gapMs;
    this.#rate = this.#rate * kept + others * added;
    this.#mustRate = this.#mustRate * kept + must * added;
    return gapMs;
  }
}
