// Replaces values by their hash: they can be counted and compared, but not read.

import { createHash, createHmac } from 'node:crypto';
import { FieldReader } from '../../access_log/filter/field_reader.ts';
import { Names } from '../../mesh/names.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import { textOf } from '../../pipeline/cell_values.ts';
import { ABSENT } from '../../pipeline/column.ts';
import { SpanMemo } from '../../pipeline/span_memo.ts';

export class FieldHasher {
  readonly #name: string;
  readonly #key: string | undefined;
  readonly #field: FieldReader;
  readonly #hashes = new Names();
  readonly #memo = new SpanMemo((bytes, start, end) =>
    this.#hashes.code(this.#hash(bytes.subarray(start, end))),
  );
  /** Codes of the rows of the batch at hand, until all are read. */
  #codes = new Int32Array(1024);

  constructor(name: string, key: string | undefined) {
    this.#name = name;
    this.#key = key;
    this.#field = new FieldReader([{ name }]);
  }

  replace(batch: Batch): void {
    const name = this.#name;
    const fact = batch.attributes[name];
    if (fact !== undefined) {
      batch.attributes = { ...batch.attributes, [name]: this.#hash(Buffer.from(textOf(fact))) };
    }
    if (batch.column(name) === undefined) return;
    if (this.#hashes.renew()) this.#memo.clear();
    this.#read(batch);
    const column = batch.ownColumn(name);
    column.dictionary = this.#hashes.dictionary;
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      const code = this.#codes[row]!;
      if (code >= 0) column.setCode(row, code);
    }
  }

  #read(batch: Batch): void {
    if (this.#codes.length < batch.capacity) this.#codes = new Int32Array(batch.capacity);
    const field = this.#field;
    field.bind(batch);
    const column = batch.column(this.#name);
    let bytes = batch.bytes;
    let view = viewOf(bytes);
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      this.#codes[row] = -1;
      if (column?.kind[row] === ABSENT || !field.span(row)) continue;
      if (field.bytes !== bytes) {
        bytes = field.bytes;
        view = viewOf(bytes);
      }
      this.#codes[row] = this.#memo.get(bytes, view, field.start, field.end);
    }
  }

  #hash(value: Uint8Array): string {
    const hash = this.#key === undefined ? createHash('sha256') : createHmac('sha256', this.#key);
    return hash.update(value).digest('hex');
  }
}
