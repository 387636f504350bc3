// StreamAccessLogsMessages into a batch: one row per entry.

import { Batch } from '../../pipeline/batch.ts';
import { buffers } from '../../pipeline/buffers.ts';
import { BYTES } from '../../pipeline/column.ts';
import { LENGTH_DELIMITED, ProtobufReader } from '../../pipeline/protobuf_reader.ts';
import type { Attributes } from '../../pipeline/record.ts';
import { EntryCells } from './entry_cells.ts';
import { EntryReader } from './entry_reader.ts';
import { readIdentifier } from './node.ts';

const identifierField = 1;
const httpField = 2;
const tcpField = 3;
const entryField = 1;

/** What stands in a message besides its entries. */
export type AlsHead = {
  /** Entries that can be told apart. */
  readonly entries: number;
  /** The bytes end in the middle of something, or are no such message. */
  readonly malformed: boolean;
  /** The first message of a stream says who speaks. */
  readonly identifier: Attributes | undefined;
};

/** Looks at a message without reading its entries. */
export function readHead(message: Uint8Array): AlsHead {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  const reader = new ProtobufReader(bytes);
  const logs = new ProtobufReader(bytes);
  let entries = 0;
  let malformed = false;
  let identifier: Attributes | undefined;
  while (reader.next()) {
    if (reader.wireType !== LENGTH_DELIMITED) continue;
    if (reader.field === identifierField) {
      identifier = readIdentifier(bytes, reader.start, reader.stop);
    } else if (reader.field === httpField || reader.field === tcpField) {
      logs.bad = false;
      logs.enter(reader.start, reader.stop);
      while (logs.next()) {
        if (logs.field === entryField && logs.wireType === LENGTH_DELIMITED) entries++;
      }
      malformed ||= logs.bad;
    }
  }
  return { entries, malformed: malformed || reader.bad, identifier };
}

/** Turns messages into batches. Keeps what it learns about keys and values from one batch to the next. */
export class AlsDecoder {
  /** Entries of the last batch that were malformed: their rows have `log.parse_error`, and their bytes as body. */
  malformed = 0;
  readonly #entries = new EntryReader();

  /** A batch of the entries of several messages, which have `rows` entries together. Copies the messages. */
  decode(messages: readonly Uint8Array[], rows: number): Batch {
    const length = messages.reduce((sum, message) => sum + message.length, 0);
    const bytes = buffers.take(Math.ceil(length * 1.4) + 4096);
    const batch = new Batch(bytes, length, rows);
    batch.source = 'als';
    let at = 0;
    for (const message of messages) {
      bytes.set(message, at);
      at += message.length;
    }
    const cells = new EntryCells(batch);
    this.malformed = 0;
    at = 0;
    for (const message of messages) {
      this.#append(cells, at, at + message.length);
      at += message.length;
    }
    cells.close();
    return batch;
  }

  /** Reads the entries of the message in bytes start..end into rows that are there, from `row` on. */
  readInto(cells: EntryCells, row: number, start: number, end: number): void {
    let next = row;
    eachEntry(cells, start, end, (isHttp, from, to) => {
      this.#read(cells, isHttp, next++, from, to);
    });
  }

  /** Appends the entries of the message in bytes start..end as rows, while the batch has room for rows. */
  #append(cells: EntryCells, start: number, end: number): void {
    const { batch } = cells;
    eachEntry(cells, start, end, (isHttp, from, to) => {
      if (batch.rows < batch.capacity) this.#read(cells, isHttp, batch.addRow(from, to), from, to);
    });
  }

  /** Reads the entry in bytes start..end into a row. */
  #read(cells: EntryCells, isHttp: boolean, row: number, start: number, end: number): void {
    const { batch } = cells;
    const whole = isHttp
      ? this.#entries.http(cells, row, start, end)
      : this.#entries.tcp(cells, row, start, end);
    if (whole) return;
    this.malformed++;
    batch.setValue(batch.ownColumn('log.parse_error'), row, 'als: malformed entry');
    batch.body ??= batch.recordColumn('body');
    batch.body.setSpan(row, BYTES, start, end);
  }
}

/** Calls `take` for each entry of the message in bytes start..end. One closure per message, none per entry. */
function eachEntry(
  { margin }: EntryCells,
  start: number,
  end: number,
  take: (isHttp: boolean, start: number, end: number) => void,
): void {
  const reader = new ProtobufReader(margin.bytes, start, end);
  const logs = new ProtobufReader(margin.bytes);
  while (reader.next()) {
    const { field } = reader;
    if (reader.wireType !== LENGTH_DELIMITED || (field !== httpField && field !== tcpField)) {
      continue;
    }
    logs.bad = false;
    logs.enter(reader.start, reader.stop);
    while (logs.next()) {
      if (logs.field === entryField && logs.wireType === LENGTH_DELIMITED) {
        take(field === httpField, logs.start, logs.stop);
      }
    }
  }
}
