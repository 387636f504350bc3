// The daemon as a process of its own, from the sources.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

/** The daemon's sources, or the build that MESHLOG_MAIN names. */
const program = (): string => process.env['MESHLOG_MAIN'] ?? join(root, 'src/main.ts');

export class DaemonProcess {
  /** Everything that it has said. */
  said = '';
  readonly #child: ChildProcess;
  /** Resolves with the signal that ended it, or its exit code. */
  readonly ended: Promise<NodeJS.Signals | number | null>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.on('data', (data: Buffer) => {
      this.said += data.toString();
    });
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve(signal ?? code));
    });
  }

  /** Starts it on a configuration; `fault` is a named point at which it is killed. */
  static spawn(
    folder: string,
    config: string,
    options: { fault?: string | undefined; wrapper?: readonly string[] } = {},
  ): DaemonProcess {
    const file = join(folder, 'config.yaml');
    writeFileSync(file, config);
    // As the image and the command itself run it.
    const heap = ['--max-semi-space-size=4', '--heap-growing-percent=60'];
    const command = [process.execPath, ...heap, program(), 'run', '--config', file];
    const [first = '', ...args] = [...(options.wrapper ?? []), ...command];
    const child = spawn(first, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        ...process.env,
        NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/node'),
        NODE_NO_WARNINGS: '1',
        MALLOC_ARENA_MAX: '1',
        MALLOC_MMAP_THRESHOLD_: '131072',
        MESHLOG_FAULT: options.fault ?? '',
      },
    });
    return new DaemonProcess(child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when it says that everything is started; rejects when it ends before. */
  async started(): Promise<void> {
    const early = this.ended.then((how) => {
      throw new Error(`the daemon ended with ${how}:\n${this.said}`);
    });
    early.catch(() => undefined);
    await Promise.race([early, this.says('  pid ')]);
  }

  async says(text: string, timeoutMs = 20_000): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    while (!this.said.includes(text)) {
      if (performance.now() > endMs) throw new Error(`"${text}" was not said:\n${this.said}`);
      await new Promise((done) => setTimeout(done, 10));
    }
  }

  /** MiB that are resident now. */
  get residentMib(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  kill(): Promise<unknown> {
    this.#child.kill('SIGKILL');
    return this.ended;
  }
}
