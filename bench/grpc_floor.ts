// node bench/grpc_floor.ts: what a unary call of 16 KiB costs before anybody looks at its records: a bare node:http2
// server that answers and does nothing else, and the gRPC server of wire/. About twenty records share such a call.

import { type ChildProcess, fork } from 'node:child_process';
import { connect, createServer } from 'node:http2';
import { fileURLToPath } from 'node:url';
import { GrpcServer } from '../src/wire/grpc_server.ts';

const self = fileURLToPath(import.meta.url);
const path = '/floor/Call';
const messageBytes = 16_384;
const atOnce = 8;
const calls = 15_000;

async function serve(kind: string): Promise<number> {
  if (kind === 'grpc_server') {
    const server = new GrpcServer({
      address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      allowedSpiffeIds: [],
      maxConnections: 10,
      maxConcurrentStreams: 128,
      messageBytesMax: 4 * 1024 * 1024,
      keepalive: {
        time: 0,
        timeout: 1000,
        maxConnectionAge: 0,
        maxConnectionAgeGrace: 0,
        maxConnectionIdle: 0,
      },
      requestTimeout: 30_000,
      methods: new Map([
        [
          path,
          {
            streaming: false,
            open: () => ({
              message: () => undefined,
              end: () => ({ message: Buffer.alloc(0) }),
            }),
          },
        ],
      ]),
    });
    await server.listen();
    return server.address.kind === 'tcp' ? server.address.port : 0;
  }
  const server = createServer({ settings: { initialWindowSize: 256 * 1024 } });
  server.on('session', (session) => session.setLocalWindowSize(4 * 1024 * 1024));
  server.on('stream', (stream) => {
    stream.on('data', () => undefined);
    stream.on('end', () => {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc' },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.alloc(5));
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return (server.address() as { port: number }).port;
}

const said = (child: ChildProcess): Promise<number> =>
  new Promise((done) => child.once('message', (value) => done(value as number)));

/** CPU microseconds of the server per call, the least of three rounds after a warm-up. */
async function measure(kind: string): Promise<number> {
  const child = fork(self, [kind], {
    execArgv: ['--max-semi-space-size=4', '--heap-growing-percent=60'],
  });
  const session = connect(`http://127.0.0.1:${await said(child)}`);
  const message = Buffer.alloc(5 + messageBytes);
  message.writeUInt32BE(messageBytes, 1);
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc' };
  const one = (): Promise<void> =>
    new Promise((done, failed) => {
      const stream = session.request(headers);
      stream.on('close', done);
      stream.on('error', failed);
      stream.resume();
      stream.end(message);
    });
  const usedMicros = (): Promise<number> => {
    child.send('usage');
    return said(child);
  };
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 4; round++) {
    const before = await usedMicros();
    let left = calls;
    const sender = async (): Promise<void> => {
      while (left-- > 0) await one();
    };
    await Promise.all(Array.from({ length: atOnce }, sender));
    const micros = ((await usedMicros()) - before) / calls;
    if (round > 0) least = Math.min(least, micros);
  }
  session.destroy();
  child.kill('SIGKILL');
  return least;
}

const [, , kind] = process.argv;
if (kind !== undefined) {
  process.on('disconnect', () => process.exit(0));
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  process.send?.(await serve(kind));
} else {
  for (const name of ['node:http2', 'grpc_server']) {
    console.log(`${name.padEnd(12)} ${(await measure(name)).toFixed(1)} us a call`);
  }
  process.exit(0);
}
