// Proxies that send over gRPC, as a process of their own, so that their work is not the daemon's.

import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { fileURLToPath } from 'node:url';
import type { Entry } from '../src/receivers/demo/mesh.ts';
import { type Form, messagesOf } from './messages.ts';

const self = fileURLToPath(import.meta.url);
const alsPath = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
const otlpPath = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';
/** Unary calls under way at once on a connection. */
const callsMax = 8;

/** Sends the entries again and again until it has sent `records`, each time it runs. */
export class Sender {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** `file` is where the messages are put for the process that sends them to `port`. */
  static prepare(form: Form, entries: readonly Entry[], options: SenderOptions): Sender {
    const { file, port, records, connections } = options;
    const left = records % entries.length;
    const whole = messagesOf(form, entries).map(framed);
    const rest = messagesOf(form, entries.slice(0, left)).map(framed);
    writeFileSync(file, Buffer.concat([...whole, ...rest]));
    const rounds = Math.floor(records / entries.length);
    const args = [form, file, port, rounds, whole.length, connections];
    return new Sender(fork(self, args.map(String)));
  }

  /** Resolves when all was sent and, for unary calls, answered with OK. */
  async run(): Promise<void> {
    const child = this.#child;
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', (code) => reject(new Error(`the sender ended with ${code}`)));
      child.send('go');
    });
    child.removeAllListeners('exit');
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}

export type SenderOptions = {
  readonly file: string;
  readonly port: number;
  readonly records: number;
  /** Of senders of unary calls. */
  readonly connections: number;
};

function framed(message: Buffer): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, 5);
  return frame;
}

/** The framed messages, `rounds` times the first `count` of the file, then the others. */
function* sequence(file: string, rounds: number, count: number): Generator<Buffer> {
  const bytes = readFileSync(file);
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += messages.at(-1)?.length ?? 0) {
    messages.push(bytes.subarray(at, at + 5 + bytes.readUInt32BE(at + 1)));
  }
  for (let round = 0; round < rounds; round++) yield* messages.slice(0, count);
  yield* messages.slice(count);
}

const headers = (path: string) => ({
  ':method': 'POST',
  ':path': path,
  'content-type': 'application/grpc',
  te: 'trailers',
});

/** One stream, as fast as the receiver's window allows. */
async function stream(session: ClientHttp2Session, messages: Iterable<Buffer>): Promise<void> {
  const request = session.request(headers(alsPath));
  request.resume();
  for (const message of messages) {
    if (!request.write(message)) await new Promise((done) => request.once('drain', done));
  }
  await new Promise<void>((done) => {
    request.once('close', done);
    request.end();
  });
}

async function calls(session: ClientHttp2Session, messages: Iterator<Buffer>): Promise<void> {
  for (let next = messages.next(); !next.done; next = messages.next()) {
    await new Promise<void>((done, failed) => {
      const request = session.request(headers(otlpPath));
      let status: unknown;
      request.on('trailers', (trailers) => {
        status = trailers['grpc-status'];
      });
      request.on('close', () => {
        if (status === '0') done();
        else failed(new Error(`a call was answered with ${status}`));
      });
      request.resume();
      request.end(next.value);
    });
  }
}

async function send([form, file, port, rounds, count, connections]: string[]): Promise<void> {
  const messages = sequence(file ?? '', Number(rounds), Number(count));
  const session = (): ClientHttp2Session => connect(`http://127.0.0.1:${port}`);
  if (form === 'als') {
    const only = session();
    await stream(only, messages);
    only.close();
  } else {
    const sessions = Array.from({ length: Number(connections) }, session);
    const senders = sessions.flatMap((peer) =>
      Array.from({ length: callsMax }, () => calls(peer, messages)),
    );
    await Promise.all(senders);
    for (const peer of sessions) peer.close();
  }
  process.send?.('done');
}

if (process.argv[1] === self) {
  process.on('disconnect', () => process.exit(0));
  process.on('message', () => void send(process.argv.slice(2)));
}
