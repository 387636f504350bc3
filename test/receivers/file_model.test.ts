// Random histories of files, rotations, restarts and crashes against a plain list of what was written. A run is named by
// its seed: `MESHLOG_SEED=7 vitest run test/receivers/file_model.test.ts` repeats one.

import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Batch } from '../../src/pipeline/batch.ts';
import { RefusedError } from '../../src/pipeline/errors.ts';
import { eventually, Folder, type Followed } from '../support/followed_files.ts';

const steps = 60;

/** Numbers in [0, 1) that depend on the seed only. */
function dice(seed: number): () => number {
  let state = seed * 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class History {
  readonly folder = new Folder();
  readonly written = new Set<string>();
  readonly delivered = new Map<string, number>();
  readonly #random: () => number;
  /** What this run is like. */
  readonly cri: boolean;
  readonly refuses: boolean;
  readonly crashes: boolean;
  readonly rotatedMatch: boolean;
  readonly fewHandles: boolean;
  readonly log: string[] = [];
  /** Per path: a line of the generation that stands there was delivered, so the receiver has seen it. */
  readonly #lastLine = new Map<string, string>();
  #followed: Followed | undefined;
  #paused: (() => void)[] | undefined;
  #deletedUnread = false;
  #lines = 0;
  #rotations = 0;

  constructor(seed: number) {
    this.#random = dice(seed);
    this.cri = this.#chance(0.3);
    this.refuses = this.#chance(0.3);
    this.crashes = this.#chance(0.5);
    this.rotatedMatch = this.#chance(0.5);
    this.fewHandles = this.#chance(0.3);
  }

  async run(): Promise<void> {
    await this.#start();
    for (let step = 0; step < steps; step++) await this.#step();
    this.#resume();
    await this.#drained();
    await delay(150);
    await this.#followed?.stop();
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  async #step(): Promise<void> {
    const name = `f${this.#below(3)}.log`;
    const roll = this.#random();
    if (roll < 0.45) this.#append(name);
    else if (roll < 0.55) this.#rename(name);
    else if (roll < 0.65) this.#copyTruncate(name);
    else if (roll < 0.7) await this.#truncate(name);
    else if (roll < 0.75) this.#delete(name);
    else if (roll < 0.8) this.#pause();
    else if (roll < 0.88) this.#resume();
    else if (roll < 0.95) await delay(this.#below(30));
    else await this.#restart();
  }

  #append(name: string): void {
    let text = '';
    for (let i = this.#below(40); i >= 0; i--) {
      const line = `${name} line ${this.#lines++} ${'x'.repeat(this.#below(200))}`;
      this.written.add(line);
      this.#lastLine.set(name, line);
      text += this.cri ? this.#frames(line) : `${line}\n`;
    }
    this.log.push(`append ${name} to line ${this.#lines}`);
    if (existsSync(this.folder.at(name))) this.folder.append(name, text);
    else this.folder.write(name, text);
  }

  /** A line as the runtime writes it, in one to three pieces, the other stream speaking in between. */
  #frames(line: string): string {
    const stream = this.#chance(0.5) ? 'stdout' : 'stderr';
    const other = stream === 'stdout' ? 'stderr' : 'stdout';
    let text = '';
    let rest = line;
    for (let pieces = this.#below(3); pieces > 0 && rest.length > 1; pieces--) {
      const at = 1 + this.#below(rest.length - 1);
      text += `2024-01-01T00:00:00Z ${stream} P ${rest.slice(0, at)}\n`;
      rest = rest.slice(at);
      if (this.#chance(0.5)) {
        const aside = `aside ${this.#lines++}`;
        this.written.add(aside);
        text += `2024-01-01T00:00:00Z ${other} F ${aside}\n`;
      }
    }
    return `${text}2024-01-01T00:00:00Z ${stream} F ${rest}\n`;
  }

  #exists(name: string): boolean {
    return existsSync(this.folder.at(name));
  }

  /** Whether the receiver has read of what stands at the path, so that it knows it. */
  #seen(name: string): boolean {
    const line = this.#lastLine.get(name);
    return this.#exists(name) && line !== undefined && this.delivered.has(line);
  }

  #rename(name: string): void {
    if (!this.#exists(name) || (!this.rotatedMatch && !this.#seen(name))) return;
    this.log.push(`rename ${name}`);
    this.folder.rename(name, `${name}.${this.#rotations++}`);
    this.#lastLine.delete(name);
  }

  #copyTruncate(name: string): void {
    if (!this.#seen(name)) return;
    this.log.push(`copytruncate ${name}`);
    // Written between the last look and the copy: only the copy has it.
    if (this.#chance(0.5)) this.#append(name);
    copyFileSync(this.folder.at(name), this.folder.at(`${name}.${this.#rotations++}`));
    truncateSync(this.folder.at(name));
    this.#lastLine.delete(name);
  }

  /** Destroys what is in the file: only what was delivered, then. */
  async #truncate(name: string): Promise<void> {
    if (this.#paused !== undefined || !this.#exists(name)) return;
    await this.#drained();
    this.log.push(`truncate ${name}`);
    truncateSync(this.folder.at(name));
    this.#lastLine.delete(name);
  }

  #delete(name: string): void {
    // A file that is closed for want of handles is lost with its name.
    if (this.fewHandles || !this.#seen(name)) return;
    this.log.push(`delete ${name}`);
    this.folder.remove(name);
    this.#lastLine.delete(name);
    this.#deletedUnread = true;
  }

  #pause(): void {
    this.#paused ??= [];
  }

  #resume(): void {
    const waiting = this.#paused ?? [];
    this.#paused = undefined;
    for (const resolve of waiting) resolve();
  }

  /** Ends and starts again; as a crash, with the checkpoints as they were at some time before. */
  async #restart(): Promise<void> {
    const crash = this.crashes && this.#chance(0.7);
    // What only the process holds open is lost with it, and what it has not yet put down anywhere.
    if (this.#deletedUnread || (crash && !this.rotatedMatch)) {
      this.#resume();
      await this.#drained();
    }
    this.log.push(crash ? 'crash' : 'restart');
    this.#deletedUnread = false;
    const kept = this.folder.at('kept');
    rmSync(kept, { recursive: true, force: true });
    if (crash) copyFolder(this.folder.state, kept);
    const stopping = this.#followed?.stop();
    this.#resume();
    await stopping;
    if (crash) {
      rmSync(this.folder.state, { recursive: true });
      copyFolder(kept, this.folder.state);
    }
    await this.#start();
  }

  async #start(): Promise<void> {
    this.#followed = await this.folder.follow(
      {
        include: [this.rotatedMatch ? '*.log*' : '*.log'],
        framing: this.cri ? 'cri' : 'line',
        rotate_wait: '60ms',
        poll_interval: '3ms',
        ...(this.fewHandles ? { max_concurrent_files: 2 } : {}),
      },
      { deliver: (batch) => this.#deliver(batch), context: { random: this.#random } },
    );
  }

  async #deliver(batch: Batch): Promise<void> {
    if (this.refuses && this.#chance(0.2)) {
      throw new RefusedError('by chance', { retryable: true, retryAfterMs: 1 });
    }
    if (this.#paused !== undefined) {
      const waiting = this.#paused;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    for (let row = 0; row < batch.rows; row++) {
      const line = batch.line(row);
      this.delivered.set(line, (this.delivered.get(line) ?? 0) + 1);
    }
  }

  async #drained(): Promise<void> {
    await eventually('everything written', () => this.missing.length === 0);
  }

  get missing(): string[] {
    return [...this.written].filter((line) => !this.delivered.has(line));
  }
}

function copyFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) copyFileSync(join(from, name), join(to, name));
}

const seeds =
  process.env['MESHLOG_SEED'] === undefined
    ? Array.from({ length: 14 }, (_, i) => i + 1)
    : process.env['MESHLOG_SEED'].split(',').map(Number);

for (const seed of seeds) {
  test(`file delivers what was written, and nothing else, in the history of seed ${seed}`, async () => {
    const history = new History(seed);
    try {
      await history.run();
    } catch (error) {
      const [first] = history.missing;
      throw new Error(
        `${JSON.stringify({ cri: history.cri, refuses: history.refuses, crashes: history.crashes, rotatedMatch: history.rotatedMatch, few: history.fewHandles })} ${history.missing.length} ${String(error)}; missing "${first}" and more, after\n${history.log.join('\n')}`,
      );
    }
    const { written, delivered, crashes, refuses } = history;
    expect([...delivered.keys()].filter((line) => !written.has(line))).toEqual([]);
    // Only a crash, or a refusal with later batches taken over, is a reason for twice.
    const twice = [...delivered].filter(([, count]) => count > 1).map(([line]) => line);
    if (!crashes && !refuses) expect(twice, history.log.join('\n')).toEqual([]);
  });
}
