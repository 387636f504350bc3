// Peers at full load: messages are made once and numbered in place, so that the daemon is what is measured. Every record
// is one line that says which one it is.

import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { StreamAccessLogsMessage, streamPath } from '../support/als.ts';
import { exportPath, oracleBytes } from '../support/otlp.ts';

export type Load = {
  /** Bytes of messages that were handed to the connections, or answered with OK. */
  sentBytes(): number;
  /** Sends nothing more; resolves with how many records of each stream were taken over, numbered from 0. */
  finish(): Promise<readonly number[]>;
  destroy(): void;
};

const streamDigits = 3;
const numberDigits = 8;
const filler = '/x'.repeat(250);
const headBytes = 1 + streamDigits + 1 + numberDigits + 1;
/** Bytes of a line with its end. */
export const lineStop = headBytes + filler.length + 1;

/** A record as a line: `/001-00000042/x/x...`. */
export function lineOf(stream: number, number: number): Buffer {
  return Buffer.from(`${textOf(stream, number)}\n`);
}

function textOf(stream: number, number: number): string {
  const [first, second] = [digits(stream, streamDigits), digits(number, numberDigits)];
  return `/${first}-${second}-${filler}`;
}

const digits = (value: number, count: number): string => String(value).padStart(count, '0');

export function numberOf(bytes: Buffer, at: number): { stream: number; number: number } {
  const stream = Number(bytes.latin1Slice(at + 1, at + 1 + streamDigits));
  const start = at + 2 + streamDigits;
  return { stream, number: Number(bytes.latin1Slice(start, start + numberDigits)) };
}

/** As many as Envoy puts into a message by default: 16 KiB. */
const recordsPerMessage = 28;
/** As a Collector sends them: 240 KiB, so that the calls of one client are more than the budget. */
const recordsPerRequest = 440;

class Template {
  readonly #bytes: Buffer;
  readonly #places: number[] = [];

  /** `message`: one with the first so many lines of stream 0. */
  constructor(message: Uint8Array, records: number) {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    this.#bytes = Buffer.concat([prefix, message]);
    for (let i = 0; i < records; i++) {
      const place = this.#bytes.indexOf(textOf(0, i));
      if (place < 0) throw new Error('the template has other lines');
      this.#places.push(place);
    }
  }

  /** The framed message of a stream whose records begin with a number. */
  numbered(stream: number, first: number): Buffer {
    const bytes = Buffer.from(this.#bytes);
    let number = first;
    for (const place of this.#places) {
      bytes.latin1Write(digits(stream, streamDigits), place + 1);
      bytes.latin1Write(digits(number++, numberDigits), place + 2 + streamDigits);
    }
    return bytes;
  }
}

function headers(path: string): Record<string, string> {
  return { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
}

function session(port: number): ClientHttp2Session {
  // What is under way counts as memory of the session, too.
  const made = connect(`http://127.0.0.1:${port}`, { maxSessionMemory: 1024 });
  made.on('error', () => undefined);
  return made;
}

/** Resolves with grpc-status; `-1`: the stream ended without one. */
function statusOf(stream: ClientHttp2Stream): Promise<number> {
  return new Promise((resolve) => {
    let status = -1;
    const see = (found: { 'grpc-status'?: string | string[] | undefined }): void => {
      if (found['grpc-status'] !== undefined) status = Number(found['grpc-status']);
    };
    stream.on('response', see);
    stream.on('trailers', see);
    stream.on('error', () => undefined);
    stream.on('close', () => resolve(status));
    stream.resume();
  });
}

/** Access log streams of several proxies, on a connection each. */
export function alsLoad(port: number, streams: number): Load {
  const logEntry = Array.from({ length: recordsPerMessage }, (_, i) => {
    return { request: { path: textOf(0, i) } };
  });
  const identifier = { node: { id: 'sidecar~10.0.0.1~a.b~b', cluster: 'a' }, logName: 'load' };
  const make = (message: object): Template =>
    new Template(
      StreamAccessLogsMessage.encode(StreamAccessLogsMessage.fromObject(message)).finish(),
      recordsPerMessage,
    );
  const first = make({ identifier, httpLogs: { logEntry } });
  const further = make({ httpLogs: { logEntry } });
  const sessions: ClientHttp2Session[] = [];
  let bytes = 0;
  let stopping = false;
  const counts = Array.from({ length: streams }, async (_, stream) => {
    const connection = session(port);
    sessions.push(connection);
    const call = connection.request(headers(streamPath('v3')));
    const status = statusOf(call);
    let count = 0;
    while (!stopping) {
      const message = (count === 0 ? first : further).numbered(stream, count);
      count += recordsPerMessage;
      // The peer's window holds a writer back here.
      const full = !call.write(message, () => {
        bytes += message.length;
      });
      if (full) await new Promise((drained) => call.once('drain', drained));
      else await new Promise((round) => setImmediate(round));
    }
    call.end();
    if ((await status) !== 0) throw new Error('the stream was not ended with OK');
    return count;
  });
  return loadOf(
    counts,
    sessions,
    () => bytes,
    () => {
      stopping = true;
    },
  );
}

/** What the receiver asks a refused sender to wait. */
const retryMs = 1000;

/** Clients with many calls under way on two connections; what is refused for now is sent again. */
export function otlpLoad(port: number, calls: number): Load {
  const logRecords = Array.from({ length: recordsPerRequest }, (_, i) => {
    return { body: { stringValue: textOf(0, i) } };
  });
  const message = oracleBytes({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
  const template = new Template(message, recordsPerRequest);
  const sessions = [session(port), session(port)] as const;
  let bytes = 0;
  let stopping = false;
  const counts = Array.from({ length: calls }, async (_, stream) => {
    let count = 0;
    while (!stopping) {
      const message = template.numbered(stream, count);
      for (;;) {
        const call = sessions[stream % 2 === 0 ? 0 : 1].request(headers(exportPath));
        const answered = statusOf(call);
        call.end(message);
        const status = await answered;
        if (status === 0) break;
        if (status !== 14) throw new Error(`a call ended with ${status}`);
        await sleep(retryMs);
      }
      bytes += message.length;
      count += recordsPerRequest;
    }
    return count;
  });
  return loadOf(
    counts,
    sessions,
    () => bytes,
    () => {
      stopping = true;
    },
  );
}

/** What runs until `stop`: the calls that count what was accepted, and the connections that they are on. */
function loadOf(
  counts: readonly Promise<number>[],
  sessions: readonly ClientHttp2Session[],
  sentBytes: () => number,
  stop: () => void,
): Load {
  // Who destroys it instead of finishing does not want to hear how the calls ended.
  void Promise.allSettled(counts);
  return {
    sentBytes,
    finish: () => {
      stop();
      return Promise.all(counts);
    },
    destroy: () => {
      for (const connection of sessions) connection.destroy();
    },
  };
}
