// OTLP into batches: an ExportLogsServiceRequest becomes rows whose cells are spans of its bytes.

import { fieldOf, fieldOfKey } from '../../access_log/fields.ts';
import { Batch } from '../../pipeline/batch.ts';
import { buffers, slackBytes } from '../../pipeline/buffers.ts';
import type { Attributes } from '../../pipeline/record.ts';
import { AttributeCells } from './attribute_cells.ts';
import { LENGTH_DELIMITED, ProtobufReader } from './reader.ts';
import { ResourceFacts } from './resource.ts';
import { idBytes, Rows } from './rows.ts';
import { Scope } from './scope.ts';
import { viewOf } from './writer.ts';

export type Decoded = {
  /** Rows with text bodies, and rows without: what can be parsed as a line has to be told from what cannot. */
  readonly batches: readonly Batch[];
  /** Log records in the message. */
  readonly records: number;
  /** Of them, those that are malformed; no batch has them. */
  readonly rejected: number;
  /** Gives back the bytes. The batches must not be used afterwards. */
  release(): void;
};

const noFacts: Attributes = Object.freeze({});

/**
 * Reads requests. `accessLogs` says which records are access logs of Envoy: their attributes get the vocabulary's names
 * and types. Auto: those whose resource has the labels that Envoy adds.
 */
export class OtlpDecoder {
  readonly #accessLogs: 'auto' | 'always' | 'never';
  readonly #plain = new AttributeCells({ meaning: fieldOf, printed: false });
  readonly #printed = new AttributeCells({
    meaning: (key) => fieldOf(key) ?? fieldOfKey(key),
    printed: true,
  });
  readonly #resources = new ResourceFacts();

  constructor(accessLogs: 'auto' | 'always' | 'never') {
    this.#accessLogs = accessLogs;
  }

  /**
   * Undefined: the message is no ExportLogsServiceRequest. `own` is a buffer of the pool that begins with the message: the
   * decoder takes it over. Without it the message is copied.
   */
  decode(message: Uint8Array, observedMs: number, own?: Buffer): Decoded | undefined {
    const source = own ?? Buffer.from(message.buffer, message.byteOffset, message.length);
    const { length } = message;
    const records = countRecords(source, length);
    if (records <= 0) {
      if (own !== undefined) buffers.give(own);
      if (records < 0) return undefined;
      return { batches: [], records, rejected: 0, release: () => undefined };
    }
    const bytes = withRoom(source, length, { own, more: records * idBytes });
    const batch = new Batch(bytes, length, records);
    batch.observedMs = observedMs;
    const rows = new Rows(batch);
    const view = viewOf(bytes);
    this.#plain.begin(batch, view);
    this.#printed.begin(batch, view);
    this.#request(rows, length);
    this.#plain.end();
    this.#printed.end();
    const batches = rows.finish();
    return {
      batches,
      records,
      rejected: records - batch.rows,
      release: () => {
        for (const part of batches) if (part !== batch) part.release();
        batch.release();
      },
    };
  }

  #request(rows: Rows, length: number): void {
    const { bytes } = rows.batch;
    const request = new ProtobufReader(bytes, 0, length);
    const logs = new ProtobufReader(bytes);
    while (request.next()) {
      if (request.field !== 1) continue;
      const { start, stop } = request;
      let facts = noFacts;
      logs.enter(start, stop);
      while (logs.next()) {
        if (logs.field === 1) facts = this.#resources.of(bytes, logs.start, logs.stop) ?? facts;
      }
      const isEnvoy = this.#accessLogs === 'auto' && ResourceFacts.isEnvoy(facts);
      const cells = isEnvoy || this.#accessLogs === 'always' ? this.#printed : this.#plain;
      rows.resource(facts);
      logs.enter(start, stop);
      while (logs.next()) if (logs.field === 2) scopeRows(rows, cells, logs.start, logs.stop);
    }
  }
}

function scopeRows(rows: Rows, cells: AttributeCells, start: number, stop: number): void {
  const { bytes } = rows.batch;
  const reader = new ProtobufReader(bytes, start, stop);
  const scope = new Scope();
  while (reader.next()) if (reader.field === 1) scope.read(bytes, reader.start, reader.stop);
  reader.enter(start, stop);
  while (reader.next()) {
    if (reader.field !== 2) continue;
    const row = rows.batch.rows;
    if (rows.record(cells, reader.start, reader.stop)) scope.write(rows.batch, cells, row);
  }
}

/** The message in a buffer of the pool that has room for more. */
function withRoom(
  source: Buffer,
  length: number,
  { own, more }: { own: Buffer | undefined; more: number },
): Buffer {
  if (own !== undefined && own.length - slackBytes >= length + more) return own;
  const bytes = buffers.take(length + more);
  source.copy(bytes, 0, 0, length);
  if (own !== undefined) buffers.give(own);
  return bytes;
}

/** The log records of a request; -1 when it is malformed above them. */
function countRecords(bytes: Buffer, length: number): number {
  const request = new ProtobufReader(bytes, 0, length);
  const logs = new ProtobufReader(bytes);
  const scope = new ProtobufReader(bytes);
  let records = 0;
  while (request.next()) {
    if (request.field !== 1) continue;
    if (request.wireType !== LENGTH_DELIMITED) return -1;
    logs.enter(request.start, request.stop);
    while (logs.next()) {
      if (logs.field !== 2) continue;
      if (logs.wireType !== LENGTH_DELIMITED) return -1;
      scope.enter(logs.start, logs.stop);
      while (scope.next()) {
        if (scope.field !== 2) continue;
        if (scope.wireType !== LENGTH_DELIMITED) return -1;
        records++;
      }
    }
  }
  return request.bad || logs.bad || scope.bad ? -1 : records;
}
