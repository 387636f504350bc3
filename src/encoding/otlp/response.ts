// What OTLP peers answer: partial success, and google.rpc.Status with the peer's wish when to try again.

import { LENGTH_DELIMITED, ProtobufReader, VARINT } from '../../pipeline/protobuf_reader.ts';
import { encodeOnce } from './cell.ts';

const nothing = Buffer.alloc(0);

/** Records that the peer took no responsibility for, and why. */
export type PartialSuccess = { readonly rejected: number; readonly message: string };

/** Reads ExportLogsServiceResponse. Undefined when everything was accepted without a word. */
export function readPartialSuccess(bytes: Uint8Array): PartialSuccess | undefined {
  if (bytes.length === 0) return undefined;
  const reader = readerOf(bytes);
  let rejected = 0;
  let message = '';
  while (reader.next()) {
    if (reader.field !== 1 || reader.wireType !== LENGTH_DELIMITED) continue;
    const partial = new ProtobufReader(reader.bytes, reader.start, reader.stop);
    while (partial.next()) {
      if (partial.field === 1 && partial.wireType === VARINT) rejected = Math.max(0, partial.int);
      else if (partial.field === 2) message = textOf(partial);
    }
  }
  return rejected === 0 && message === '' ? undefined : { rejected, message };
}

/** ExportLogsServiceResponse; without a partial success it is empty. */
export function putPartialSuccess(partial: PartialSuccess | undefined): Buffer {
  if (partial === undefined) return nothing;
  return encodeOnce((out) => {
    out.byte(0x0a);
    const mark = out.open(1);
    out.byte(0x08);
    out.varint64(partial.rejected | 0, Math.floor(partial.rejected / 4294967296));
    out.byte(0x12);
    out.string(partial.message);
    out.close(mark, 1);
  });
}

export type Status = {
  readonly code: number;
  readonly message: string;
  /** From RetryInfo, in milliseconds. */
  readonly retryAfterMs: number | undefined;
};

const retryInfo = 'type.googleapis.com/google.rpc.RetryInfo';

/** Reads google.rpc.Status. */
export function readStatus(bytes: Uint8Array): Status {
  const reader = readerOf(bytes);
  let code = 0;
  let message = '';
  let retryAfterMs: number | undefined;
  while (reader.next()) {
    if (reader.field === 1 && reader.wireType === VARINT) code = reader.int;
    else if (reader.field === 2) message = textOf(reader);
    else if (reader.field === 3 && reader.wireType === LENGTH_DELIMITED) {
      retryAfterMs = readRetryInfo(reader) ?? retryAfterMs;
    }
  }
  return { code, message, retryAfterMs };
}

/** google.rpc.Status, with RetryInfo when the peer shall wait. */
export function putStatus(status: Status): Buffer {
  return encodeOnce((out) => {
    out.byte(0x08);
    out.varint(status.code);
    out.byte(0x12);
    out.string(status.message);
    if (status.retryAfterMs === undefined) return;
    const seconds = Math.floor(status.retryAfterMs / 1000);
    out.byte(0x1a);
    const any = out.open(1);
    out.byte(0x0a);
    out.string(retryInfo);
    out.byte(0x12);
    const info = out.open(1);
    out.byte(0x0a);
    const delay = out.open(1);
    out.byte(0x08);
    out.varint(seconds);
    out.byte(0x10);
    out.varint(Math.round((status.retryAfterMs - seconds * 1000) * 1e6));
    out.close(delay, 1);
    out.close(info, 1);
    out.close(any, 1);
  });
}

function readRetryInfo(detail: ProtobufReader): number | undefined {
  const any = new ProtobufReader(detail.bytes, detail.start, detail.stop);
  let type = '';
  let seconds = 0;
  let nanos = 0;
  while (any.next()) {
    if (any.field === 1) type = textOf(any);
    if (any.field !== 2 || any.wireType !== LENGTH_DELIMITED) continue;
    const info = new ProtobufReader(any.bytes, any.start, any.stop);
    while (info.next()) {
      if (info.field !== 1 || info.wireType !== LENGTH_DELIMITED) continue;
      const delay = new ProtobufReader(info.bytes, info.start, info.stop);
      while (delay.next()) {
        if (delay.field === 1 && delay.wireType === VARINT) seconds = delay.int;
        else if (delay.field === 2 && delay.wireType === VARINT) nanos = delay.int;
      }
    }
  }
  if (!type.endsWith('google.rpc.RetryInfo')) return undefined;
  return Math.max(0, seconds * 1000 + nanos / 1e6);
}

const textOf = (reader: ProtobufReader): string =>
  reader.wireType === LENGTH_DELIMITED ? reader.bytes.utf8Slice(reader.start, reader.stop) : '';

const readerOf = (bytes: Uint8Array): ProtobufReader =>
  new ProtobufReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
