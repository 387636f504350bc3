// Batches as OTLP/JSON documents, one a line: the format of the Collector's file exporter and otlpjsonfile receiver.

import type { Batch } from '../../pipeline/batch.ts';
import { OtlpEncoder } from './encode.ts';
import { toJson } from './json.ts';

/** A document must not outgrow what readers take as one line. */
const documentBytesMax = 1024 * 1024;

export class OtlpJsonLines {
  readonly #encoder: OtlpEncoder;

  constructor(version: string) {
    const bytesMax = documentBytesMax / 2;
    this.#encoder = new OtlpEncoder({ body: 'none', attributes: 'all', bytesMax, version });
  }

  /** The selected rows as documents, each with a newline behind it. */
  encode(batch: Batch): Buffer {
    const parts: Buffer[] = [];
    for (let from = 0; from < batch.count; ) {
      const request = this.#encoder.encode(batch, from);
      parts.push(toJson(request.bytes), newline);
      from = request.next;
      request.release();
    }
    return Buffer.concat(parts);
  }
}

const newline = Buffer.from('\n');
