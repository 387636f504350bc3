// Messages of all streams gathered into batches: proxies send little and often, and a batch should carry more than a
// handful of entries.

import { AlsDecoder } from '../../encoding/als/decode.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { buffers } from '../../pipeline/buffers.ts';
import type { Context, Deliver } from '../../pipeline/component.ts';
import { Handover } from '../../pipeline/handover.ts';
import type { Attributes } from '../../pipeline/record.ts';
import type { EnvoyAlsConfig } from './envoy_als.ts';
import { KumaBodies } from './kuma_bodies.ts';

export type Gathered = {
  readonly message: Buffer;
  /** The buffer of the pool that begins with the message, if it stands in one. It is given away with it. */
  readonly own: Buffer | undefined;
  readonly entries: number;
  /** Who sent it. The same object for the same sender. */
  readonly facts: Attributes;
  /** Bytes of the budget that it holds. */
  readonly heldBytes: number;
};

/** With room for what is spelled behind the messages, and as a request: 512 KiB of the pool each. */
const batchBytesMax = 224 * 1024;
const batchRowsMax = 2048;
const resourcesMax = 65_535;

export class Gathering {
  readonly #context: Context;
  readonly #handover: Handover;
  readonly #decoder = new AlsDecoder();
  readonly #lingerMs: number;
  readonly #bodies: KumaBodies | undefined;
  #waiting: Gathered[] = [];
  #bytes = 0;
  #rows = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(deliver: Deliver, settings: EnvoyAlsConfig, context: Context) {
    this.#context = context;
    this.#handover = new Handover(deliver, context);
    this.#lingerMs = settings.linger;
    this.#bodies = settings.log_name === 'kuma' ? new KumaBodies(context) : undefined;
  }

  add(gathered: Gathered): void {
    this.#waiting.push(gathered);
    this.#bytes += gathered.message.length;
    this.#rows += gathered.entries;
    if (this.#bytes >= batchBytesMax || this.#rows >= batchRowsMax) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), this.#lingerMs);
  }

  /** Delivers what waits. Resolves when everything is delivered or dropped. */
  async finish(): Promise<void> {
    this.#flush();
    await this.#handover.finish();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const gathered = this.#waiting;
    if (gathered.length === 0) return;
    const batch = this.#decoder.decode(
      gathered.map(({ message }) => message),
      this.#rows,
    );
    for (const { own } of gathered) if (own !== undefined) buffers.give(own);
    this.#waiting = [];
    this.#bytes = 0;
    this.#rows = 0;
    batch.observedMs = this.#context.now();
    setResources(batch, gathered);
    this.#bodies?.write(batch);
    this.#handover.push(
      batch,
      gathered.reduce((sum, { heldBytes }) => sum + heldBytes, 0),
    );
  }
}

/** The facts of each message are those of its rows. */
function setResources(batch: Batch, gathered: readonly Gathered[]): void {
  const [first] = gathered;
  if (first === undefined || gathered.every(({ facts }) => facts === first.facts)) {
    batch.resource = first?.facts ?? {};
    return;
  }
  const resources: Attributes[] = [];
  const of = new Uint16Array(batch.capacity);
  const numbers = new Map<Attributes, number>();
  let row = 0;
  for (const { facts, entries } of gathered) {
    let number = numbers.get(facts);
    if (number === undefined) {
      number = Math.min(resources.length, resourcesMax);
      if (number === resources.length) resources.push(facts);
      numbers.set(facts, number);
    }
    of.fill(number, row, row + entries);
    row += entries;
  }
  batch.resources = resources;
  batch.resourceOf = of;
}
