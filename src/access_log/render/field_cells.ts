// The cells that hold a field in the batch at hand, and their text. Facts of the stream stand in for columns.

import type { Batch } from '../../pipeline/batch.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import { textOf } from '../../pipeline/cell_values.ts';
import {
  ABSENT,
  CODE,
  type Column,
  DOUBLE,
  FALSE,
  INT,
  NESTED,
  NUMBER,
  TEXT,
  TRUE,
} from '../../pipeline/column.ts';
import type { AnyValue } from '../../pipeline/record.ts';
import { escapeJson, type Out } from './out.ts';

/** Resource attributes that say what a field says. */
const resourceNames: Readonly<Record<string, string>> = {
  'mesh.name': 'kuma.mesh',
  'mesh.zone': 'kuma.zone',
  'mesh.source.workload': 'kuma.workload',
  'node.host_name': 'host.name',
};

/** One field in the batch that was begun last. */
export class FieldCells {
  readonly name: string;
  readonly #resourceName: string | undefined;
  #batch!: Batch;
  #view!: DataView;
  #column: Column | undefined;
  #utf8 = false;
  #fact: AnyValue | undefined;

  constructor(name: string) {
    this.name = name;
    this.#resourceName = resourceNames[name];
  }

  begin(batch: Batch): void {
    this.#batch = batch;
    this.#view = viewOf(batch.bytes);
    this.#column = batch.column(this.name);
    this.#utf8 = batch.isUtf8;
    this.#fact = batch.attributes[this.name] ?? undefined;
  }

  /** Whether no row of the batch has it. */
  isMissing(): boolean {
    return (
      this.#column === undefined && this.#fact === undefined && this.#resourceName === undefined
    );
  }

  has(row: number): boolean {
    const column = this.#column;
    if (column !== undefined && column.kind[row] !== ABSENT) return true;
    return this.#factOf(row) !== undefined;
  }

  /** Writes the text of the row's value; false and nothing when it has none. */
  write(row: number, out: Out): boolean {
    const column = this.#column;
    const kind = column === undefined ? ABSENT : column.kind[row]!;
    if (kind === TEXT || kind === NUMBER || kind === NESTED) {
      out.span(this.#batch.bytes, this.#view, column!.a[row]!, column!.b[row]!);
      return true;
    }
    if (kind === ABSENT) {
      const fact = this.#factOf(row);
      if (fact !== undefined) out.text(textOf(fact));
      return fact !== undefined;
    }
    this.#writeOther(column!, kind, row, out);
    return true;
  }

  #writeOther(column: Column, kind: number, row: number, out: Out): void {
    if (kind === CODE) {
      out.put(textOfCode(column, row));
    } else if (kind === INT && column.b[row]! >= 0 && column.b[row]! < 0x200000) {
      out.digits(column.intAt(row));
    } else if (kind === TRUE || kind === FALSE) out.text(kind === TRUE ? 'true' : 'false');
    else if (kind === DOUBLE) out.text(String(column.doubleAt(row)));
    else out.text(this.#batch.text(column, row) ?? '');
  }

  /** Writes the value as a JSON string; false and nothing when the row has none. */
  writeJson(row: number, out: Out): boolean {
    const column = this.#column;
    if (column !== undefined && column.kind[row] === TEXT && this.#utf8) {
      out.jsonSpan(this.#batch.bytes, this.#view, column.a[row]!, column.b[row]!);
      return true;
    }
    const from = out.at;
    out.byte(34);
    if (!this.write(row, out)) {
      out.at = from;
      return false;
    }
    escapeJson(out, from + 1);
    out.byte(34);
    return true;
  }

  /** The number of the row; NaN when it has none. */
  number(row: number): number {
    const column = this.#column;
    if (column !== undefined && column.kind[row] !== ABSENT) return this.#batch.number(column, row);
    const fact = this.#factOf(row);
    return typeof fact === 'number' || typeof fact === 'bigint' ? Number(fact) : Number.NaN;
  }

  value(row: number): AnyValue | undefined {
    const column = this.#column;
    if (column !== undefined && column.kind[row] !== ABSENT) return this.#batch.value(column, row);
    return this.#factOf(row);
  }

  text(row: number): string | undefined {
    const value = this.value(row);
    return value === undefined || value === null ? undefined : textOf(value);
  }

  /** The kind of the cell, and the column that has it. */
  kind(row: number): number {
    return this.#column?.kind[row] ?? ABSENT;
  }

  column(): Column | undefined {
    return this.#column;
  }

  #factOf(row: number): AnyValue | undefined {
    if (this.#fact !== undefined) return this.#fact;
    if (this.#resourceName === undefined) return undefined;
    const batch = this.#batch;
    return batch.resources[batch.resourceOf?.[row] ?? 0]?.[this.#resourceName] ?? undefined;
  }
}

/** The text of a coded value, made once per value. */
function textOfCode(column: Column, row: number): Buffer {
  const dictionary = column.dictionary!;
  let texts = dictionary.encoded.get('text');
  if (texts === undefined) {
    texts = [];
    dictionary.encoded.set('text', texts);
  }
  const code = column.a[row]!;
  let text = texts[code];
  if (text === undefined) {
    text = Buffer.from(textOf(dictionary.values[code] ?? ''));
    texts[code] = text;
  }
  return text;
}
