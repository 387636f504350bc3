// What ends an attempt before its peer has answered: its time is up, or nobody waits for it any more.

/** One attempt after the other. */
class Attempt {
  readonly #controller = new AbortController();
  readonly #timeoutMs: number;
  #isUnderWay = false;
  #untilMs = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** Whoever waits for it. */
  #waiting: AbortSignal | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Aborts when the attempt that is under way has to end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  begin(waiting: AbortSignal): void {
    this.#isUnderWay = true;
    if (this.#waiting !== waiting) {
      this.#waiting?.removeEventListener('abort', this.#giveUp);
      this.#waiting = waiting;
      waiting.addEventListener('abort', this.#giveUp, { once: true });
    }
    if (waiting.aborted) this.#giveUp();
    if (this.#timeoutMs === 0) return;
    this.#untilMs = performance.now() + this.#timeoutMs;
    if (this.#timer === undefined) this.#look();
  }

  /** False: it cannot begin again. */
  end(): boolean {
    this.#isUnderWay = false;
    this.#untilMs = Number.POSITIVE_INFINITY;
    if (!this.signal.aborted) return true;
    clearTimeout(this.#timer);
    this.#waiting?.removeEventListener('abort', this.#giveUp);
    return false;
  }

  readonly #giveUp = (): void => {
    if (this.#isUnderWay) this.#controller.abort(this.#waiting?.reason);
  };

  /** The timer of an attempt that has ended serves the next: most end long before it. */
  #look(): void {
    this.#timer = undefined;
    const leftMs = this.#untilMs - performance.now();
    if (leftMs === Number.POSITIVE_INFINITY) return;
    if (leftMs <= 0) {
      this.#controller.abort(new Error(`no answer within ${this.#timeoutMs} ms`));
      return;
    }
    this.#timer = setTimeout(() => this.#look(), Math.ceil(leftMs)).unref();
  }
}

/** Makes no more of them than are under way at once: a controller, a listener and a timer are dear. */
export class Attempts {
  readonly #timeoutMs: number;
  readonly #ended: Attempt[] = [];

  /** `timeoutMs` 0: an attempt may take any time. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** An attempt whose signal aborts with `waiting`, and when its time is up. */
  begin(waiting: AbortSignal): Attempt {
    const attempt = this.#ended.pop() ?? new Attempt(this.#timeoutMs);
    attempt.begin(waiting);
    return attempt;
  }

  end(attempt: Attempt): void {
    if (attempt.end()) this.#ended.push(attempt);
  }
}
