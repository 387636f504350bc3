// A yes-or-no question about records, and how one is built from configuration.

import type { Batch } from '../../pipeline/batch.ts';

/** Resolved once per batch by `bind`, then asked per row. */
export type Condition = {
  bind(batch: Batch): void;
  test(row: number): boolean;
};

/** What a condition needs of the component that asks it. */
export type Surroundings = {
  /** [0, 1) */
  random(): number;
  /** Overrides by runtime key, as Envoy's runtime layers: thresholds and percentages. */
  readonly runtime: Readonly<Record<string, number>>;
  /** Counts evaluations that failed; a filter takes them as false. */
  readonly faults: { count: number };
  /** Something that Envoy would not complain about and that never works. Once, at the start. */
  warn(message: string): void;
};

/** Makes a fresh condition: conditions hold the batch that is bound. */
export type Plan = (surroundings: Surroundings) => Condition;

/** A problem in the configuration of a condition. */
export type Finding = {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** Character of the text at `path`. */
  readonly offset?: number;
};
export type Report = (finding: Finding) => void;

/** Asks a plan once, so that what it warns of is known; for checking at the start. */
export const idleSurroundings: Surroundings = {
  random: () => 0,
  runtime: {},
  faults: { count: 0 },
  warn: () => undefined,
};

export function allOf(conditions: readonly Condition[]): Condition {
  if (conditions.length === 1) return conditions[0]!;
  return {
    bind: (batch) => bindAll(conditions, batch),
    test: (row) => {
      for (let i = 0; i < conditions.length; i++) if (!conditions[i]!.test(row)) return false;
      return true;
    },
  };
}

export function anyOf(conditions: readonly Condition[]): Condition {
  if (conditions.length === 1) return conditions[0]!;
  return {
    bind: (batch) => bindAll(conditions, batch),
    test: (row) => {
      for (let i = 0; i < conditions.length; i++) if (conditions[i]!.test(row)) return true;
      return false;
    },
  };
}

function bindAll(conditions: readonly Condition[], batch: Batch): void {
  for (const condition of conditions) condition.bind(batch);
}
