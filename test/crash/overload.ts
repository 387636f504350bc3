// Peers that send as fast as they may while the sink reads nothing for a while: what the daemon's memory does meanwhile,
// and whether everything that it took comes out exactly once afterwards.
// npm run soak:overload [-- SECONDS]: the long form: a pause of 30 s for each source, and the figures

import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { DaemonProcess, newFolder, removeFolder } from '../acceptance/daemon.ts';
import { eventually, listening } from '../support/sockets.ts';
import { alsLoad, type Load, lineOf, lineStop, numberOf, otlpLoad } from './load.ts';

export type Source = 'envoy_als' | 'otlp';

export type OverloadReport = {
  /** Records that the daemon has taken over, as the protocol lets its peers see it. */
  readonly accepted: number;
  readonly missing: number;
  readonly duplicates: number;
  /** Lines of the sink that nobody has sent. */
  readonly corrupted: number;
  /** The most that was resident under load; when the sink stopped to read, once peers were held back, and the most then. */
  readonly loadPeakMib: number;
  readonly beforeMib: number;
  readonly heldMib: number;
  readonly peakMib: number;
  /** What peers got rid of while the sink read nothing, and how much of it while they were held back. */
  readonly takenMib: number;
  readonly takenLateMib: number;
  /** How long peers had to be held back, and for how long they were, as /metrics says at the end of the pause. */
  readonly pausedSeconds: number;
  readonly heldSeconds: number;
};

/** Until peers are held back and this much longer what was begun before may still be taken. */
const settleMs = 1000;

/** `loadMs` at full load, then at least `pauseMs` in which the sink reads nothing, then everything out. */
export async function overload(
  source: Source,
  { loadMs, pauseMs, budgetMib }: { loadMs: number; pauseMs: number; budgetMib: number },
): Promise<OverloadReport> {
  const folder = newFolder();
  const sink = await openSink();
  let daemon: DaemonProcess | undefined;
  let load: Load | undefined;
  try {
    daemon = await DaemonProcess.started(folder, config(source, { budgetMib, port: sink.port }));
    const port = daemon.port(source);
    load = source === 'otlp' ? otlpLoad(port, 4 * budgetMib) : alsLoad(port, 4);
    await sleep(loadMs);
    if (sink.lines() === 0) throw new Error(`nothing came through:\n${daemon.said}`);
    const held = daemon.metric.bind(daemon, 'meshlog_receiver_held_back_seconds_total');
    const heldBefore = await held();
    const takenBefore = load.sentBytes();
    const { nowMib: beforeMib, peakMib: loadPeakMib } = daemon.memory;
    sink.pause(true);
    const filledMs = performance.now() + 10_000;
    while ((await held()) === heldBefore && performance.now() < filledMs) await sleep(50);
    await sleep(settleMs);
    const [heldMib, heldAtFirst, takenAtFirst] = [
      daemon.memory.nowMib,
      await held(),
      load.sentBytes(),
    ];
    let peakMib = heldMib;
    const startMs = performance.now();
    while (performance.now() < startMs + pauseMs) {
      peakMib = Math.max(peakMib, daemon.memory.nowMib);
      await sleep(50);
    }
    const heldSeconds = (await held()) - heldAtFirst;
    const pausedSeconds = (performance.now() - startMs) / 1000;
    const takenMib = (load.sentBytes() - takenBefore) / 1024 ** 2;
    const takenLateMib = (load.sentBytes() - takenAtFirst) / 1024 ** 2;
    sink.pause(false);
    const counts = await load.finish();
    const accepted = counts.reduce((sum, count) => sum + count, 0);
    await eventually(() => sink.lines() >= accepted, 60_000).catch(() => undefined);
    // What came twice would come now.
    await sleep(300);
    return {
      ...sink.compare(counts),
      accepted,
      loadPeakMib,
      beforeMib,
      heldMib,
      peakMib,
      takenMib,
      takenLateMib,
      pausedSeconds,
      heldSeconds,
    };
  } finally {
    load?.destroy();
    await daemon?.stop('SIGKILL');
    sink.close();
    removeFolder(folder);
  }
}

/** What was resident already, under load or once peers were held, and 20 MiB: V8 frees the bytes of peers when it likes. */
export const grownMib = ({ loadPeakMib, heldMib }: OverloadReport): number =>
  Math.max(loadPeakMib, heldMib) + 20;

/** Limits in time are far away: nothing is to be sent twice. */
const config = (
  source: Source,
  { port, budgetMib }: { port: number; budgetMib: number },
): string => `
receivers:
  ${source === 'otlp' ? 'otlp: { grpc: { endpoint: 127.0.0.1:0 } }' : 'envoy_als: { endpoint: 127.0.0.1:0 }'}
exporters:
  tcp:
    endpoint: 127.0.0.1:${port}
    format: ${source === 'otlp' ? 'original' : "'%REQ(:PATH)%'"}
    write_timeout: 1h
    timeout: 1h
service:
  memory_budget: ${budgetMib}MiB
  admin: { endpoint: 127.0.0.1:0 }
  pipelines: { logs: { receivers: [${source}], exporters: [tcp] } }
`;

type Sink = {
  readonly port: number;
  lines(): number;
  pause(on: boolean): void;
  /** With how many records of each stream there must be. */
  compare(counts: readonly number[]): { missing: number; duplicates: number; corrupted: number };
  close(): void;
};

/** Counts lines and keeps which they were. */
async function openSink(): Promise<Sink> {
  const seen = new Map<number, Uint8Array>();
  const sockets = new Set<Socket>();
  let lines = 0;
  let corrupted = 0;
  const see = (bytes: Buffer, at: number): void => {
    lines++;
    const { stream, number } = numberOf(bytes, at);
    if (!bytes.subarray(at, at + lineStop).equals(lineOf(stream, number))) {
      corrupted++;
      return;
    }
    let known = seen.get(stream);
    if (known === undefined || number >= known.length) {
      const larger = new Uint8Array(Math.max(1 << 20, 2 * number));
      larger.set(known ?? []);
      seen.set(stream, larger);
      known = larger;
    }
    known[number] = (known[number] ?? 0) + 1;
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      while (at < bytes.length) {
        const end = bytes.indexOf(10, at);
        if (end < 0) break;
        if (end + 1 - at === lineStop) see(bytes, at);
        else corrupted++;
        at = end + 1;
      }
      rest = bytes.subarray(at);
    });
  });
  return {
    port: await listening(server),
    lines: () => lines,
    pause: (on) => {
      for (const socket of sockets) {
        if (on) socket.pause();
        else socket.resume();
      }
    },
    compare: (counts) => {
      let missing = 0;
      let duplicates = 0;
      for (const [stream, count] of counts.entries()) {
        const known = seen.get(stream) ?? new Uint8Array(0);
        for (let number = 0; number < count; number++) {
          const times = known[number] ?? 0;
          if (times === 0) missing++;
          else duplicates += times - 1;
        }
      }
      return { missing, duplicates, corrupted };
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

if (process.argv[1] === import.meta.filename) {
  const seconds = Number(process.argv[2] ?? 30);
  let bad = 0;
  for (const source of ['envoy_als', 'otlp'] as const) {
    const report = await overload(source, {
      loadMs: 10_000,
      pauseMs: seconds * 1000,
      budgetMib: 64,
    });
    const { accepted, missing, duplicates, corrupted, beforeMib, heldMib, peakMib } = report;
    console.log(
      `${source}: sink paused for ${seconds} s: RSS at most ${report.loadPeakMib.toFixed(0)} MiB under load, ${beforeMib.toFixed(0)} MiB before, ${heldMib.toFixed(0)} MiB once peers were held, ` +
        `${peakMib.toFixed(0)} MiB at most from then on; ${report.takenMib.toFixed(1)} MiB taken in the pause, of which late ${report.takenLateMib.toFixed(1)}; ` +
        `held back for ${report.heldSeconds.toFixed(1)} of ${report.pausedSeconds.toFixed(1)} s; ` +
        `${accepted} records accepted, ${missing} missing, ${duplicates} twice, ${corrupted} corrupted`,
    );
    if (missing + duplicates + corrupted > 0 || peakMib > grownMib(report)) bad++;
  }
  process.exit(bad === 0 ? 0 : 1);
}
