// Files that cannot be read now: said once, counted, tried again with growing pauses.

import type { Context, Counter } from '../../pipeline/component.ts';
import { errorChain } from '../../pipeline/errors.ts';

type Trouble = { code: string; pauseMs: number; againMs: number; said: boolean };

const pauseMinMs = 250;
const pauseMaxMs = 5000;
/** So many are named in the log at once; the others are counted only. */
const namedMax = 20;

export class Troubles {
  readonly #context: Context;
  readonly #errors: Counter;
  readonly #open = new Map<string, Trouble>();
  #overflowSaid = false;

  constructor(context: Context, errors: Counter) {
    this.#context = context;
    this.#errors = errors;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Whether it is too early to try `what` again. */
  waiting(what: string): boolean {
    const trouble = this.#open.get(what);
    return trouble !== undefined && this.#context.now() < trouble.againMs;
  }

  /** `what` failed: a path, or an activity of the receiver. */
  report(what: string, error: unknown): void {
    this.#errors.add(1);
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    let trouble = this.#open.get(what);
    if (trouble === undefined || trouble.code !== code) {
      trouble = { code, pauseMs: pauseMinMs / 2, againMs: 0, said: this.#say(what, error) };
      this.#open.set(what, trouble);
    }
    trouble.pauseMs = Math.min(pauseMaxMs, trouble.pauseMs * 2);
    trouble.againMs = this.#context.now() + trouble.pauseMs;
  }

  /** `what` works. */
  clear(what: string): void {
    const trouble = this.#open.get(what);
    if (trouble === undefined) return;
    this.forget(what);
    if (trouble.said) this.#context.log.info(`${what}: works again`);
  }

  /** `what` does not matter any more. */
  forget(what: string): void {
    this.#open.delete(what);
    if (this.#open.size === 0) this.#overflowSaid = false;
  }

  #say(what: string, error: unknown): boolean {
    if (this.#open.size < namedMax) {
      this.#context.log.warn(`${what}: ${errorChain(error)}; trying again`);
      return true;
    }
    if (!this.#overflowSaid) {
      this.#context.log.warn(
        'more files cannot be read; they are counted in meshlog_file_errors_total',
      );
    }
    this.#overflowSaid = true;
    return false;
  }
}
