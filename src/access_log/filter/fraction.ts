// Envoy's FractionalPercent and the decision of runtime_filter.

import type { Batch } from '../../pipeline/batch.ts';
import type { Condition, Surroundings } from './condition.ts';
import { FieldReader } from './field_reader.ts';
import { bucketOfId } from './request_random.ts';
import { choice, type Struct } from './struct.ts';

/** `numerator` of `buckets`. */
export type Fraction = { readonly numerator: number; readonly buckets: number };

const denominators = ['HUNDRED', 'TEN_THOUSAND', 'MILLION'];
const bucketsOf = [100, 10_000, 1_000_000];

/** The fields of a FractionalPercent. */
export const fractionFields = ['numerator', 'denominator'];

export function readFraction(struct: Struct): Fraction {
  const index = choice(
    struct.value('denominator'),
    struct.pathOf('denominator'),
    struct.report,
    denominators,
  );
  const numerator = struct.number('numerator') ?? 0;
  if (!Number.isInteger(numerator) || numerator < 0) {
    struct.problem(`expected a whole number, got ${numerator}`, 'numerator');
  }
  return { numerator, buckets: bucketsOf[index ?? 0]! };
}

/** A percentage in the coarsest fraction that holds it: what its user would have written for Envoy. */
export function fractionOf(percent: number): Fraction {
  const buckets = bucketsOf.find((size) => Number.isInteger(rounded((percent * size) / 100)));
  const size = buckets ?? 1_000_000;
  return { numerator: Math.round((percent * size) / 100), buckets: size };
}

/** 1.1 * 100 is 110.00000000000001. */
const rounded = (value: number): number => Number(value.toPrecision(12));

export type Decision = {
  readonly fraction: Fraction;
  /** Overrides the numerator where the runtime has this key. */
  readonly runtimeKey: string | undefined;
  /** true: dice, as if there were no id. */
  readonly independent: boolean;
};

/** How many of `buckets` pass: the runtime's word, else the configuration's. */
export function thresholdOf(decision: Decision, runtime: Surroundings['runtime']): number {
  const { runtimeKey, fraction } = decision;
  const override = runtimeKey === undefined ? undefined : runtime[runtimeKey];
  return Math.min(override ?? fraction.numerator, fraction.buckets);
}

/** Records carry Envoy's stream id in one of these; for HTTP it is the x-request-id. */
const idSources = [{ name: 'request.id' }, { name: 'stream.id' }] as const;

/** The id of a request drawn as a random number, and dice for those that have none. */
export class RequestDraw {
  readonly #id = new FieldReader(idSources);
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  bind(batch: Batch): void {
    this.#id.bind(batch);
  }

  /** The bucket of a row: Envoy's, so that a proxy and we choose the same requests. */
  bucket(row: number, buckets: number): number {
    const id = this.#id;
    const bucket = id.span(row) ? bucketOfId(id.bytes, id, buckets) : -1;
    return bucket < 0 ? this.dice(buckets) : bucket;
  }

  dice(buckets: number): number {
    return Math.floor(this.#random() * 2 ** 32) % buckets;
  }

  /** A number in [0, 1) of the whole id, the same on every hop; finer than buckets. */
  unit(row: number): number {
    const id = this.#id;
    return id.span(row) ? unitOf(id.bytes, id.start, id.end) : this.#random();
  }
}

/** Bytes mixed into 32 bits: ids that count up are spread as well as random ones. */
function unitOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

/** The condition of Envoy's runtime_filter: true for `fraction` of all ids, always the same ones. */
export function sampled(decision: Decision, surroundings: Surroundings): Condition {
  const { buckets } = decision.fraction;
  const threshold = thresholdOf(decision, surroundings.runtime);
  const draw = new RequestDraw(surroundings.random);
  return {
    bind: (batch) => draw.bind(batch),
    test: decision.independent
      ? () => draw.dice(buckets) < threshold
      : (row) => draw.bucket(row, buckets) < threshold,
  };
}
