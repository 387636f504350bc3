// The rows of a batch as lines of a format: what a proxy with that format would have written.

import type { Format } from '../access_log/format/format.ts';
import { compileRenderer, type Renderer } from '../access_log/renderer.ts';
import type { Batch } from '../pipeline/batch.ts';
import { ABSENT } from '../pipeline/column.ts';
import { ByteWriter } from './byte_writer.ts';

const newline = 10;

/** Turns the selected rows into lines. One instance per exporter; not for use by two callers at once. */
export class RenderedLineEncoder {
  readonly #renderer: Renderer;
  readonly #out = new ByteWriter();

  constructor(format: Format) {
    this.#renderer = compileRenderer(format);
  }

  /**
   * One line per row. A row that nothing has understood has no field to print, only its line, which is written as it
   * is: a line of dashes would lose it. The bytes are valid until the next call.
   */
  encode(batch: Batch): Buffer {
    const out = this.#out;
    const failed = batch.column('log.parse_error')?.kind;
    const unparsed = batch.source === 'line' && batch.body === undefined;
    out.reset();
    this.#renderer.begin(batch);
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      const raw = unparsed || (failed !== undefined && failed[row] !== ABSENT);
      if (raw && batch.source === 'line') this.#putLine(batch, row);
      else this.#renderer.render(row, out);
    }
    return out.bytes();
  }

  #putLine(batch: Batch, row: number): void {
    this.#out.put(batch.bytes.subarray(batch.rowStart[row]!, batch.rowEnd[row]!));
    this.#out.byte(newline);
  }
}
