// OTLP into batches: the records of ExportLogsServiceRequests become rows whose cells are spans of their bytes.

import { fieldOf, fieldOfKey } from '../../access_log/fields.ts';
import { Batch } from '../../pipeline/batch.ts';
import type { Undecoded } from '../../pipeline/batch_fields.ts';
import { buffers, slackBytes, viewOf } from '../../pipeline/buffers.ts';
import { LENGTH_DELIMITED, ProtobufReader } from '../../pipeline/protobuf_reader.ts';
import type { Attributes } from '../../pipeline/record.ts';
import { AttributeCells } from './attribute_cells.ts';
import { AttributeKeys } from './attribute_keys.ts';
import { Passable } from './passable.ts';
import { ResourceFacts } from './resource.ts';
import { idBytes, Rows } from './rows.ts';
import { ScopeFacts } from './scope.ts';

/** A message as it came in. */
export type Received = {
  readonly message: Uint8Array;
  /** A buffer of the pool that begins with the message: the decoder takes it over. */
  readonly own?: Buffer | undefined;
};

/** What became of one message. */
export type Reading = {
  /** Its log records; -1: it is no ExportLogsServiceRequest. */
  readonly records: number;
  /** Of them, those that are malformed; no batch has them. */
  readonly rejected: number;
};

export type Decoded = {
  /** Rows with text bodies, and rows without: what can be parsed as a line has to be told from what cannot. */
  readonly batches: readonly Batch[];
  /** In the order of the messages. */
  readonly readings: readonly Reading[];
  /** Gives back the bytes. The batches must not be used afterwards. */
  release(): void;
};

/** Where nearly every batch has a record that is decoded, one in 64 is looked through to see whether that goes on. */
const missesMax = 6;
const noFacts: Attributes = Object.freeze({});
const nothing = Buffer.alloc(0);

/**
 * Reads requests. `accessLogs` says which records are access logs of Envoy: their attributes get the vocabulary's names
 * and types. Auto: those whose resource has the labels that Envoy adds.
 */
export class OtlpDecoder {
  readonly #accessLogs: 'auto' | 'always' | 'never';
  readonly #keys = new AttributeKeys(fieldOf);
  readonly #plain = new AttributeCells({ keys: this.#keys, printed: false });
  readonly #printed = new AttributeCells({
    keys: new AttributeKeys((key) => fieldOf(key) ?? fieldOfKey(key)),
    printed: true,
  });
  readonly #passable = new Passable(this.#keys);
  readonly #resources = new ResourceFacts();
  readonly #scopes = new ScopeFacts();
  /** For requests, what a resource logged, and what a scope did. */
  readonly #request = new ProtobufReader(nothing);
  readonly #logs = new ProtobufReader(nothing);
  readonly #scope = new ProtobufReader(nothing);
  /** Batches in a row that could not be left undecoded, and how many are not looked through for that. */
  #misses = 0;
  #skips = 0;

  constructor(accessLogs: 'auto' | 'always' | 'never') {
    this.#accessLogs = accessLogs;
  }

  /** The records of all messages together. What is malformed is left out, and nothing else of its message. */
  decode(messages: readonly Received[], observedMs: number): Decoded {
    const counts = messages.map(({ message }) => this.#count(bufferOf(message)));
    const records = counts.reduce((sum, count) => sum + Math.max(0, count), 0);
    const { bytes, ends } = gathered(messages, counts, records * idBytes);
    const batch = new Batch(bytes, ends.at(-1) ?? 0, records);
    batch.observedMs = observedMs;
    this.#scopes.begin();
    const rows = new Rows(batch, batch.length);
    const left = this.#leave(rows, ends);
    const taken = left ?? this.#read(rows, ends);
    this.#turn(nothing);
    const batches = rows.finish();
    if (left !== undefined) this.#leaveColumns(rows);
    return {
      batches,
      readings: counts.map((count, i) => {
        return { records: count, rejected: Math.max(0, count) - taken[i]! };
      }),
      release: () => {
        for (const part of batches) if (part !== batch) part.release();
        batch.release();
      },
    };
  }

  /**
   * Rows for the records of all requests, with nothing of them decoded, and how many each has. Undefined: some record is
   * none that may be left so, and there are no rows.
   */
  #leave(rows: Rows, ends: readonly number[]): number[] | undefined {
    if (this.#skips > 0) {
      this.#skips--;
      return undefined;
    }
    const { batch } = rows;
    const view = viewOf(batch.bytes);
    const passable = this.#passable;
    passable.begin(batch.bytes, view);
    const taken: number[] = [];
    for (let i = 0; i < ends.length; i++) {
      const before = batch.rows;
      if (!this.#records(rows, view, ends[i - 1] ?? 0, ends[i]!, passable)) {
        rows.clear();
        this.#misses = Math.min(this.#misses + 1, missesMax);
        this.#skips = 2 ** this.#misses - 1;
        return undefined;
      }
      taken.push(batch.rows - before);
    }
    this.#misses = 0;
    return taken;
  }

  #leaveColumns({ batch, starts, ends, observed }: Rows): void {
    const { columns, idTextBytes } = this.#passable;
    const sourceLength = batch.length;
    batch.claimUtf8();
    batch.leaveUndecoded({ fill: this.#fill, starts, ends, observed, sourceLength, columns });
    batch.length += idTextBytes;
  }

  readonly #fill = (batch: Batch, { sourceLength, starts, ends }: Undecoded<Batch>): void => {
    const rows = new Rows(batch, sourceLength);
    // Several batches put together may have more columns than one.
    this.#plain.begin(batch, Number.POSITIVE_INFINITY);
    for (let row = 0; row < batch.rows; row++) {
      rows.fill(this.#plain, row, starts[row]!, ends[row]!);
    }
    this.#plain.end();
  };

  /** Rows for the records of all requests, and how many of each are well-formed. */
  #read(rows: Rows, ends: readonly number[]): number[] {
    const { batch } = rows;
    const view = viewOf(batch.bytes);
    this.#plain.begin(batch);
    this.#printed.begin(batch);
    const taken = ends.map((end, i) => {
      const before = batch.rows;
      this.#records(rows, view, ends[i - 1] ?? 0, end, undefined);
      return batch.rows - before;
    });
    this.#plain.end();
    this.#printed.end();
    return taken;
  }

  #turn(bytes: Buffer): void {
    this.#request.turn(bytes);
    this.#logs.turn(bytes);
    this.#scope.turn(bytes);
  }

  /** The log records of a request; -1 when it is malformed above them. */
  #count(bytes: Buffer): number {
    this.#turn(bytes);
    const request = this.#request;
    const logs = this.#logs;
    const scope = this.#scope;
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

  /** The records of the request in bytes from..to, which `view` shows too. False: one is not passable. */
  #records(
    rows: Rows,
    view: DataView,
    from: number,
    to: number,
    passable: Passable | undefined,
  ): boolean {
    const { bytes } = rows.batch;
    this.#turn(bytes);
    const request = this.#request;
    const logs = this.#logs;
    request.enter(from, to);
    while (request.next()) {
      if (request.field !== 1) continue;
      const { start, stop } = request;
      let facts = noFacts;
      logs.enter(start, stop);
      while (logs.next()) {
        if (logs.field !== 1) continue;
        facts = this.#resources.of(bytes, view, logs.start, logs.stop) ?? facts;
      }
      const isEnvoy = this.#accessLogs === 'auto' && ResourceFacts.isEnvoy(facts);
      const isPrinted = isEnvoy || this.#accessLogs === 'always';
      if (isPrinted && passable !== undefined) return false;
      const cells = isPrinted ? this.#printed : this.#plain;
      logs.enter(start, stop);
      while (logs.next()) {
        if (logs.field !== 2) continue;
        rows.resource(this.#factsOf(facts, bytes, view, passable === undefined));
        if (passable === undefined) scopeRows(rows, cells, logs.start, logs.stop);
        else if (!passable.scope(rows, logs.start, logs.stop)) return false;
      }
    }
    return true;
  }

  /** The facts of a resource with those of the scope whose logs stand where `#logs` is, `wherever` it says its own. */
  #factsOf(resource: Attributes, bytes: Buffer, view: DataView, wherever: boolean): Attributes {
    const logs = this.#logs;
    const scope = this.#scope;
    scope.enter(logs.start, logs.stop);
    let facts = resource;
    while (scope.next() && (wherever || scope.field !== 2)) {
      if (scope.field !== 1 || scope.wireType !== LENGTH_DELIMITED) continue;
      facts = this.#scopes.with(resource, bytes, view, scope.start, scope.stop);
    }
    return facts;
  }
}

function scopeRows(rows: Rows, cells: AttributeCells, start: number, stop: number): void {
  const { bytes } = rows.batch;
  const reader = new ProtobufReader(bytes, start, stop);
  while (reader.next()) if (reader.field === 2) rows.record(cells, reader.start, reader.stop);
}

/**
 * The messages that are requests one after the other in a buffer of the pool with room for `more` bytes, and where each
 * ends. One alone stays where it is if that has room.
 */
function gathered(
  messages: readonly Received[],
  counts: readonly number[],
  more: number,
): { readonly bytes: Buffer; readonly ends: readonly number[] } {
  let length = 0;
  const ends = messages.map(({ message }, i) => {
    if (counts[i]! > 0) length += message.length;
    return length;
  });
  const [first] = messages;
  const own = messages.length === 1 && length > 0 ? first?.own : undefined;
  if (own !== undefined && own.length - slackBytes >= length + more) return { bytes: own, ends };
  const bytes = buffers.take(length + more);
  for (let i = 0; i < messages.length; i++) {
    const { message, own: given } = messages[i]!;
    if (counts[i]! > 0) bytes.set(message, ends[i]! - message.length);
    if (given !== undefined) buffers.give(given);
  }
  return { bytes, ends };
}

const bufferOf = (message: Uint8Array): Buffer =>
  Buffer.isBuffer(message)
    ? message
    : Buffer.from(message.buffer, message.byteOffset, message.length);
