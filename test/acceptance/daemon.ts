// The daemon as its users start it: a process of its own, from the sources, told what to do by files and variables.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { eventually } from '../support/sockets.ts';

export const root = resolve(import.meta.dirname, '../..');

/** A new folder that a test removes. */
export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'meshlog-acceptance-'));
}

export const removeFolder = (folder: string): void => rmSync(folder, { recursive: true });

export class DaemonProcess {
  /** What it has said to people (stderr), and what it has written (stdout). */
  said = '';
  #written: Buffer[] = [];
  readonly #child: ChildProcessWithoutNullStreams;
  /** Resolves with its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;

  /** `meshlog run --config file`, behind a command such as setpriv. */
  constructor(file: string, env: Record<string, string> = {}, wrapper: readonly string[] = []) {
    const command = [process.execPath, join(root, 'src/main.ts'), 'run', '--config', file];
    const [program = '', ...args] = [...wrapper, ...command];
    this.#child = spawn(program, args, {
      cwd: root,
      env: {
        PATH: process.env['PATH'] ?? '',
        TZ: 'UTC',
        NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/node'),
        ...env,
      },
    });
    this.#child.stderr.on('data', (data: Buffer) => {
      this.said += data.toString();
    });
    this.#child.stdout.on('data', (data: Buffer) => this.#written.push(data));
    // What it no longer reads is not this test's concern.
    this.#child.stdin.on('error', () => undefined);
    this.ended = new Promise((ended) => {
      this.#child.once('close', (code, signal) => ended(signal ?? code));
    });
  }

  /** One with a configuration that it is given as text; resolves once everything is started. */
  static async started(
    folder: string,
    config: string,
    wrapper: readonly string[] = [],
  ): Promise<DaemonProcess> {
    const file = join(folder, 'config.yaml');
    writeFileSync(file, config);
    const daemon = new DaemonProcess(file, {}, wrapper);
    await daemon.started();
    return daemon;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stdin(): NodeJS.WritableStream {
    return this.#child.stdin;
  }

  get written(): string {
    return Buffer.concat(this.#written).toString();
  }

  async started(): Promise<void> {
    let how: unknown;
    void this.ended.then((code) => {
      how = code ?? 'nothing';
    });
    await eventually(() => how !== undefined || /^ {2}admin /m.test(this.said), 20_000);
    if (how !== undefined) throw new Error(`the daemon ended with ${how}:\n${this.said}`);
  }

  /** The port that a component took, as the picture at the start shows it. */
  port(component: string): number {
    const line = this.said.split('\n').find((text) => text.includes(` ${component} `)) ?? '';
    return Number(/:(\d+)/.exec(line)?.[1]);
  }

  /** MiB that are resident now, and that were at most. */
  get memory(): { nowMib: number; peakMib: number } {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    const mib = (name: string): number =>
      Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1024;
    return { nowMib: mib('VmRSS'), peakMib: mib('VmHWM') };
  }

  /** The lines of /metrics without comments. */
  async metrics(): Promise<string[]> {
    const answer = await fetch(`http://127.0.0.1:${this.port('admin')}/metrics`);
    return (await answer.text()).split('\n').filter((line) => line !== '' && line[0] !== '#');
  }

  /** The sum of all series of a metric whose labels contain the text. */
  async metric(name: string, label = ''): Promise<number> {
    const lines = (await this.metrics()).filter(
      (line) => new RegExp(`^${name}[{ ]`).test(line) && line.includes(label),
    );
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  /** The status and the lines of /readyz. */
  async readiness(): Promise<{ status: number; lines: string[] }> {
    const answer = await fetch(`http://127.0.0.1:${this.port('admin')}/readyz`);
    return { status: answer.status, lines: (await answer.text()).trim().split('\n') };
  }

  /** Asks it to end; resolves with its exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    this.#child.kill(signal);
    return await this.ended;
  }
}
