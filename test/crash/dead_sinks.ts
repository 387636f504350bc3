// How much memory the daemon takes while nothing can be delivered and everything is offered.

import { appendFileSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listening } from '../support/sockets.ts';
import { DaemonProcess } from './daemon_process.ts';
import { payload } from './payload.ts';

const budgetMib = 64;
/** What the process may take besides its budget; run from its sources it also holds the type stripper. */
const besidesMib = process.env['MESHLOG_MAIN'] === undefined ? 140 + 25 : 140;
const filesMibMax = 512;

export type Measured = {
  readonly peakMib: number;
  readonly boundMib: number;
  readonly offeredMib: number;
};

/** Runs for `ms` with a file and TCP clients that write as fast as they may, and three kinds of dead sinks. */
export async function memoryUnderDeadSinks(ms: number): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'meshlog-dead-'));
  mkdirSync(join(folder, 'logs'));
  const silent = createServer(() => undefined);
  const silentPort = await listening(silent);
  const tcpPort = await unusedPort();
  const daemon = DaemonProcess.spawn(folder, config({ silentPort, tcpPort }));
  const lines = Buffer.from(
    Array.from({ length: 500 }, (_, number) => `${payload({ stream: 'load', number })}\n`).join(''),
  );
  let offered = 0;
  const sockets: Socket[] = [];
  try {
    await daemon.started();
    const file = join(folder, 'logs', 'load.log');
    const endMs = performance.now() + ms;
    let peakMib = 0;
    for (let i = 0; i < 20; i++) sockets.push(connect(tcpPort, '127.0.0.1'));
    for (const socket of sockets) socket.on('error', () => undefined);
    while (performance.now() < endMs) {
      if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) < filesMibMax << 20) {
        appendFileSync(file, lines);
        offered += lines.length;
      }
      for (const socket of sockets) {
        if (socket.destroyed) socket.connect(tcpPort, '127.0.0.1');
        if (socket.connecting || socket.writableNeedDrain) continue;
        socket.write(lines);
        offered += lines.length;
      }
      peakMib = Math.max(peakMib, daemon.residentMib);
      await new Promise((done) => setTimeout(done, 5));
    }
    return { peakMib, boundMib: budgetMib + besidesMib, offeredMib: offered / 1024 ** 2 };
  } finally {
    for (const socket of sockets) socket.destroy();
    await daemon.kill();
    silent.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One sink refuses, one never answers, one takes a connection and reads nothing; three kinds of queues. */
function config({ silentPort, tcpPort }: { silentPort: number; tcpPort: number }): string {
  return `
receivers:
  file: { include: ['logs/*.log'], start_at: beginning, poll_interval: 20ms }
  tcp: { endpoint: '127.0.0.1:${tcpPort}' }
exporters:
  otlp: { endpoint: '127.0.0.1:1', tls: { insecure: true } }
  otlp/hangs: { endpoint: '127.0.0.1:${silentPort}', tls: { insecure: true }, timeout: 2s, queue: { when_full: drop_oldest } }
  tcp: { endpoint: '127.0.0.1:${silentPort}', queue: { type: disk, size: 32MiB } }
service:
  admin: { enabled: false }
  memory_budget: ${budgetMib}MiB
  state_directory: state
  pipelines:
    logs: { receivers: [file, tcp], exporters: [otlp] }
    logs/lossy: { receivers: [file, tcp], exporters: [otlp/hangs, tcp] }
`;
}

async function unusedPort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((done) => server.close(done));
  return port;
}
