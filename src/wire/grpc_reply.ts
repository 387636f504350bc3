// What a server answers to a gRPC call.

import type { GrpcReply, GrpcStatus } from './grpc_call.ts';
import {
  errorCode,
  flag,
  frameHeadBytes,
  frameType,
  headerBlock,
  writeHead,
} from './http2/frames.ts';
import type { PreparedAnswer, Stream } from './http2/stream.ts';

const headers = {
  ':status': '200',
  'content-type': 'application/grpc',
  'grpc-accept-encoding': 'identity,gzip,deflate,zstd',
};
const headersBlock = headerBlock(headers);
const okBlock = headerBlock({ 'grpc-status': '0' });
const prefixBytes = 5;

/** OK with a message of no bytes, which most calls are answered with. */
const empty = emptyAnswer();

/** Ends a call. `ended`: the peer has sent everything that it wanted to. */
export function sendReply(stream: Stream, reply: GrpcReply, ended: boolean): void {
  if (stream.isOver) {
    // A handler has answered on its own before the peer had said everything.
    if (!ended) stream.reset(errorCode.NO_ERROR);
    return;
  }
  if ('message' in reply) {
    if (reply.message.length === 0 && !stream.headersSent && stream.answer(empty)) return;
    beginReply(stream);
    sendMessage(stream, reply.message);
    endReply(stream);
    return;
  }
  const { code, details, status } = reply;
  const said = {
    'grpc-status': String(code),
    'grpc-message': percentEncode(details),
    ...(status === undefined ? {} : { 'grpc-status-details-bin': status.toString('base64') }),
  };
  if (stream.headersSent) stream.end(headerBlock(said));
  else stream.respond(headerBlock({ ...headers, ...said }), true);
  // The peer may stop sending: it has its answer.
  if (!ended) stream.reset(errorCode.NO_ERROR);
}

/** The beginning of a reply of messages. */
export function beginReply(stream: Stream): void {
  if (!stream.headersSent) stream.respond(headersBlock, false);
}

export function sendMessage(stream: Stream, message: Buffer): void {
  const frame = Buffer.allocUnsafe(prefixBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, prefixBytes);
  stream.write(frame);
}

/** Ends a reply that was begun; without a status: OK. */
export function endReply(stream: Stream, status?: GrpcStatus): void {
  if (status === undefined) return stream.end(okBlock);
  const { code, details } = status;
  stream.end(headerBlock({ 'grpc-status': String(code), 'grpc-message': percentEncode(details) }));
}

/** An answer of HTTP to what is no gRPC. */
export function sendHttpStatus(stream: Stream, status: number, ended: boolean): void {
  stream.respond(headerBlock({ ':status': String(status) }), true);
  if (!ended) stream.reset(errorCode.NO_ERROR);
}

function emptyAnswer(): PreparedAnswer {
  const sizes = [headersBlock.length, prefixBytes, okBlock.length];
  const frames = Buffer.alloc(sizes.reduce((sum, size) => sum + frameHeadBytes + size, 0));
  const streamAt: number[] = [];
  let at = 0;
  const put = (type: number, flags: number, payload: Buffer): void => {
    writeHead(frames, at, { type, flags, stream: 0, length: payload.length });
    streamAt.push(at + frameHeadBytes - 4);
    payload.copy(frames, at + frameHeadBytes);
    at += frameHeadBytes + payload.length;
  };
  put(frameType.HEADERS, flag.END_HEADERS, headersBlock);
  put(frameType.DATA, 0, Buffer.alloc(prefixBytes));
  put(frameType.HEADERS, flag.END_HEADERS | flag.END_STREAM, okBlock);
  return { frames, streamAt, dataBytes: prefixBytes };
}

/** grpc-message: printable ASCII but for `%`, the rest as UTF-8 in percent signs. */
function percentEncode(text: string): string {
  const bytes = Buffer.from(text.slice(0, 1024));
  let encoded = '';
  for (const byte of bytes) {
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
