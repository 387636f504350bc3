// How much memory the daemon takes while nothing can be delivered and everything is offered.

import { appendFileSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask } from '../../src/wire/control_socket.ts';
import { listening } from '../support/sockets.ts';
import { DaemonProcess } from './daemon_process.ts';
import { alsLoad, type Load, otlpLoad } from './load.ts';
import { payload } from './payload.ts';

const budgetMib = 64;
/** What the process may take besides its budget. */
const besidesMib = 140;
/** Far more than is read before the receiver waits. */
const filesMibMax = 96;

export const sources = ['file', 'tcp', 'envoy_als', 'otlp'] as const;
export type Source = (typeof sources)[number];

export type Measured = {
  readonly peakMib: number;
  readonly boundMib: number;
  readonly offeredMib: number;
  /** Of the budget, at the end. */
  readonly usedMib: number;
  /** Records that wait, by receiver. */
  readonly waiting: Readonly<Record<string, number>>;
};

/** Runs for `ms` with a file and peers of every protocol that send as fast as they may, and three kinds of dead sinks. */
export async function memoryUnderDeadSinks(
  ms: number,
  offered: readonly Source[],
): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'meshlog-dead-'));
  mkdirSync(join(folder, 'logs'));
  const silent = createServer(() => undefined);
  const silentPort = await listening(silent);
  const ports = { tcp: await unusedPort(), als: await unusedPort(), otlp: await unusedPort() };
  const daemon = DaemonProcess.spawn(folder, config({ silentPort, ...ports }));
  const lines = Buffer.from(
    Array.from({ length: 500 }, (_, number) => `${payload({ stream: 'load', number })}\n`).join(''),
  );
  let writtenBytes = 0;
  const sockets: Socket[] = [];
  const loads: Load[] = [];
  try {
    await daemon.started();
    if (offered.includes('envoy_als')) loads.push(alsLoad(ports.als, 8));
    if (offered.includes('otlp')) loads.push(otlpLoad(ports.otlp, 128));
    const file = join(folder, 'logs', 'load.log');
    const endMs = performance.now() + ms;
    let peakMib = 0;
    for (let i = 0; i < (offered.includes('tcp') ? 20 : 0); i++)
      sockets.push(connect(ports.tcp, '127.0.0.1'));
    for (const socket of sockets) socket.on('error', () => undefined);
    while (performance.now() < endMs) {
      if (
        offered.includes('file') &&
        (statSync(file, { throwIfNoEntry: false })?.size ?? 0) < filesMibMax << 20
      ) {
        appendFileSync(file, lines);
        writtenBytes += lines.length;
      }
      for (const socket of sockets) {
        if (socket.destroyed) socket.connect(ports.tcp, '127.0.0.1');
        if (socket.connecting || socket.writableNeedDrain) continue;
        socket.write(lines);
        writtenBytes += lines.length;
      }
      peakMib = Math.max(peakMib, daemon.residentMib);
      await new Promise((done) => setTimeout(done, 5));
    }
    const status = (await ask(
      join(folder, 'state', 'control.sock'),
      { command: 'status' },
      5000,
    )) as { budget: { used: number }; receivers: { id: string; waiting: number }[] };
    const sentBytes = loads.reduce((sum, load) => sum + load.sentBytes(), writtenBytes);
    return {
      peakMib,
      boundMib: budgetMib + besidesMib,
      offeredMib: sentBytes / 1024 ** 2,
      usedMib: status.budget.used / 1024 ** 2,
      waiting: Object.fromEntries(status.receivers.map(({ id, waiting }) => [id, waiting])),
    };
  } finally {
    for (const socket of sockets) socket.destroy();
    for (const load of loads) {
      load.finish().catch(() => undefined);
      load.destroy();
    }
    await daemon.kill();
    silent.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One sink refuses, one never answers, one takes a connection and reads nothing; three kinds of queues. */
function config(ports: { silentPort: number; tcp: number; als: number; otlp: number }): string {
  const { silentPort } = ports;
  return `
receivers:
  file: { include: ['logs/*.log'], start_at: beginning, poll_interval: 20ms }
  tcp: { endpoint: '127.0.0.1:${ports.tcp}' }
  envoy_als: { endpoint: '127.0.0.1:${ports.als}' }
  otlp: { grpc: { endpoint: '127.0.0.1:${ports.otlp}' } }
exporters:
  otlp: { endpoint: '127.0.0.1:1', tls: { insecure: true } }
  otlp/hangs: { endpoint: '127.0.0.1:${silentPort}', tls: { insecure: true }, timeout: 2s, queue: { when_full: drop_oldest } }
  tcp: { endpoint: '127.0.0.1:${silentPort}', queue: { type: disk, size: 32MiB } }
service:
  admin: { enabled: false }
  memory_budget: ${budgetMib}MiB
  state_directory: state
  pipelines:
    logs: { receivers: [file, tcp, envoy_als, otlp], exporters: [otlp] }
    logs/lossy: { receivers: [file, tcp, envoy_als, otlp], exporters: [otlp/hangs, tcp] }
`;
}

async function unusedPort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((done) => server.close(done));
  return port;
}
