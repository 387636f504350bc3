// What a record says, as a number of 53 bits: two records with the same number are taken for the same.

import { FieldReader } from '../../access_log/filter/field_reader.ts';
import { named } from '../../access_log/filter/names.ts';
import type { Batch } from '../../pipeline/batch.ts';

type Choice = {
  readonly fields?: readonly string[] | undefined;
  readonly ignore: readonly string[];
};

type Part = { readonly reader: FieldReader; readonly seed: number };

/** Readers are kept per name; hostile field names must not pile up. */
const readersMax = 2000;

export class Identity {
  readonly #chosen: readonly Part[] | undefined;
  readonly #isIgnored: (name: string) => boolean;
  readonly #readers = new Map<string, Part>();
  readonly #body: Part = partOf('body', [{ name: 'body', record: 'body' }]);
  #parts: readonly Part[] = [];
  /** Hashes of the resources: the same words of two workloads are two things. */
  #resources: readonly number[] = [];
  #batch: Batch | undefined = undefined;
  #high = 0;
  #low = 0;

  constructor({ fields, ignore }: Choice) {
    this.#chosen = fields?.map((name) => partOf(name, named(name)?.sources ?? [{ name }]));
    const exact = new Set(ignore);
    const beginnings = ignore.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1));
    this.#isIgnored = (name) =>
      exact.has(name) || beginnings.some((beginning) => name.startsWith(beginning));
  }

  bind(batch: Batch): void {
    this.#batch = batch;
    this.#parts = this.#chosen ?? this.#all(batch);
    for (const { reader } of this.#parts) reader.bind(batch);
    this.#resources =
      this.#chosen === undefined
        ? batch.resources.map((resource) =>
            hashText(JSON.stringify(Object.entries(resource).sort())),
          )
        : [0];
  }

  /** The identity of a row. Fields count in any order. */
  of(row: number): number {
    this.#high = this.#resources[this.#batch!.resourceOf?.[row] ?? 0] ?? 0;
    this.#low = 0;
    for (const part of this.#parts) this.#add(part, row);
    return (this.#high >>> 0) * 2 ** 21 + (this.#low >>> 11);
  }

  #add({ reader, seed }: Part, row: number): void {
    if (!reader.span(row)) return;
    const { bytes, end } = reader;
    let high = seed;
    let low = ~seed;
    for (let at = reader.start; at < end; at++) {
      const byte = bytes[at]!;
      high = Math.imul(high ^ byte, 0x01000193);
      low = Math.imul(low ^ byte, 0x85ebca6b) ^ (low >>> 15);
    }
    this.#high = (this.#high + mixed(high)) | 0;
    this.#low = (this.#low + mixed(low)) | 0;
  }

  #all(batch: Batch): Part[] {
    if (this.#readers.size > readersMax) this.#readers.clear();
    const parts = [this.#body];
    for (const { name } of batch.columns) {
      if (this.#isIgnored(name)) continue;
      let part = this.#readers.get(name);
      if (part === undefined) {
        part = partOf(name, [{ name }]);
        this.#readers.set(name, part);
      }
      parts.push(part);
    }
    return parts;
  }
}

const partOf = (name: string, sources: ConstructorParameters<typeof FieldReader>[0]): Part => ({
  reader: new FieldReader(sources),
  seed: hashText(name),
});

function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mixed(hash);
}

function mixed(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}
