// A piece of a file into a batch.

import { ContainerLines } from '../../encoding/container_lines.ts';
import type { LineLimit, Lines } from '../../encoding/lines.ts';
import { Batch } from '../../pipeline/batch.ts';
import type { Context } from '../../pipeline/component.ts';
import type { Counters } from './counters.ts';
import { attributesOfPath, resourceOfPath } from './facts.ts';
import type { Settings } from './settings.ts';
import type { Tailed } from './tailed.ts';

export class BatchMaker {
  readonly limit: LineLimit;
  readonly #settings: Settings;
  readonly #context: Context;
  readonly #counters: Counters;

  constructor(settings: Settings, context: Context, counters: Counters) {
    this.#settings = settings;
    this.#context = context;
    this.#counters = counters;
    this.limit = { bytesMax: settings.line_bytes_max, tooLong: settings.line_too_long };
  }

  /** A batch of `lines`, found in bytes[0, length) that begin at `offset` of the file. Takes over `bytes`. */
  make(file: Tailed, lines: Lines, bytes: Buffer, length: number, offset: number): Batch {
    this.#count(lines.truncated, lines.dropped);
    const { framing } = this.#settings;
    if (framing === 'line') return this.#finish(file, plainBatch(lines, bytes, length), offset);
    file.container ??= new ContainerLines(framing, this.limit);
    const nowMs = this.#context.now();
    const batch = file.container.read({ lines, bytes, length, offset, nowMs });
    this.#count(file.container.truncated, file.container.dropped);
    this.#counters.unframed.add(file.container.unframed);
    return this.#finish(file, batch, offset);
  }

  /** A batch of what is unfinished in the framing of a file and will hardly be continued. */
  flush(file: Tailed, all: boolean): Batch | undefined {
    const batch = file.container?.flush(this.#context.now(), all);
    return batch === undefined ? undefined : this.#finish(file, batch, 0);
  }

  #count(truncated: number, dropped: number): void {
    if (truncated > 0) this.#counters.truncatedLines.add(truncated);
    if (dropped > 0) this.#context.drop('line_too_long', dropped);
  }

  #finish(file: Tailed, batch: Batch, offset: number): Batch {
    const { settings, context } = { settings: this.#settings, context: this.#context };
    file.facts ??= {
      attributes: { ...attributesOfPath(file.path, settings), ...settings.attributes },
      resource: { ...resourceOfPath(file.path), ...settings.resource },
    };
    batch.attributes = file.facts.attributes;
    batch.resource = file.facts.resource;
    batch.observedMs = context.now();
    if (settings.include_offset) addOffsets(file, batch, offset);
    return batch;
  }
}

function plainBatch(lines: Lines, bytes: Buffer, length: number): Batch {
  const { count } = lines;
  const batch = new Batch(bytes, length, count);
  batch.rowStart.set(lines.start.subarray(0, count));
  batch.rowEnd.set(lines.end.subarray(0, count));
  for (let row = 0; row < count; row++) batch.selection[row] = row;
  batch.rows = count;
  batch.count = count;
  return batch;
}

/** Where each record begins in the file, and file and place as one name. */
function addOffsets(file: Tailed, batch: Batch, offset: number): void {
  const places = batch.addColumn('log.record.offset');
  const ids = batch.addColumn('log.record.id');
  const framed = file.container?.offsets;
  for (let row = 0; row < batch.rows; row++) {
    const place = framed?.[row] ?? offset + (batch.rowStart[row] ?? 0);
    places.setInt(row, place);
    batch.setValue(ids, row, `${file.id}:${place}`);
  }
}
