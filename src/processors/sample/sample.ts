// Fewer records, on purpose: a part of what is not kept anyway, by request, by trace, or within a budget.

import { z } from 'zod';
import type { Surroundings } from '../../access_log/filter/condition.ts';
import { condition } from '../../access_log/filter/config_fields.ts';
import {
  type Fraction,
  fractionOf,
  RequestDraw,
  thresholdOf,
} from '../../access_log/filter/fraction.ts';
import { named, suggestions } from '../../access_log/filter/names.ts';
import { warn } from '../../config/warning.ts';
import { didYouMean } from '../../config/words.ts';
import { type Context, type Processor, processor } from '../../pipeline/component.ts';
import { Budget } from './budget.ts';
import { type Plan, Sampler, type Share } from './sampler.ts';
import { TraceDraw } from './trace_draw.ts';

const percent = () =>
  z.number().min(0).max(100).optional().describe('Part of the records that is kept, in percent.');

const percentSampled = () =>
  z
    .strictObject({
      numerator: z.number().int().nonnegative().default(0).describe('How many are kept ...'),
      denominator: z
        .enum(['HUNDRED', 'TEN_THOUSAND', 'MILLION'])
        .default('HUNDRED')
        .describe('... of how many.'),
    })
    .optional()
    .describe("The same as Envoy's FractionalPercent, in place of percent.");

const rule = z
  .strictObject({
    match: condition().describe('Which records: an expression, or an AccessLogFilter of Envoy.'),
    percent: percent(),
    percent_sampled: percentSampled(),
  })
  .superRefine((settings, context) => oneShare(settings, context, 'required'));

const fieldName = z.string().superRefine((name, context) => {
  const meant = named(name) === undefined ? didYouMean(name, suggestions) : '';
  if (meant !== '') warn(context, `"${name}" is no field of the vocabulary${meant}`);
});

const budget = z
  .strictObject({
    records_per_second: z
      .number()
      .positive()
      .optional()
      .describe('Records a second of each key that are kept.'),
    total_records_per_second: z
      .number()
      .positive()
      .optional()
      .describe(
        'Records a second of all keys together, shared so that rare keys are kept whole and busy ones get equal parts.',
      ),
    key: z
      .union([fieldName, z.array(fieldName)])
      .default([])
      .describe('Field or fields whose values have a budget each; none: one budget for all.'),
  })
  .refine(
    (settings) =>
      settings.records_per_second !== undefined || settings.total_records_per_second !== undefined,
    { message: 'give records_per_second, total_records_per_second or both' },
  );

const config = z
  .strictObject({
    keep_if: condition()
      .prefault('response.code >= 400 || has(response.flags) || has(log.parse_error)')
      .describe(
        "Records that are kept in any case: an expression, or an AccessLogFilter of Envoy. By default every error, and what could not be parsed. 'false': none.",
      ),
    percent: percent(),
    percent_sampled: percentSampled(),
    rules: z
      .array(rule)
      .default([])
      .describe(
        'Percentages of their own, by service, route or status: the first that matches decides.',
      ),
    by: z
      .enum(['request_id', 'trace_id'])
      .default('request_id')
      .describe(
        "What decides. `request_id`: as Envoy's runtime_filter, so that a proxy and every hop of a request decide alike. `trace_id`: the threshold of OpenTelemetry's consistent sampling, where there is a trace id.",
      ),
    use_independent_randomness: z
      .boolean()
      .default(false)
      .describe('true: dice for every record, whatever its ids are.'),
    budget: budget
      .optional()
      .describe('A limit on what is kept besides keep_if; it adapts by itself.'),
    weight: z
      .boolean()
      .default(false)
      .describe('true: sampling.weight says for how many records a kept one stands.'),
    runtime_key: z
      .string()
      .optional()
      .describe('A key of `runtime` that overrides the numerator, as in runtime_filter.'),
    runtime: z
      .record(z.string(), z.number().int().nonnegative())
      .default({})
      .describe('Values of runtime keys.'),
  })
  .superRefine((settings, context) => {
    const others = settings.budget !== undefined || settings.rules.length > 0;
    oneShare(settings, context, others ? 'optional' : 'required');
  });

type Settings = z.output<typeof config>;
type ShareSettings = {
  readonly percent?: number | undefined;
  readonly percent_sampled?: { numerator: number; denominator: string } | undefined;
};

function oneShare(
  settings: ShareSettings,
  context: z.core.$RefinementCtx,
  need: 'required' | 'optional',
): void {
  const both = settings.percent !== undefined && settings.percent_sampled !== undefined;
  const none = settings.percent === undefined && settings.percent_sampled === undefined;
  if (both)
    context.addIssue({ code: 'custom', message: 'give percent or percent_sampled, not both' });
  if (none && need === 'required') {
    context.addIssue({ code: 'custom', message: 'percent or percent_sampled is missing' });
  }
}

export const sample = processor({
  name: 'sample',
  summary:
    'Keeps errors and a part of the rest: by percentage, by request or trace, within a budget.',
  config,
  example: `sample/half:
  keep_if: { status_code_filter: { comparison: { op: GE, value: { default_value: 400 } } } }
  percent: 50`,
  notes: `The same x-request-id gets the same answer everywhere. Records without one are drawn by dice. What is left out
counts as delivered, in otelcol_processor_probabilistic_sampler_count_logs_sampled_total{sampled="false"}.
With a budget the percentage adapts within a second; records of keep_if are never left out, they use the budget up first.`,
  create,
});

function create(settings: Settings, context: Context): Processor {
  const faults = { count: 0 };
  const sampler = new Sampler(planOf(settings, context, faults));
  const count = (policy: string, sampled: boolean) =>
    context.metrics.counter(
      'otelcol_processor_probabilistic_sampler_count_logs_sampled_total',
      'Records that were kept or left out, and by what.',
      { processor: context.id, policy, sampled: String(sampled) },
    );
  const kept = count('keep_if', true);
  const sampled = count('sample', true);
  const dropped = count('sample', false);
  const failed = context.metrics.counter(
    'meshlog_filter_evaluation_errors_total',
    'Records for which an expression could not be evaluated: it counts as false.',
    { processor: context.id },
  );
  return {
    process: (batch) => {
      sampler.process(batch);
      kept.add(sampler.counts.kept);
      sampled.add(sampler.counts.sampled);
      dropped.add(sampler.counts.dropped);
      failed.add(faults.count);
      faults.count = 0;
      return batch;
    },
  };
}

function planOf(settings: Settings, context: Context, faults: { count: number }): Plan {
  const random = () => context.random();
  const surroundings: Surroundings = { random, runtime: settings.runtime, faults };
  const { runtime_key: runtimeKey } = settings;
  const limits = settings.budget;
  return {
    keep: settings.keep_if(surroundings),
    rules: settings.rules.map((one) => ({
      condition: one.match(surroundings),
      share: shareOf(one, undefined, settings.runtime),
    })),
    share: shareOf(settings, runtimeKey, settings.runtime),
    request: new RequestDraw(random),
    trace: settings.by === 'trace_id' ? new TraceDraw() : undefined,
    independent: settings.use_independent_randomness,
    budget: limits && {
      budget: new Budget({
        perKey: limits.records_per_second,
        total: limits.total_records_per_second,
      }),
      key: typeof limits.key === 'string' ? [limits.key] : limits.key,
    },
    weighs: settings.weight,
    now: () => context.now(),
    random,
  };
}

const bucketsOf = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 } as const;

/** Without a percentage everything is kept: a budget or rules decide. */
function shareOf(
  settings: ShareSettings,
  runtimeKey: string | undefined,
  runtime: Settings['runtime'],
): Share {
  const { percent_sampled: envoys } = settings;
  const fraction: Fraction =
    envoys === undefined
      ? fractionOf(settings.percent ?? 100)
      : {
          numerator: envoys.numerator,
          buckets: bucketsOf[envoys.denominator as keyof typeof bucketsOf],
        };
  const threshold = thresholdOf({ fraction, runtimeKey, independent: false }, runtime);
  return { threshold, buckets: fraction.buckets };
}
