// Decides over the rows of a batch: kept in any case, by percentage, and within the budget.

import type { Condition } from '../../access_log/filter/condition.ts';
import { FieldReader } from '../../access_log/filter/field_reader.ts';
import type { RequestDraw } from '../../access_log/filter/fraction.ts';
import { named } from '../../access_log/filter/names.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import type { Column } from '../../pipeline/column.ts';

import { SpanMemo } from '../../pipeline/span_memo.ts';
import type { Budget, Key } from './budget.ts';
import type { TraceDraw } from './trace_draw.ts';

/** `threshold` of `buckets` are kept. */
export type Share = { readonly threshold: number; readonly buckets: number };

/** Records that `condition` holds for have a share of their own. */
export type Rule = { readonly condition: Condition; readonly share: Share };

export type Plan = {
  /** Records that are kept in any case. */
  readonly keep: Condition;
  readonly rules: readonly Rule[];
  readonly share: Share;
  readonly request: RequestDraw;
  /** Given: traces decide, where there is one. */
  readonly trace: TraceDraw | undefined;
  /** true: dice instead of ids. */
  readonly independent: boolean;
  readonly budget: { readonly budget: Budget; readonly key: readonly string[] } | undefined;
  readonly weighs: boolean;
  now(): number;
  random(): number;
};

export type Counts = { kept: number; sampled: number; dropped: number };

const weightName = 'sampling.weight';

export class Sampler {
  readonly #plan: Plan;
  readonly #keys: KeyReader | undefined;
  /** What became of the last batch. */
  readonly counts: Counts = { kept: 0, sampled: 0, dropped: 0 };
  #weights: Column | undefined = undefined;
  #batch: Batch | undefined = undefined;
  /** Per row of the batch: its weight, 0 when it is dropped, negative when it is kept in any case. */
  #fate = new Float64Array(1024);
  #keyOf: Key[] = [];
  readonly #keepsAtOnce: (row: number) => boolean;
  readonly #keepsWithin: (row: number) => boolean;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#keys = plan.budget && new KeyReader(plan.budget.key, plan.budget.budget);
    this.#keepsAtOnce = (row) => this.#settle(row, this.#decide(row));
    this.#keepsWithin = (row) => this.#within(row);
  }

  process(batch: Batch): void {
    const { counts } = this;
    counts.kept = 0;
    counts.sampled = 0;
    counts.dropped = 0;
    this.#bind(batch);
    const budget = this.#plan.budget?.budget;
    if (budget === undefined) batch.keep(this.#keepsAtOnce);
    else {
      this.#forecast(batch, budget);
      budget.plan(this.#plan.now());
      batch.keep(this.#keepsWithin);
      budget.settle();
    }
    this.#batch = undefined;
    this.#weights = undefined;
  }

  #bind(batch: Batch): void {
    const { keep, rules, request, trace, weighs } = this.#plan;
    keep.bind(batch);
    for (const rule of rules) rule.condition.bind(batch);
    request.bind(batch);
    trace?.bind(batch);
    this.#keys?.bind(batch);
    this.#batch = batch;
    this.#weights = weighs ? batch.ownColumn(weightName) : undefined;
  }

  /** The weight of a row by percentage: 0 when it is dropped, -1 when it is kept in any case. */
  #decide(row: number): number {
    const { keep, rules } = this.#plan;
    if (keep.test(row)) return -1;
    let { share } = this.#plan;
    for (let i = 0; i < rules.length; i++) {
      if (!rules[i]!.condition.test(row)) continue;
      share = rules[i]!.share;
      break;
    }
    const { threshold, buckets } = share;
    if (threshold >= buckets) return 1;
    return this.#draws(row, threshold, buckets) ? buckets / threshold : 0;
  }

  #draws(row: number, threshold: number, buckets: number): boolean {
    const { request, trace, independent } = this.#plan;
    if (independent) return request.dice(buckets) < threshold;
    const unit = trace === undefined ? -1 : trace.unit(row);
    return unit >= 0 ? unit < threshold / buckets : request.bucket(row, buckets) < threshold;
  }

  /** First look at all rows: how many of each key stand for the budget. */
  #forecast(batch: Batch, budget: Budget): void {
    if (this.#fate.length < batch.rows) this.#fate = new Float64Array(batch.capacity);
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      const weight = this.#decide(row);
      this.#fate[row] = weight;
      if (weight === 0) continue;
      const key = this.#keys!.key(row);
      this.#keyOf[row] = key;
      budget.add(key, weight < 0);
    }
  }

  /** Second look: the chance of the row's key is known. */
  #within(row: number): boolean {
    const weight = this.#fate[row]!;
    if (weight <= 0) return this.#settle(row, weight);
    const key = this.#keyOf[row]!;
    const { chance } = key;
    if (chance < 1 && this.#unit(row) >= chance) return this.#settle(row, 0);
    key.kept++;
    return this.#settle(row, weight / chance);
  }

  #unit(row: number): number {
    const { request, trace, independent, random } = this.#plan;
    if (independent) return random();
    const unit = trace === undefined ? -1 : trace.unit(row);
    return unit >= 0 ? unit : request.unit(row);
  }

  #settle(row: number, weight: number): boolean {
    const { counts } = this;
    if (weight === 0) {
      counts.dropped++;
      return false;
    }
    if (weight < 0) counts.kept++;
    else counts.sampled++;
    if (this.#weights !== undefined) this.#weigh(this.#weights, row, weight < 0 ? 1 : weight);
    return true;
  }

  /** A record that was sampled before stands for all that it stood for, times what it stands for now. */
  #weigh(column: Column, row: number, weight: number): void {
    const before = this.#batch!.number(column, row);
    const value = before > 0 ? before * weight : weight;
    if (Number.isSafeInteger(value)) column.setInt(row, value);
    else column.setDouble(row, value);
  }
}

const keyBytesMax = 256;

/** The budget's key of a row: its fields, one after the other. */
class KeyReader {
  readonly #fields: readonly FieldReader[];
  readonly #budget: Budget;
  readonly #memo: SpanMemo<Key>;
  readonly #bytes = Buffer.alloc(keyBytesMax + 8);
  readonly #view = viewOf(this.#bytes);
  #generation = 0;

  constructor(names: readonly string[], budget: Budget) {
    this.#fields = names.map((name) => new FieldReader(named(name)?.sources ?? [{ name }]));
    this.#budget = budget;
    this.#memo = new SpanMemo((bytes, start, end) => budget.key(bytes.latin1Slice(start, end)));
  }

  bind(batch: Batch): void {
    for (const field of this.#fields) field.bind(batch);
    if (this.#generation === this.#budget.generation) return;
    this.#generation = this.#budget.generation;
    this.#memo.clear();
  }

  key(row: number): Key {
    let at = 0;
    for (let i = 0; i < this.#fields.length; i++) {
      const field = this.#fields[i]!;
      if (field.span(row)) {
        const end = Math.min(field.end, field.start + keyBytesMax - at - 1);
        for (let from = field.start; from < end; from++) this.#bytes[at++] = field.bytes[from]!;
      }
      if (at < keyBytesMax) this.#bytes[at++] = 0;
    }
    return this.#memo.get(this.#bytes, this.#view, 0, at);
  }
}
