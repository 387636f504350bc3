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
};

/** Makes a fresh condition: conditions hold the batch that is bound. */
export type Plan = (surroundings: Surroundings) => Condition;

/** A problem in the configuration of a condition. */
export type Finding = {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** Character of the text at `path`. */
  readonly offset?: number;
  /** Envoy would not complain, and it never works. */
  readonly warning?: boolean;
};
export type Report = (finding: Finding) => void;

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

export function not(condition: Condition): Condition {
  return {
    bind: (batch) => condition.bind(batch),
    test: (row) => !condition.test(row),
  };
}

function bindAll(conditions: readonly Condition[], batch: Batch): void {
  for (const condition of conditions) condition.bind(batch);
}
