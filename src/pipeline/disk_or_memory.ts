// A disk queue, and what takes its place while its volume cannot be written: records then go through memory, and their
// sources are acknowledged after the export instead of before. What is on disk already is delivered first, or stays for
// a time when it can be read. Nothing else changes, and the exporter goes on.

import type { Batch } from './batch.ts';
import type { Context } from './component.ts';
import { DiskQueue } from './disk_queue/disk_queue.ts';
import { UnwritableError } from './disk_queue/intake.ts';
import { errorChain, isVolumeTrouble, RefusedError } from './errors.ts';
import { MemoryQueue } from './memory_queue.ts';
import { mebibytes, type Queue, type QueueSettings, queueGauges, type Rest } from './queue.ts';
import type { Sender } from './sender.ts';

const openAgainMs = 2000;
const notOpen = 'no disk queue, sources wait for each export and nothing outlasts the process';

export class DiskOrMemoryQueue implements Queue {
  readonly #settings: QueueSettings;
  readonly #sender: Sender;
  readonly #context: Context;
  readonly #disk: DiskQueue;
  /** Made when it is needed first. */
  #memory: MemoryQueue | undefined;
  #isOpen = false;
  #stopping = false;
  #opening: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #unpublish: () => void = () => undefined;

  constructor(folder: string, settings: QueueSettings, sender: Sender, context: Context) {
    this.#settings = settings;
    this.#sender = sender;
    this.#context = context;
    this.#disk = new DiskQueue(folder, settings, sender, context);
    this.#disk.hasStandIn = true;
  }

  /** Rejects when another process has the folder or a newer program wrote it; not for the volume's sake. */
  async start(): Promise<void> {
    try {
      await this.#disk.start();
      this.#isOpen = true;
    } catch (error) {
      if (!isVolumeTrouble(error)) throw error;
      this.#notOpen(error);
    }
  }

  publish(): void {
    const gauges = queueGauges(this.#context, this.#settings, {
      bytes: () => this.#disk.load.bytes() + (this.#memory?.load.bytes() ?? 0),
      oldestMs: () =>
        Math.min(
          this.#disk.load.oldestMs(),
          this.#memory?.load.oldestMs() ?? Number.POSITIVE_INFINITY,
        ),
    });
    const circuit = this.#sender.publish();
    this.#unpublish = () => {
      gauges();
      circuit();
    };
  }

  put(batch: Batch): Promise<void> {
    if (this.#stopping) {
      return Promise.reject(
        new RefusedError(`exporter ${this.#context.id} is stopping`, { retryable: true }),
      );
    }
    if (!this.#isOpen) return this.#standIn().put(batch);
    return this.#disk.put(batch).catch((error: unknown) => {
      if (!(error instanceof UnwritableError)) throw error;
      if (this.#stopping)
        throw new RefusedError(`exporter ${this.#context.id} is stopping`, { retryable: true });
      return this.#standIn().put(batch);
    });
  }

  async stop(deadline: AbortSignal): Promise<Rest> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    await this.#opening;
    const rests = await Promise.all([this.#disk.stop(deadline), this.#memory?.stop(deadline)]);
    this.#unpublish();
    this.#context.degraded.leave();
    return {
      left: rests.reduce((sum, rest) => sum + (rest?.left ?? 0), 0),
      persisted: rests.reduce((sum, rest) => sum + (rest?.persisted ?? 0), 0),
    };
  }

  #standIn(): MemoryQueue {
    if (this.#memory !== undefined) return this.#memory;
    const memory = new MemoryQueue(this.#settings, this.#sender, this.#context);
    const { size } = this.#settings;
    this.#sender.waiting = () => {
      const bytes = this.#disk.load.bytes() + memory.load.bytes();
      return `0 lost, disk queue and memory ${mebibytes(bytes)} of ${mebibytes(size)} MiB`;
    };
    this.#memory = memory;
    return memory;
  }

  #notOpen(error: unknown): void {
    if (this.#stopping) return;
    this.#context.degraded.begin(notOpen, errorChain(error));
    this.#timer = setTimeout(() => {
      this.#opening = this.#openAgain();
    }, openAgainMs);
    this.#timer.unref();
  }

  async #openAgain(): Promise<void> {
    try {
      await this.#disk.start();
      this.#isOpen = true;
      this.#context.degraded.end(notOpen);
    } catch (error) {
      this.#notOpen(error);
    }
  }
}
