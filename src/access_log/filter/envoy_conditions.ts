// The small conditions of Envoy's AccessLogFilter.

import { didYouMean } from '../../config/words.ts';
import { flagOfShort, flagTable, maskOfFlags } from '../flags.ts';
import { grpcNumberOf, grpcOfHttp, grpcText } from '../grpc_status.ts';
import type { Condition, Plan } from './condition.ts';
import { FieldReader } from './field_reader.ts';
import { FlagsReader } from './flags_reader.ts';
import { choice, type Struct } from './struct.ts';

/** ComparisonFilter's operators by number. */
export const operations = ['EQ', 'GE', 'LE', 'NE'] as const;

export type Comparison = {
  readonly operation: (typeof operations)[number];
  readonly threshold: number;
  readonly runtimeKey: string | undefined;
};

const reader = (...names: string[]): FieldReader =>
  new FieldReader(names.map((name) => ({ name })));

const compareWith: Readonly<
  Record<Comparison['operation'], (value: number, by: number) => boolean>
> = {
  EQ: (value, by) => value === by,
  GE: (value, by) => value >= by,
  LE: (value, by) => value <= by,
  NE: (value, by) => value !== by,
};

/** The response code compares as 0 where there is none. */
export function statusCode(comparison: Comparison): Plan {
  return numberCondition(comparison, 'response.code', (code) => (Number.isNaN(code) ? 0 : code));
}

/** Whole milliseconds; false where there is no duration. */
export function requestDuration(comparison: Comparison): Plan {
  return numberCondition(comparison, 'request.duration', Math.trunc);
}

function numberCondition(
  { operation, threshold, runtimeKey }: Comparison,
  name: string,
  convert: (value: number) => number,
): Plan {
  return ({ runtime }) => {
    const by = (runtimeKey === undefined ? undefined : runtime[runtimeKey]) ?? threshold;
    const compare = compareWith[operation];
    const field = reader(name);
    return {
      bind: (batch) => field.bind(batch),
      test: (row) => {
        const value = convert(field.number(row));
        return !Number.isNaN(value) && compare(value, by);
      },
    };
  };
}

/** Envoy marks its own health checks; a record shows them by their user agent. */
export function notHealthCheck(): Condition {
  const agent = reader('request.useragent');
  const marked = reader('health_check');
  return {
    bind: (batch) => {
      agent.bind(batch);
      marked.bind(batch);
    },
    test: (row) => {
      const mark = marked.truth(row);
      return mark === 2 ? !agent.text(row)?.startsWith('Envoy/HC') : mark === 0;
    },
  };
}

const uuidLength = 36;
const traceCharacter = 14;

/** Envoy notes in the x-request-id why a request is traced; `a`: a service forced it. */
export function traceable(): Condition {
  const id = reader('request.id');
  return {
    bind: (batch) => id.bind(batch),
    test: (row) =>
      id.span(row) &&
      id.end - id.start === uuidLength &&
      id.bytes[id.start + traceCharacter] === 97,
  };
}

/** No flags listed: any flag. */
export function responseFlag(struct: Struct): Plan | undefined {
  const names = struct.texts('flags');
  const wrong = names.filter((name) => flagOfShort(name) === undefined);
  for (const name of wrong) {
    const meant = didYouMean(
      name,
      flagTable.map((flag) => flag.short),
    );
    struct.problem(`unknown response flag "${name}"${meant}`, 'flags');
  }
  if (wrong.length > 0) return undefined;
  const wanted = maskOfFlags(names);
  return () => {
    const flags = new FlagsReader();
    return {
      bind: (batch) => flags.bind(batch),
      test: wanted === 0 ? (row) => flags.any(row) : (row) => (flags.mask(row) & wanted) !== 0,
    };
  };
}

/** The statuses by number; this enum of Envoy's spells one of them with a single L. */
const grpcStatusNames = Array.from({ length: 17 }, (_, number) =>
  grpcText(number, 'SNAKE_STRING').replace('CANCELLED', 'CANCELED'),
);

/** From trailers, else headers, else what the HTTP status stands for, else UNKNOWN. */
export function grpcStatus(struct: Struct): Plan | undefined {
  const wanted = struct
    .items('statuses')
    .map(({ value, path }) =>
      choice(value === 'CANCELLED' ? 'CANCELED' : value, path, struct.report, grpcStatusNames),
    );
  if (wanted.includes(undefined)) return undefined;
  if (wanted.length === 0) struct.problem('at least one status is needed', 'statuses');
  const exclude = struct.truth('exclude') === true;
  return () => {
    const status = reader(
      'response.trailers.grpc-status',
      'response.headers.grpc-status',
      'response.grpc_status',
    );
    const http = reader('response.code');
    return {
      bind: (batch) => {
        status.bind(batch);
        http.bind(batch);
      },
      test: (row) => {
        const code = status.span(row)
          ? grpcNumberOf(status.bytes.latin1Slice(status.start, status.end))
          : grpcOfHttp(http.number(row));
        return (code !== undefined && wanted.includes(code)) !== exclude;
      },
    };
  };
}

const logTypes = [
  'NotSet',
  'TcpUpstreamConnected',
  'TcpPeriodic',
  'TcpConnectionEnd',
  'DownstreamStart',
  'DownstreamPeriodic',
  'DownstreamEnd',
  'UpstreamPoolReady',
  'UpstreamPeriodic',
  'UpstreamEnd',
  'DownstreamTunnelSuccessfullyEstablished',
  'UdpTunnelUpstreamConnected',
  'UdpPeriodic',
  'UdpSessionEnd',
  'TcpConnectionStart',
];

/** The type of the entry is listed, or with `exclude` is not. An entry without a type is NotSet. */
export function logType(struct: Struct): Plan | undefined {
  const wanted = struct
    .items('types')
    .map(({ value, path }) => choice(value, path, struct.report, logTypes));
  if (wanted.includes(undefined)) return undefined;
  if (wanted.length === 0) struct.problem('at least one type is needed', 'types');
  const exclude = struct.truth('exclude') === true;
  return () => {
    const type = reader('access_log.type');
    return {
      bind: (batch) => type.bind(batch),
      test: (row) => {
        const text = type.text(row);
        const index = text === undefined || text === '' ? 0 : logTypes.indexOf(text);
        return wanted.includes(index) !== exclude;
      },
    };
  };
}
