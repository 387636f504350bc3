// A proxy that streams access logs: each message in a stream of its own, as a mesh of several proxies sends them.

import * as grpc from '@grpc/grpc-js';
import { messageBytes } from '../../src/encoding/als/from_json.ts';
import { streamMessage } from '../../src/encoding/als/schema.ts';

const path = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
const same = (bytes: Buffer): Buffer => bytes;

/** Sends messages in proto-JSON; resolves when the server has taken the last of them and ended the stream. */
export async function streamAccessLogs(port: number, messages: readonly string[]): Promise<void> {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  try {
    for (const message of messages) {
      const bytes = messageBytes(JSON.parse(message) as Record<string, unknown>, streamMessage);
      await new Promise<void>((done, failed) => {
        const call = client.makeClientStreamRequest(path, same, same, (error) => {
          if (error === null) done();
          else failed(error);
        });
        call.end(bytes);
      });
    }
  } finally {
    client.close();
  }
}
