// Envoy's FractionalPercent and the decision of runtime_filter.

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

/** Records carry Envoy's stream id in one of these; for HTTP it is the x-request-id. */
export const idSources = [{ name: 'request.id' }, { name: 'stream.id' }] as const;

/** The condition of Envoy's runtime_filter: true for `fraction` of all ids, always the same ones. */
export function sampled(decision: Decision, surroundings: Surroundings): Condition {
  const { buckets, numerator } = decision.fraction;
  const override =
    decision.runtimeKey === undefined ? undefined : surroundings.runtime[decision.runtimeKey];
  const threshold = Math.min(override ?? numerator, buckets);
  const id = new FieldReader(idSources);
  const dice = (): number => Math.floor(surroundings.random() * 2 ** 32) % buckets;
  return {
    bind: (batch) => id.bind(batch),
    test: (row) => {
      let bucket = -1;
      if (!decision.independent && id.span(row)) bucket = bucketOfId(id.bytes, id, buckets);
      return (bucket < 0 ? dice() : bucket) < threshold;
    },
  };
}
