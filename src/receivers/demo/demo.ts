// A mesh to look at before one has a mesh: the lines are made, everything after them is real.

import { z } from 'zod';
import { Batch } from '../../pipeline/batch.ts';
import { type Context, type Deliver, type Receiver, receiver } from '../../pipeline/component.ts';
import type { Attributes } from '../../pipeline/record.ts';
import { jsonLine, textLine } from './lines.ts';
import { type Entry, Mesh, type Pod } from './mesh.ts';

const tickMs = 200;

const config = z.strictObject({
  requests_per_second: z
    .number()
    .positive()
    .max(10_000)
    .default(40)
    .describe('Requests that enter the mesh. Each leaves about seven lines.'),
  format: z
    .enum(['mixed', 'json', 'text'])
    .default('mixed')
    .describe("Istio's JSON lines, its text lines, or some pods of each kind."),
  requests: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('End after this many requests. Absent: go on until stopped.'),
});

type DemoConfig = z.output<typeof config>;

export const demo = receiver({
  name: 'demo',
  summary: 'Plays a small living mesh (the bookinfo services) as the lines that Istio prints.',
  config,
  example: `demo:
  requests_per_second: 40`,
  notes: 'For a first look, for demonstrations and for tests of what comes after it.',
  create: (settings, context) => new Demo(settings, context),
});

class Demo implements Receiver {
  readonly ended: Promise<void>;
  readonly #config: DemoConfig;
  readonly #context: Context;
  readonly #mesh: Mesh;
  readonly #facts = new Map<Pod, Attributes>();
  #finish: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  #played = 0;
  #startedMs = 0;
  #busy: Promise<void> = Promise.resolve();
  #delivering = false;

  constructor(settings: DemoConfig, context: Context) {
    this.#config = settings;
    this.#context = context;
    this.#mesh = new Mesh(() => context.random());
    this.ended = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  async start(deliver: Deliver): Promise<void> {
    this.#startedMs = this.#context.now() - tickMs;
    const tick = (): void => {
      // A slow pipeline makes the demo wait, as it would make a real source wait.
      if (this.#delivering) return;
      this.#delivering = true;
      this.#busy = this.#play(deliver).finally(() => {
        this.#delivering = false;
      });
    };
    // The first tick comes a moment after the start, so that the picture of what runs stands above the first record.
    this.#timer = setInterval(tick, tickMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#busy;
  }

  status(): string {
    return `6 services, ${this.#config.requests_per_second} requests/s`;
  }

  async #play(deliver: Deliver): Promise<void> {
    const { requests, requests_per_second } = this.#config;
    const nowMs = this.#context.now();
    const elapsedMs = nowMs - this.#startedMs;
    const due = Math.min(
      Math.floor((elapsedMs * requests_per_second) / 1000),
      requests ?? Number.POSITIVE_INFINITY,
      this.#played + Math.ceil(requests_per_second),
    );
    const entries: Entry[] = [];
    for (; this.#played < due; this.#played++) {
      entries.push(...this.#mesh.request(nowMs - Math.floor(this.#context.random() * tickMs)));
    }
    if (entries.length > 0) await this.#deliver(deliver, entries);
    if (this.#played === requests) {
      clearInterval(this.#timer);
      this.#finish();
    }
  }

  async #deliver(deliver: Deliver, entries: Entry[]): Promise<void> {
    entries.sort((a, b) => a.startMs - b.startMs);
    const batch = Batch.ofLines(entries.map((entry) => this.#line(entry)));
    batch.observedMs = this.#context.now();
    const pods = [...new Set(entries.map((entry) => entry.pod))];
    batch.resources = pods.map((pod) => this.#factsOf(pod));
    batch.resourceOf = new Uint16Array(batch.capacity);
    for (const [row, entry] of entries.entries()) batch.resourceOf[row] = pods.indexOf(entry.pod);
    try {
      await deliver(batch);
      batch.release();
    } catch {
      // Refused while stopping: made-up lines need no second try.
    }
  }

  #line(entry: Entry): string {
    const { format } = this.#config;
    const text = format === 'text' || (format === 'mixed' && entry.pod.version === 'v2');
    return text ? textLine(entry) : jsonLine(entry);
  }

  /** The facts that the file receiver would take from the pod's log path. */
  #factsOf(pod: Pod): Attributes {
    let facts = this.#facts.get(pod);
    if (facts === undefined) {
      facts = {
        'k8s.namespace.name': pod.version === '' ? 'istio-system' : 'bookinfo',
        'k8s.pod.name': pod.name,
        'k8s.container.name': 'istio-proxy',
      };
      this.#facts.set(pod, facts);
    }
    return facts;
  }
}
