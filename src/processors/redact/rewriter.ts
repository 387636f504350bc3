// Rewrites the texts of a field: each distinct value is worked out once, most are left as they are.

import { FieldReader, type Source } from '../../access_log/filter/field_reader.ts';
import type { Names } from '../../mesh/names.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import { ABSENT, type Column } from '../../pipeline/column.ts';
import { SpanMemo } from '../../pipeline/span_memo.ts';
import { copyOf } from './own_body.ts';

const UNCHANGED = -1;

export class Rewriter {
  readonly #names: Names;
  readonly #memo: SpanMemo<number>;
  /** Texts without this byte are left as they are. */
  readonly #sign: number | undefined;
  readonly #fields = new Map<string, FieldReader>();

  constructor(names: Names, rewrite: (text: string) => string, sign?: number) {
    this.#names = names;
    this.#sign = sign;
    this.#memo = new SpanMemo((bytes, start, end) => {
      const text = bytes.utf8Slice(start, end);
      const rewritten = rewrite(text);
      return rewritten === text ? UNCHANGED : names.dictionary.code(rewritten);
    });
  }

  /** The names were renewed: codes given out before are void. */
  clear(): void {
    this.#memo.clear();
  }

  /** Rewrites a field of the selected rows; the number of values that changed. */
  apply(batch: Batch, name: string): number {
    const column = batch.column(name);
    if (column === undefined) return 0;
    return this.#rewrite(batch, { column, source: { name }, own: () => batch.ownColumn(name) });
  }

  /** Rewrites the bodies: lines that could not be parsed, or whatever a log came with. */
  applyToBody(batch: Batch): number {
    const { body: column } = batch;
    if (column === undefined) return 0;
    const own = (): Column => {
      batch.body = copyOf(batch, column);
      return batch.body;
    };
    return this.#rewrite(batch, { column, source: { name: 'body', record: 'body' }, own });
  }

  /** `own` gives the column that may be written, when the first value changes. */
  #rewrite(
    batch: Batch,
    { column, source, own }: { column: Column; source: Source; own: () => Column },
  ): number {
    const field = this.#field(source);
    field.bind(batch);
    let written: Column | undefined;
    let changed = 0;
    let { bytes } = batch;
    let view = viewOf(bytes);
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      if (column.kind[row] === ABSENT || !field.span(row) || !this.#hasSign(field)) continue;
      if (field.bytes !== bytes) {
        bytes = field.bytes;
        view = viewOf(bytes);
      }
      const code = this.#memo.get(bytes, view, field.start, field.end);
      if (code === UNCHANGED) continue;
      changed++;
      written ??= own();
      this.#write(batch, { column: written, row, code });
    }
    return changed;
  }

  /** A column has one dictionary: where it is another one, the value is held. */
  #write(batch: Batch, { column, row, code }: { column: Column; row: number; code: number }): void {
    column.dictionary ??= this.#names.dictionary;
    if (column.dictionary === this.#names.dictionary) column.setCode(row, code);
    else batch.setValue(column, row, this.#names.text(code));
  }

  #hasSign({ bytes, start, end }: FieldReader): boolean {
    if (this.#sign === undefined) return true;
    for (let at = start; at < end; at++) if (bytes[at] === this.#sign) return true;
    return false;
  }

  #field(source: Source): FieldReader {
    let field = this.#fields.get(source.name);
    if (field === undefined) {
      field = new FieldReader([source]);
      this.#fields.set(source.name, field);
    }
    return field;
  }
}
