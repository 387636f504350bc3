// Which records matter: the user's condition in CEL, or in the words of Envoy, Gloo Mesh, Kuma and Istio.

import { z } from 'zod';
import { allOf, type Condition, not, type Surroundings } from '../access_log/filter/condition.ts';
import {
  accessLogFilter,
  condition,
  expression,
  glooFilters,
  kumaMatches,
  workloadSelectors,
} from '../access_log/filter/config_fields.ts';
import { filterKinds } from '../access_log/filter/envoy_filter.ts';
import { modeCondition } from '../access_log/filter/mode.ts';
import { type Context, type Processor, processor } from '../pipeline/component.ts';

const config = z
  .strictObject({
    expression: expression()
      .optional()
      .describe(
        "A CEL expression over the fields of a record, as in Istio's filter.expression. A missing field is an error, and an error counts as false: has(request.useragent) asks first.",
      ),
    access_log_filter: accessLogFilter()
      .optional()
      .describe(
        `Envoy's AccessLogFilter, as it stands in an EnvoyFilter: one of ${filterKinds.join(', ')}.`,
      ),
    filters: glooFilters()
      .optional()
      .describe('Gloo Mesh: statusCodeMatcher and headerMatcher; any of them is enough.'),
    workloadSelectors: workloadSelectors()
      .optional()
      .describe(
        'Gloo Mesh: the workloads whose proxies are meant, by labels, namespaces, clusters.',
      ),
    matches: kumaMatches()
      .optional()
      .describe(
        'Kuma: spiffeID (Exact, Prefix) and sni (Exact) of the client; any of them is enough.',
      ),
    mode: z
      .enum(['CLIENT', 'SERVER', 'CLIENT_AND_SERVER'])
      .optional()
      .describe(
        'Istio: the side on which the proxy stood that wrote the record. Gateways are clients.',
      ),
    keep: condition()
      .optional()
      .describe('An expression or an AccessLogFilter: only records that fulfil it are kept.'),
    drop: condition()
      .optional()
      .describe('An expression or an AccessLogFilter: records that fulfil it are dropped.'),
    action: z
      .enum(['keep', 'drop'])
      .default('keep')
      .describe(
        'What becomes of the records that fulfil all other conditions than keep and drop; the rest fares otherwise.',
      ),
    runtime: z
      .record(z.string(), z.number().int().nonnegative())
      .default({})
      .describe('Values of runtime keys that access_log_filter names: they override its defaults.'),
  })
  .refine((settings) => conditionNames.some((name) => settings[name] !== undefined), {
    message:
      'no condition: give expression, access_log_filter, filters, workloadSelectors, matches, mode, keep or drop',
  });

const conditionNames = [
  'expression',
  'access_log_filter',
  'filters',
  'workloadSelectors',
  'matches',
  'mode',
  'keep',
  'drop',
] as const;

type Settings = z.output<typeof config>;

export const filter = processor({
  name: 'filter',
  summary:
    'Keeps or drops records by conditions, in CEL or as written for Envoy, Gloo Mesh or Kuma.',
  config,
  example: `filter/errors:
  expression: 'response.code >= 400 || duration > duration("1s")'`,
  notes: `Conditions of several kinds are combined by "and". A record that could not be parsed has no fields, only a
body: has(log.parse_error) finds it. Dropped records count as delivered, in
otelcol_processor_filter_logs_filtered_total; expressions that failed for a record, in
meshlog_filter_evaluation_errors_total.`,
  create,
});

function create(settings: Settings, context: Context): Processor {
  const faults = { count: 0 };
  const condition = conditionOf(settings, {
    random: () => context.random(),
    runtime: settings.runtime,
    faults,
  });
  const dropped = context.metrics.counter(
    'otelcol_processor_filter_logs_filtered_total',
    'Records that the filter dropped.',
    { filter: context.id },
  );
  const failed = context.metrics.counter(
    'meshlog_filter_evaluation_errors_total',
    'Records for which an expression could not be evaluated: it counts as false.',
    { processor: context.id },
  );
  const keeps = (row: number): boolean => condition.test(row);
  return {
    process: (batch) => {
      const before = batch.count;
      condition.bind(batch);
      batch.keep(keeps);
      dropped.add(before - batch.count);
      failed.add(faults.count);
      faults.count = 0;
      return batch;
    },
  };
}

/** What a record has to fulfil to be kept. */
function conditionOf(settings: Settings, surroundings: Surroundings): Condition {
  const plans = [
    settings.expression,
    settings.access_log_filter,
    settings.filters,
    settings.workloadSelectors,
    settings.matches,
  ];
  const conditions = plans.flatMap((plan) => (plan === undefined ? [] : [plan(surroundings)]));
  if (settings.mode !== undefined) conditions.unshift(modeCondition(settings.mode));
  const wanted: Condition[] = [];
  if (conditions.length > 0) {
    const all = allOf(conditions);
    wanted.push(settings.action === 'keep' ? all : not(all));
  }
  if (settings.keep !== undefined) wanted.push(settings.keep(surroundings));
  if (settings.drop !== undefined) wanted.push(not(settings.drop(surroundings)));
  return allOf(wanted);
}
