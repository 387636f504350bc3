// A folder with log files in it, and `file` receivers that follow them.

import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import type { Context, Deliver, Receiver } from '../../src/pipeline/component.ts';
import { file } from '../../src/receivers/file/file.ts';
import { type Collector, collector, type TestContext, testContext } from './collect.ts';

export type Followed = Collector & {
  readonly context: TestContext;
  readonly receiver: Receiver;
  stop(): Promise<void>;
  /** The value of one of the receiver's metrics. */
  metric(name: string): number;
};

export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'meshlog-file-'));
  readonly state = join(this.path, 'state');
  readonly #running = new Set<Receiver>();

  constructor() {
    onTestFinished(async () => {
      for (const receiver of this.#running) await receiver.stop();
      rmSync(this.path, { recursive: true, force: true });
    });
  }

  at(name: string): string {
    return join(this.path, name);
  }

  write(name: string, text: string | Uint8Array): void {
    mkdirSync(dirname(this.at(name)), { recursive: true });
    writeFileSync(this.at(name), text);
  }

  append(name: string, text: string | Uint8Array): void {
    appendFileSync(this.at(name), text);
  }

  rename(from: string, to: string): void {
    renameSync(this.at(from), this.at(to));
  }

  remove(name: string): void {
    unlinkSync(this.at(name));
  }

  /**
   * Follows files: by default all `*.log` of the folder from their beginning, looked at every 10 ms, with state. What
   * is delivered can be read from the result.
   */
  async follow(
    settings: Record<string, unknown> = {},
    options: { deliver?: Deliver; context?: Partial<Context>; budgetBytes?: number } = {},
  ): Promise<Followed> {
    const context = testContext({
      id: 'file/test',
      stateDirectory: this.state,
      baseDirectory: this.path,
      ...(options.budgetBytes === undefined ? {} : { budgetBytes: options.budgetBytes }),
      ...options.context,
    });
    const config = file.config.parse({
      include: ['*.log'],
      start_at: 'beginning',
      poll_interval: '10ms',
      rotate_wait: '100ms',
      ...settings,
    });
    const receiver = file.create(config, context);
    const collected = collector();
    await receiver.start(options.deliver ?? collected.deliver);
    this.#running.add(receiver);
    return Object.assign(collected, {
      context,
      receiver,
      stop: async () => {
        this.#running.delete(receiver);
        await receiver.stop();
      },
      metric: (name: string) => context.metrics.read(name, { receiver: 'file/test' }) ?? Number.NaN,
    });
  }
}

/** Waits until `holds`; fails after two seconds, saying what it waited for. */
export async function eventually(
  what: string,
  holds: () => boolean,
  timeoutMs = 5000,
): Promise<void> {
  for (const end = Date.now() + timeoutMs; !holds(); ) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await delay(5);
  }
}

/** Lines `name 0` to `name count-1`, each with its newline. */
export const numbered = (name: string, count: number, from = 0): string =>
  Array.from({ length: count }, (_, i) => `${name} ${from + i}\n`).join('');

/** The same as a list of lines. */
export const numberedLines = (name: string, count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => `${name} ${from + i}`);
