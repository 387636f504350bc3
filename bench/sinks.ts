// Sinks that count, as processes of their own, so that their work is not the daemon's.

import { type ChildProcess, fork } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

type Kind = 'tcp' | 'otlp';
const self = fileURLToPath(import.meta.url);

export class Sink {
  readonly port: number;
  #child: ChildProcess;
  #count = 0;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    child.on('message', (message: { count?: number }) => {
      this.#count = message.count ?? this.#count;
    });
  }

  static async start(kind: Kind): Promise<Sink> {
    const child = fork(self, [kind]);
    const port = await new Promise<number>((done) => {
      child.on('message', (message: { port?: number }) => {
        if (message.port !== undefined) done(message.port);
      });
    });
    return new Sink(child, port);
  }

  /** Waits until `records` have come, then a moment more to see that no other follows. */
  async until(records: number): Promise<void> {
    let quiet = 0;
    let last = -1;
    while (this.#count < records) {
      await new Promise((done) => setTimeout(done, 20));
      quiet = this.#count === last ? quiet + 1 : 0;
      last = this.#count;
      if (quiet > 1500)
        throw new Error(`${this.#count} of ${records} records, then nothing for 30 s`);
    }
    await new Promise((done) => setTimeout(done, 150));
    if (this.#count !== records) throw new Error(`${this.#count} records instead of ${records}`);
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Log records of an ExportLogsServiceRequest: ResourceLogs 1 > ScopeLogs 2 > LogRecord 2. */
function countRecords(bytes: Uint8Array, start: number, end: number, depth: number): number {
  let count = 0;
  let at = start;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < end) {
    const tag = varint();
    if ((tag & 7) === 2) {
      const length = varint();
      if (tag >> 3 === (depth === 0 ? 1 : 2)) {
        count += depth === 2 ? 1 : countRecords(bytes, at, at + length, depth + 1);
      }
      at += length;
    } else if ((tag & 7) === 0) varint();
    else at += (tag & 7) === 1 ? 8 : 4;
  }
  return count;
}

async function serve(kind: Kind): Promise<void> {
  let count = 0;
  setInterval(() => process.send?.({ count }), 10);
  process.on('disconnect', () => process.exit(0));
  if (kind === 'tcp') {
    const server = createServer((socket) => {
      socket.on('data', (data) => {
        for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10, at + 1)) count++;
      });
      socket.on('error', () => undefined);
    });
    server.listen(0, '127.0.0.1', () => {
      process.send?.({ port: (server.address() as { port: number }).port });
    });
    return;
  }
  // gRPC by hand over HTTP/2, with windows as large as a backend on a data centre network has: what is measured is the
  // daemon, not how often the sink opens its window.
  const http2 = await import('node:http2');
  const server = http2.createServer({
    settings: { initialWindowSize: 16 << 20, maxFrameSize: 1 << 20 },
    maxSessionMemory: 1024,
  });
  server.on('session', (session) => session.setLocalWindowSize(64 << 20));
  server.on('stream', (stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => undefined);
    stream.on('end', () => {
      const request = Buffer.concat(chunks);
      count += countRecords(request, 5, request.length, 0);
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc' },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.alloc(5));
    });
  });
  server.listen(0, '127.0.0.1', () => {
    process.send?.({ port: (server.address() as { port: number }).port });
  });
}

if (process.argv[1] === self) await serve(process.argv[2] as Kind);
