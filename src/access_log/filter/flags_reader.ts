// Reads `response.flags` of a batch, whether as lists, as a code of a list or as Envoy's text.

import type { Batch } from '../../pipeline/batch.ts';
import { CODE, type Column, type Dictionary } from '../../pipeline/column.ts';
import { splitFlags } from '../flag_lists.ts';
import { maskOfFlags } from '../flags.ts';

const none: readonly string[] = [];

/** The short names of a row's flags; a row without the field has none. */
export class FlagsReader {
  #batch: Batch | undefined = undefined;
  #column: Column | undefined = undefined;
  #dictionary: Dictionary | undefined = undefined;
  /** Masks by code of `#dictionary`. */
  #masks: number[] = [];

  bind(batch: Batch): void {
    this.#batch = batch;
    this.#column = batch.column('response.flags');
    if (this.#column?.dictionary === this.#dictionary) return;
    this.#dictionary = this.#column?.dictionary;
    this.#masks = [];
  }

  names(row: number): readonly string[] {
    const value = this.#batch?.value(this.#column, row);
    if (typeof value === 'string') return splitFlags(value);
    if (!Array.isArray(value)) return none;
    const isList = value.every((name) => typeof name === 'string');
    return isList ? value : value.filter((name) => typeof name === 'string');
  }

  /** Envoy's bit mask. */
  mask(row: number): number {
    const column = this.#column;
    if (column === undefined) return 0;
    if (column.kind[row] !== CODE) return maskOfFlags(this.names(row));
    const code = column.a[row]!;
    let mask = this.#masks[code];
    if (mask === undefined) {
      mask = maskOfFlags(this.names(row));
      this.#masks[code] = mask;
    }
    return mask;
  }

  /** Whether any flag is set, one of an extension included. */
  any(row: number): boolean {
    return this.mask(row) !== 0 || this.names(row).length > 0;
  }
}
