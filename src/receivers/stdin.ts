// Lines from standard input: `kubectl logs ... | meshlog run ...`.

import type { Readable } from 'node:stream';
import { z } from 'zod';
import { bytes, duration } from '../config/fields.ts';
import { LineFramer } from '../encoding/framing/framer.ts';
import { LineGatherer, type LineSource } from '../encoding/framing/gatherer.ts';
import type { LinePolicy } from '../encoding/framing/open_batch.ts';
import { type Context, type Deliver, type Receiver, receiver } from '../pipeline/component.ts';
import { Handover } from '../pipeline/handover.ts';

const config = z.strictObject({
  line_bytes_max: bytes()
    .refine((size) => size >= 64, 'line_bytes_max must be at least 64')
    .prefault('1MiB')
    .describe('Longest line.'),
  line_too_long: z
    .enum(['split', 'truncate', 'drop'])
    .default('split')
    .describe('A longer one becomes several records, loses its end, or is dropped and counted.'),
  linger: duration()
    .refine((ms) => ms > 0, 'linger must be positive')
    .prefault('100ms')
    .describe('The longest that a line waits for others to make a batch.'),
});

export type StdinConfig = z.output<typeof config>;

export const stdin = receiver({
  name: 'stdin',
  summary: 'Takes lines from standard input and ends with it.',
  config,
  example: `stdin:
  line_bytes_max: 1MiB`,
  notes: `The daemon stops when every receiver is one that ends, and all have ended.
A last line without newline counts. While the pipeline cannot take more, standard input is not read.`,
  create: (settings, context) => new StdinReceiver(settings, context, () => process.stdin),
});

/** Reads one stream to its end. The stream is opened at start: touching process.stdin keeps a process alive. */
export class StdinReceiver implements Receiver {
  readonly ended: Promise<void>;
  readonly #settings: StdinConfig;
  readonly #context: Context;
  readonly #open: () => Readable;
  readonly #end: () => void;
  #stream: Readable | undefined;
  #done: Promise<void> = Promise.resolve();
  #handover: Handover | undefined;
  #stopping = false;
  #wake: () => void = () => undefined;
  #state: 'waiting' | 'reading' | 'ended' = 'waiting';

  constructor(settings: StdinConfig, context: Context, open: () => Readable) {
    this.#settings = settings;
    this.#context = context;
    this.#open = open;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
  }

  async start(deliver: Deliver): Promise<void> {
    const handover = new Handover(deliver, this.#context);
    this.#handover = handover;
    this.#stream = this.#open();
    this.#state = 'reading';
    const wake = (): void => this.#wake();
    this.#stream.on('readable', wake).on('end', wake).on('close', wake);
    this.#stream.on('error', (error) => {
      this.#context.log.warn(`cannot read on: ${error.message}`);
    });
    this.#done = this.#readAll(this.#stream, handover);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake();
    await this.#done;
    this.#stream?.destroy();
    await this.#handover?.finish();
  }

  status(): string {
    return this.#state;
  }

  async #readAll(stream: Readable, handover: Handover): Promise<void> {
    const gatherer = new LineGatherer(
      {
        policy: this.#policy,
        lingerMs: this.#settings.linger,
        handOver: (batch, budgetBytes) => handover.push(batch, budgetBytes),
        onRoom: () => this.#wake(),
      },
      this.#context,
    );
    const source = this.#source(gatherer);
    for (;;) {
      const chunk = stream.read() as Buffer | null;
      if (chunk !== null) while (!gatherer.take(source, chunk)) await this.#sleep();
      else if (stream.readableEnded || stream.destroyed || this.#stopping) break;
      else await this.#sleep();
    }
    while (!gatherer.finish(source)) await this.#sleep();
    gatherer.close();
    this.#state = 'ended';
    this.#end();
  }

  #source(gatherer: LineGatherer): LineSource {
    const framer = new LineFramer({
      framing: 'newline',
      policy: this.#policy,
      facts: {},
      counts: gatherer.counts,
      kept: { bytes: 0 },
    });
    return { framer, own: undefined, lastShared: undefined };
  }

  get #policy(): LinePolicy {
    const { line_bytes_max, line_too_long } = this.#settings;
    return { lineBytesMax: line_bytes_max, tooLong: line_too_long };
  }

  /** Until there may be something to do. */
  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
