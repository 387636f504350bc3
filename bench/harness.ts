// The daemon as it ships (dist/), as a process of its own, measured from outside.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
/** The daemon as it ships; BENCH_MAIN names another build, to compare two. */
const program = process.env['BENCH_MAIN'] ?? join(root, 'dist/main.js');
/** Kernel clock ticks per second, the unit of /proc/PID/stat. */
const ticksPerSecond = 100;

export type Measured = {
  name: string;
  /** CPU microseconds of JSON.parse of one line, and of the daemon for one record. */
  parseMicros: number;
  micros: number;
  perSecond: number;
  peakRssMib: number;
};

/** CPU microseconds of JSON.parse of one line, mean over the lines, after a warm-up. */
export function jsonParseMicros(lines: readonly string[]): number {
  const buffers = lines.map((line) => Buffer.from(line));
  let sum = 0;
  const once = (): void => {
    for (const buffer of buffers) {
      const record = JSON.parse(buffer.toString()) as { response_code: number };
      sum += record.response_code;
    }
  };
  once();
  const rounds = 10;
  const before = process.cpuUsage();
  for (let i = 0; i < rounds; i++) once();
  const { user, system } = process.cpuUsage(before);
  if (sum < 0) throw new Error('unreachable: keeps the loop alive');
  return (user + system) / (rounds * lines.length);
}

export class DaemonProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Writes the configuration into the folder and waits until everything is started. */
  static async start(folder: string, config: string): Promise<DaemonProcess> {
    const file = join(folder, 'config.yaml');
    writeFileSync(file, config);
    // BENCH_NODE_ARGS=--cpu-prof writes a profile of the daemon.
    const extra = (process.env['BENCH_NODE_ARGS'] ?? '').split(' ').filter(Boolean);
    // As the image and the command itself.
    const args = [
      '--max-semi-space-size=4',
      '--heap-growing-percent=60',
      ...extra,
      program,
      'run',
      '--config',
      file,
    ];
    const malloc = { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '131072' };
    const env = { ...process.env, ...malloc };
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'], env });
    let said = '';
    await new Promise<void>((done, failed) => {
      child.stderr.on('data', (data: Buffer) => {
        said += data.toString();
        if (said.includes('pid ')) done();
      });
      child.once('exit', (code) => failed(new Error(`the daemon ended with ${code}:\n${said}`)));
    });
    await new Promise((done) => setTimeout(done, 300));
    return new DaemonProcess(child);
  }

  /** An OpenTelemetry Collector, to compare with. */
  static async collector(program: string, folder: string, config: string): Promise<DaemonProcess> {
    const file = join(folder, 'config.yaml');
    writeFileSync(file, config);
    const child = spawn(program, ['--config', file], { stdio: ['ignore', 'inherit', 'inherit'] });
    // It does not say when it listens.
    await new Promise((done) => setTimeout(done, 2000));
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
    return new DaemonProcess(child);
  }

  usage(): { cpuSeconds: number; peakRssMib: number; rssMib: number } {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    const peak = /VmHWM:\s+(\d+) kB/.exec(status);
    const now = /VmRSS:\s+(\d+) kB/.exec(status);
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
      peakRssMib: Number(peak?.[1] ?? 0) / 1024,
      rssMib: Number(now?.[1] ?? 0) / 1024,
    };
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#child.once('exit', done));
    this.#child.removeAllListeners('exit');
    this.#child.once('exit', () => undefined);
    this.#child.kill('SIGTERM');
    await Promise.race([ended, new Promise((done) => setTimeout(done, 3000))]);
    this.#child.kill('SIGKILL');
  }
}
