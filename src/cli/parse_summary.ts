// The line that `meshlog parse` ends with: what the input was, and which lines were not understood.

import type { Batch } from '../pipeline/batch.ts';
import { ABSENT } from '../pipeline/column.ts';
import type { LineBatch } from './line_batches.ts';
import type { RecognisedLines } from './parse_chain.ts';

const numbersShown = 10;

export class Summary {
  #lines = 0;
  #failed = 0;
  readonly #numbers: number[] = [];

  /** `parsed` is what became of the lines. */
  add({ batch, numbers }: LineBatch, parsed: Batch): void {
    this.#lines += numbers.length;
    const errors = parsed.column('log.parse_error');
    if (errors === undefined) return;
    for (let i = 0; i < parsed.count; i++) {
      const row = parsed.selection[i]!;
      if (errors.kind[row] === ABSENT) continue;
      this.#failed++;
      if (this.#numbers.length >= numbersShown) continue;
      const index = batch.rowStart.subarray(0, batch.rows).indexOf(parsed.rowStart[row]!);
      const number = numbers[index];
      if (number !== undefined) this.#numbers.push(number);
    }
  }

  /** Not one line was understood. */
  get isFailure(): boolean {
    return this.#lines > 0 && this.#failed >= this.#lines;
  }

  text(recognised: readonly RecognisedLines[]): string {
    if (this.#lines === 0) return 'no lines';
    const several = recognised.length > 1;
    const parts = recognised.map(({ format, variant, lines }) => {
      const name = variant === '' ? format : `${format}, ${variant}`;
      return several ? `${name}: ${count(lines)}` : name;
    });
    const formats = parts.length === 0 ? [] : [parts.join('; ')];
    return [...formats, count(this.#lines), ...this.#failures()].join(', ');
  }

  #failures(): string[] {
    if (this.#failed === 0) return [];
    const more = this.#failed - this.#numbers.length;
    const rest = more > 0 ? ` and ${more.toLocaleString('en')} more` : '';
    return [
      `${this.#failed.toLocaleString('en')} not understood: line ${this.#numbers.join(', ')}${rest}`,
    ];
  }
}

const count = (lines: number): string =>
  `${lines.toLocaleString('en')} ${lines === 1 ? 'line' : 'lines'}`;
