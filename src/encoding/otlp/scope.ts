// The instrumentation scope of some records: it is in the bytes of the batch, and so are the cells that show it.

import type { Batch } from '../../pipeline/batch.ts';
import { type Column, TEXT } from '../../pipeline/column.ts';
import { LENGTH_DELIMITED, ProtobufReader } from '../../pipeline/protobuf_reader.ts';
import type { AttributeCells } from './attribute_cells.ts';

/** Every record gets these: more would let a small message grow without end. */
const attributesMax = 64;

/** Reads the scope, then writes it to each of its records. */
export class Scope {
  #name: readonly [start: number, stop: number] | undefined;
  #version: readonly [start: number, stop: number] | undefined;
  readonly #attributes: (readonly [start: number, stop: number])[] = [];

  read(bytes: Buffer, start: number, stop: number): void {
    const reader = new ProtobufReader(bytes, start, stop);
    while (reader.next()) {
      if (reader.wireType !== LENGTH_DELIMITED || reader.start === reader.stop) continue;
      const span = [reader.start, reader.stop] as const;
      if (reader.field === 1) this.#name = span;
      else if (reader.field === 2) this.#version = span;
      else if (reader.field === 3 && this.#attributes.length < attributesMax) {
        this.#attributes.push(span);
      }
    }
    // Our own name says nothing that the record does not.
    if (this.#name !== undefined && bytes.utf8Slice(...this.#name) === 'meshlog') {
      this.#name = undefined;
      this.#version = undefined;
    }
  }

  /** Whether its records show nothing of it. */
  get isSilent(): boolean {
    return this.#name === undefined && this.#version === undefined && this.#attributes.length === 0;
  }

  write(batch: Batch, cells: AttributeCells, row: number): void {
    if (this.#name !== undefined) {
      columnOf(batch, 'otel.scope.name').setSpan(row, TEXT, ...this.#name);
    }
    if (this.#version !== undefined) {
      columnOf(batch, 'otel.scope.version').setSpan(row, TEXT, ...this.#version);
    }
    for (const [start, stop] of this.#attributes) cells.put(row, start, stop);
  }
}

/** The column of a name, made when missing. */
export const columnOf = (batch: Batch, name: string): Column =>
  batch.column(name) ?? batch.addColumn(name);
