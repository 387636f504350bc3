// What receivers, processors and exporters promise one another, and how a component describes itself.

import type { z } from 'zod';
import type { Degraded } from '../telemetry/degraded.ts';
import type { Counter, Metrics } from '../telemetry/metrics.ts';
import type { Batch } from './batch.ts';
import type { Share } from './budget.ts';

/**
 * Hands a batch to the pipelines. Resolves when every exporter has delivered or persisted it (filtered records count as
 * delivered); rejects with RefusedError when it was not taken over. The promise is both the acknowledgement and the
 * backpressure. After it resolves nobody else holds the batch: the receiver may `release` it.
 */
export type Deliver = (batch: Batch) => Promise<void>;

export type Receiver = {
  /** Opens sockets and files and begins to deliver. Rejects when that is impossible (port in use). */
  start(deliver: Deliver): Promise<void>;
  /** Takes in nothing new, waits for what was handed to `deliver`, closes. Called once. */
  stop(): Promise<void>;
  /** A few words for the start-up picture: what it listens on, how many files match. */
  status?(): string;
  /**
   * Resolves when the source is exhausted and all of it was handed to `deliver`. Absent: the source never ends. The
   * daemon stops when every receiver has ended.
   */
  readonly ended?: Promise<void>;
};

export type Processor = {
  /**
   * Synchronous, in place where it can. Never throws on bad data. May return another batch: then the engine releases
   * that one too, so its bytes must be its own (or borrowed by `fork`).
   */
  process(batch: Batch): Batch;
  stop?(): Promise<void>;
};

export type Exporter = {
  /** Opens what it needs before data comes; must not fail because a peer is away. */
  start?(): Promise<void>;
  /**
   * Resolves when the peer has the records; rejects with ExportError. Reads the batch only, and not after settling.
   * `signal` aborts at the end of the grace period, and when the attempt has taken too long. Later batches may come with
   * the same one: whoever listens to it stops that before settling.
   */
  export(batch: Batch, signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
  /** A few words for the start-up picture: where the records go. */
  status?(): string;
  /** The user sent SIGHUP: reopen files. */
  reopen?(): Promise<void>;
};

/** One line per change of state, never one per record. */
export type Log = {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
};

/** What the engine gives to each component instance. */
export type Context = {
  /** The id in the configuration: `type` or `type/name`. */
  readonly id: string;
  readonly log: Log;
  readonly metrics: Metrics;
  /** For what goes on with less than the configuration promises. */
  readonly degraded: Degraded;
  /** This receiver's part of the byte budget. */
  readonly budget: Share;
  /** Where state lives that outlasts the process (checkpoints, queues). Undefined: keep none. */
  readonly stateDirectory: string | undefined;
  /** The configuration file's folder: relative paths in the configuration start there. */
  readonly baseDirectory: string;
  /** Milliseconds since 1970, and [0, 1): the only clock and dice that components use, so that tests can set them. */
  now(): number;
  random(): number;
  /** Counts records that end here under a reason (snake_case): meshlog_dropped_records_total{component,reason}. */
  drop(reason: string, records: number): void;
};

type Doc = {
  /** snake_case: the YAML type, the file name, the metric label. */
  readonly name: string;
  /** One sentence: what it is for. */
  readonly summary: string;
  /** YAML that can be pasted under `receivers:` and so on. Parsed and checked by a test. */
  readonly example: string;
  /** What it counts and what it can lose, for `meshlog docs`. */
  readonly notes?: string;
};

type Schema = z.ZodType;

export type ReceiverType<S extends Schema = Schema> = Doc & {
  readonly kind: 'receiver';
  readonly config: S;
  create(config: z.output<S>, context: Context): Receiver;
};
export type ProcessorType<S extends Schema = Schema> = Doc & {
  readonly kind: 'processor';
  readonly config: S;
  create(config: z.output<S>, context: Context): Processor;
};
export type ExporterType<S extends Schema = Schema> = Doc & {
  readonly kind: 'exporter';
  readonly config: S;
  create(config: z.output<S>, context: Context): Exporter;
};
export type ComponentType = ReceiverType | ProcessorType | ExporterType;

export function receiver<S extends Schema>(type: Omit<ReceiverType<S>, 'kind'>): ReceiverType<S> {
  return { kind: 'receiver', ...type };
}

export function processor<S extends Schema>(
  type: Omit<ProcessorType<S>, 'kind'>,
): ProcessorType<S> {
  return { kind: 'processor', ...type };
}

/** The engine adds `queue`, `retry_on_failure` and `timeout` to every exporter's schema (queue.ts). */
export function exporter<S extends Schema>(type: Omit<ExporterType<S>, 'kind'>): ExporterType<S> {
  return { kind: 'exporter', ...type };
}

export type { Counter };
