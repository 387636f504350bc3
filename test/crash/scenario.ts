// Lives of a daemon that is killed again and again while records come in, and what the oracle says in the end.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask } from '../../src/wire/control_socket.ts';
import { type FaultProxy, faultProxy } from '../support/fault_proxy.ts';
import { listening } from '../support/sockets.ts';
import { DaemonProcess } from './daemon_process.ts';
import { Oracle, type Report } from './oracle.ts';
import {
  alsProducer,
  fileProducer,
  otlpProducer,
  type Producer,
  tcpProducer,
} from './producers.ts';
import { lineSink, otlpSink, type Sink } from './sinks.ts';

export type Kind = {
  readonly queue: 'memory' | 'disk';
  readonly sink: 'otlp' | 'lines';
};

type Ports = { readonly otlp: number; readonly tcp: number; readonly als: number };

/** Protocols without acknowledgement: what was on its way when the process was killed is owed by nobody. */
const unanswered = ['tcp', 'als'];

export class Scenario {
  readonly oracle: Oracle;
  readonly folder = mkdtempSync(join(tmpdir(), 'meshlog-crash-'));
  readonly #kind: Kind;
  readonly #sink: Sink;
  readonly proxy: FaultProxy;
  readonly #producers: Producer[];
  readonly #ports: Ports;
  /** Starts that found a queue on disk that an earlier life had left. */
  replays = 0;
  #lives = 0;

  private constructor(
    kind: Kind,
    parts: { sink: Sink; oracle: Oracle; proxy: FaultProxy; ports: Ports },
  ) {
    this.#kind = kind;
    this.oracle = parts.oracle;
    this.#sink = parts.sink;
    this.proxy = parts.proxy;
    this.#ports = parts.ports;
    const { oracle, folder } = this;
    this.#producers = [
      fileProducer(oracle, {
        folder: join(folder, 'logs'),
        stream: 'file',
        perTick: 10,
        rotateBytes: 400_000,
      }),
      otlpProducer(oracle, { port: parts.ports.otlp, stream: 'otlp', perRequest: 10 }),
      tcpProducer(oracle, { port: parts.ports.tcp, stream: 'tcp', perTick: 3 }),
      alsProducer(oracle, { port: parts.ports.als, stream: 'als', perTick: 3 }),
    ];
  }

  static async create(kind: Kind): Promise<Scenario> {
    const oracle = new Oracle();
    const sink = kind.sink === 'otlp' ? await otlpSink(oracle) : await lineSink(oracle);
    const proxy = await faultProxy(sink.port);
    const ports = { otlp: await freePort(), tcp: await freePort(), als: await freePort() };
    return new Scenario(kind, { sink, oracle, proxy, ports });
  }

  get sink(): Sink {
    return this.#sink;
  }

  /** In every other life batches that are delivered soon do not go to disk. */
  spawn(fault?: string): DaemonProcess {
    return DaemonProcess.spawn(this.folder, this.#config(this.#lives++), { fault });
  }

  /** One life, which ends at a fault point. Rejects when it is never reached. */
  async lifeUntil(fault: string, timeoutMs = 15_000): Promise<void> {
    const daemon = this.spawn(fault);
    const timer = setTimeout(() => daemon.signal('SIGTERM'), timeoutMs);
    const how = await daemon.ended;
    clearTimeout(timer);
    this.#look(daemon);
    if (how !== 'SIGKILL')
      throw new Error(`${fault} was not reached, ended ${how}:\n${daemon.said}`);
  }

  /** One life that is killed after some time, whatever it does then. */
  async lifeOf(ms: number): Promise<void> {
    const daemon = this.spawn();
    await daemon.started();
    await new Promise((done) => setTimeout(done, ms));
    await daemon.kill();
    this.#look(daemon);
  }

  /** One life, which ends with SIGTERM. */
  async lifeToItsEnd(ms: number): Promise<void> {
    const daemon = this.spawn();
    await daemon.started();
    await new Promise((done) => setTimeout(done, ms));
    daemon.signal('SIGTERM');
    const how = await daemon.ended;
    this.#look(daemon);
    if (typeof how !== 'number') throw new Error(`ended by ${how}:\n${daemon.said}`);
  }

  /** Gives a running daemon a configuration in which every component is another one for each `turn`. */
  async reload(turn: number): Promise<void> {
    writeFileSync(join(this.folder, 'config.yaml'), this.#config(turn));
    const socket = join(this.folder, 'state', 'control.sock');
    const outcome = (await ask(socket, { command: 'reload' }, 20_000)) as { ok: boolean };
    if (!outcome.ok) throw new Error(`not reloaded: ${JSON.stringify(outcome)}`);
  }

  /** The last life, without faults: all that is owed arrives, and so does a fresh record of each source. */
  async finish(timeoutMs = 60_000): Promise<Report & { replays: number }> {
    this.sink.mood = 'ok';
    Object.assign(this.proxy.faults, { delayMs: 0, bytesPerSecond: 0, blackHole: false });
    // Plain lines that are on their way when a connection breaks are lost: only OTLP is asked to outlive that.
    if (this.#kind.sink === 'otlp') this.proxy.reset();
    const daemon = this.spawn();
    await daemon.started();
    const fresh = this.#producers.map((producer) => producer.fresh());
    await Promise.all(this.#producers.map((producer) => producer.stop()));
    const endMs = performance.now() + timeoutMs;
    const arrived = (): boolean =>
      this.oracle.report().missing === 0 &&
      fresh.every((id) => unanswered.includes(id.stream) || this.oracle.has(id));
    while (!arrived() && performance.now() < endMs) {
      await new Promise((done) => setTimeout(done, 50));
    }
    const lost = fresh.filter((id) => !unanswered.includes(id.stream) && !this.oracle.has(id));
    daemon.signal('SIGTERM');
    const how = await daemon.ended;
    this.#look(daemon);
    if (lost.length > 0 || how !== 0) {
      throw new Error(`fresh records lost: ${lost.length}, ended with ${how}:\n${daemon.said}`);
    }
    return { ...this.oracle.report(), replays: this.replays };
  }

  async close(): Promise<void> {
    for (const producer of this.#producers) producer.abort();
    await this.proxy.close();
    await this.sink.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #look(daemon: DaemonProcess): void {
    if (daemon.said.includes('wait in the disk queue from before')) this.replays++;
  }

  #config(turn: number): string {
    const { queue, sink } = this.#kind;
    const exporter =
      sink === 'otlp'
        ? `otlp: { endpoint: '127.0.0.1:${this.proxy.port}', tls: { insecure: true }, compression: none`
        : `tcp: { endpoint: '127.0.0.1:${this.proxy.port}'`;
    return `
receivers:
  file: { include: ['logs/*.log*'], start_at: beginning, poll_interval: ${20 + turn}ms }
  otlp: { http: { endpoint: '127.0.0.1:${this.#ports.otlp}' }, max_wait: ${1000 + turn}ms }
  tcp: { endpoint: '127.0.0.1:${this.#ports.tcp}', line_bytes_max: 1MiB, linger: ${100 + turn}ms }
  envoy_als: { endpoint: '127.0.0.1:${this.#ports.als}', linger: ${100 + turn}ms }
exporters:
  ${exporter},
    timeout: ${500 + turn}ms,
    retry_on_failure: { initial_interval: 20ms, max_interval: 100ms },
    queue: { type: ${queue}, size: 2MiB, persist_after: ${turn % 2 === 0 ? 0 : 3}ms, batch: { min_size: 4KiB, flush_timeout: 10ms, max_size: 128KiB } } }
service:
  admin: { enabled: false }
  state_directory: state
  grace_period: 2s
  reload: { watch: false }
  pipelines:
    logs: { receivers: [file, otlp, tcp, envoy_als], exporters: [${sink === 'otlp' ? 'otlp' : 'tcp'}] }
`;
  }
}

/** A port that nobody uses now. */
async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await new Promise((done) => server.close(done));
  return port;
}
