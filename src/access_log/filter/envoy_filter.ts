// Envoy's AccessLogFilter as YAML or JSON, as pasted from an EnvoyFilter (envoy.md section 3). Inside Envoy it sees the
// request; here it sees the record, so what the record does not carry counts as absent.

import { celFilter } from './cel_filter.ts';
import { allOf, anyOf, type Plan, type Report } from './condition.ts';
import {
  type Comparison,
  grpcStatus,
  logType,
  notHealthCheck,
  operations,
  requestDuration,
  responseFlag,
  statusCode,
  traceable,
} from './envoy_conditions.ts';
import { fractionFields, readFraction, sampled } from './fraction.ts';
import { headerMatcherFields, readHeaderMatcher } from './header_matcher.ts';
import { readMetadataFilter } from './metadata_filter.ts';
import { type Path, Struct } from './struct.ts';

type Read = (struct: Struct, name: string) => Plan | undefined;

const readers: Readonly<Record<string, Read>> = {
  status_code_filter: (struct, name) => comparisonOf(struct, name, statusCode),
  duration_filter: (struct, name) => comparisonOf(struct, name, requestDuration),
  not_health_check_filter: (struct, name) => struct.struct(name, []) && notHealthCheck,
  traceable_filter: (struct, name) => struct.struct(name, []) && traceable,
  runtime_filter: readRuntimeFilter,
  and_filter: (struct, name) => readSeveral(struct, name, allOf),
  or_filter: (struct, name) => readSeveral(struct, name, anyOf),
  header_filter: readHeaderFilter,
  response_flag_filter: (struct, name) => {
    const inner = struct.struct(name, ['flags']);
    return inner && responseFlag(inner);
  },
  grpc_status_filter: (struct, name) => {
    const inner = struct.struct(name, ['statuses', 'exclude']);
    return inner && grpcStatus(inner);
  },
  extension_filter: readExtension,
  metadata_filter: (struct, name) => {
    const inner = struct.struct(name, ['matcher', 'match_if_key_not_found']);
    return inner && readMetadataFilter(inner);
  },
  log_type_filter: (struct, name) => {
    const inner = struct.struct(name, ['types', 'exclude']);
    return inner && logType(inner);
  },
};

/** Every kind of filter, in Envoy's words. */
export const filterKinds: readonly string[] = Object.keys(readers);

/** Reads an AccessLogFilter; undefined when it is wrong (reported). */
export function readAccessLogFilter(value: unknown, path: Path, report: Report): Plan | undefined {
  const struct = Struct.read(value, path, report, filterKinds);
  const kind = struct?.only(filterKinds, true);
  return kind === undefined ? undefined : readers[kind]!(struct!, kind);
}

function comparisonOf(
  parent: Struct,
  name: string,
  make: (comparison: Comparison) => Plan,
): Plan | undefined {
  const struct = parent.struct(name, ['comparison']);
  const comparison = struct?.struct('comparison', ['op', 'value']);
  if (comparison === undefined) {
    struct?.problem('comparison is missing');
    return undefined;
  }
  const value = comparison.struct('value', ['default_value', 'runtime_key']);
  return make({
    operation: operations[comparison.choice('op', operations) ?? 0]!,
    threshold: value?.number('default_value') ?? 0,
    runtimeKey: value?.text('runtime_key'),
  });
}

function readSeveral(parent: Struct, name: string, combine: typeof allOf): Plan | undefined {
  const struct = parent.struct(name, ['filters']);
  if (struct === undefined) return undefined;
  const items = struct.items('filters');
  if (items.length < 2) struct.problem('at least two filters are needed', 'filters');
  const plans = items.map(({ value, path }) => readAccessLogFilter(value, path, struct.report));
  if (plans.length === 0 || plans.includes(undefined)) return undefined;
  return (surroundings) => combine((plans as Plan[]).map((plan) => plan(surroundings)));
}

function readRuntimeFilter(parent: Struct, name: string): Plan | undefined {
  const known = ['runtime_key', 'percent_sampled', 'use_independent_randomness'];
  const struct = parent.struct(name, known);
  if (struct === undefined) return undefined;
  const percent = struct.struct('percent_sampled', fractionFields);
  const fraction = percent === undefined ? { numerator: 0, buckets: 100 } : readFraction(percent);
  const decision = {
    fraction,
    runtimeKey: struct.text('runtime_key'),
    independent: struct.truth('use_independent_randomness') === true,
  };
  return (surroundings) => sampled(decision, surroundings);
}

function readHeaderFilter(parent: Struct, name: string): Plan | undefined {
  const struct = parent.struct(name, ['header']);
  const header = struct?.struct('header', headerMatcherFields);
  if (header === undefined) struct?.problem('header is missing');
  return header && readHeaderMatcher(header);
}

const celType = 'envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter';

function readExtension(parent: Struct, name: string): Plan | undefined {
  const struct = parent.struct(name, ['name', 'typed_config']);
  const config = struct?.struct('typed_config', ['@type', 'expression']);
  if (struct === undefined || config === undefined) {
    struct?.problem('typed_config is missing');
    return undefined;
  }
  const type = config.text('@type') ?? '';
  if (type !== '' && !type.endsWith(celType)) {
    config.problem(`extension ${type} is not supported; ${celType} is`, '@type');
    return undefined;
  }
  const expression = config.text('expression');
  if (expression === undefined) {
    config.problem('expression is missing');
    return undefined;
  }
  return celFilter(expression, { lenient: true }, (message, offset, warning = false) =>
    config.report({ path: config.pathOf('expression'), message, offset, warning }),
  );
}
