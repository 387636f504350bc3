// Files that cannot be read now: said once, counted, tried again with growing pauses.

import type { Context, Counter } from '../../pipeline/component.ts';
import { errorChain } from '../../pipeline/errors.ts';

type Trouble = { code: string; pauseMs: number; againMs: number; said: boolean };

const pauseMinMs = 250;
const pauseMaxMs = 5000;
/** So many are named in the log at once; the others are counted only. */
const namedMax = 20;
/** When the process has no descriptors left, that is one trouble, not one for each file. */
const opening = 'opening files';

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
    if (this.#open.size === 0) return false;
    const nowMs = this.#context.now();
    const againMs = (key: string): number => this.#open.get(key)?.againMs ?? 0;
    return nowMs < againMs(what) || nowMs < againMs(opening);
  }

  /** Something failed: with a path, or an activity of the receiver. */
  report(where: string, error: unknown): void {
    this.#errors.add(1);
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    const what = code === 'EMFILE' || code === 'ENFILE' ? opening : where;
    let trouble = this.#open.get(what);
    if (trouble === undefined || trouble.code !== code) {
      trouble = { code, pauseMs: pauseMinMs / 2, againMs: 0, said: this.#say(what, error) };
      this.#open.set(what, trouble);
    }
    trouble.pauseMs = Math.min(pauseMaxMs, trouble.pauseMs * 2);
    trouble.againMs = this.#context.now() + trouble.pauseMs;
  }

  /** A file could be opened: there are descriptors. */
  opened(): void {
    if (this.#open.size > 0) this.clear(opening);
  }

  /** `what` works. */
  clear(what: string): void {
    if (this.#open.size === 0) return;
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
