// The names that derived columns show, as codes of one dictionary: a name is written once and then copied as bytes.

import { Dictionary } from '../pipeline/column.ts';

/** No name: the record has no such field. */
export const NO_NAME = -1;

/** Names from hostile traffic must not pile up: beyond this the dictionary is replaced, and old batches keep theirs. */
const namesMax = 20_000;

/** The dictionary of all `mesh.` columns. Codes are valid until `renew` says that they no longer are. */
export class Names {
  dictionary = new Dictionary();
  #max: number;

  constructor(max = namesMax) {
    this.#max = max;
  }

  code(name: string | undefined): number {
    return name === undefined || name === '' ? NO_NAME : this.dictionary.code(name);
  }

  text(code: number): string | undefined {
    const value = this.dictionary.values[code];
    return typeof value === 'string' ? value : undefined;
  }

  /** To be called between batches. True: every code given out before is void, caches of them must be emptied. */
  renew(): boolean {
    if (this.dictionary.size < this.#max) return false;
    this.dictionary = new Dictionary();
    return true;
  }
}
