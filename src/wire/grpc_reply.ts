// What a server answers to a gRPC call.

import { constants, type ServerHttp2Stream } from 'node:http2';
import type { GrpcReply } from './grpc_call.ts';

const okHeaders = {
  ':status': 200,
  'content-type': 'application/grpc',
  'grpc-accept-encoding': 'identity,gzip,deflate,zstd',
};

/** Ends a call. `ended`: the peer has sent everything that it wanted to. */
export function sendReply(stream: ServerHttp2Stream, reply: GrpcReply, ended: boolean): void {
  if (stream.destroyed || stream.closed) return;
  if (stream.headersSent) {
    // A handler has answered on its own before the peer had said everything.
    if (!ended) stream.close(constants.NGHTTP2_NO_ERROR);
    return;
  }
  if ('message' in reply) {
    const frame = Buffer.allocUnsafe(5 + reply.message.length);
    frame[0] = 0;
    frame.writeUInt32BE(reply.message.length, 1);
    reply.message.copy(frame, 5);
    stream.respond(okHeaders, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(frame);
    return;
  }
  const { code, details, status } = reply;
  stream.respond(
    {
      ...okHeaders,
      'grpc-status': String(code),
      'grpc-message': percentEncode(details),
      ...(status === undefined ? {} : { 'grpc-status-details-bin': status.toString('base64') }),
    },
    { endStream: true },
  );
  if (ended) return;
  // The peer may stop sending: it has its answer.
  stream.resume();
  setImmediate(() => {
    if (!stream.closed) stream.close(constants.NGHTTP2_NO_ERROR);
  });
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
