import { describe, expect, test } from 'vitest';
import type { Finding, Surroundings } from '../../../src/access_log/filter/condition.ts';
import { readAccessLogFilter } from '../../../src/access_log/filter/envoy_filter.ts';
import { batchOf, type PlainRecord } from './records.ts';

// Facts from Envoy's access_log_impl_test and header_utility_test, written down anew: filter, record -> logged or not.

type Options = { runtime?: Record<string, number>; random?: number };

function logs(filter: unknown, record: PlainRecord, options: Options = {}): boolean | string[] {
  const findings: Finding[] = [];
  const plan = readAccessLogFilter(filter, [], (finding) => findings.push(finding));
  if (findings.some((finding) => finding.warning !== true))
    return findings.map(({ path, message }) => `${path.join('.')}: ${message}`);
  const surroundings: Surroundings = {
    random: () => (options.random ?? 0) / 2 ** 32,
    runtime: options.runtime ?? {},
    faults: { count: 0 },
  };
  const condition = plan!(surroundings);
  condition.bind(batchOf([record]));
  return condition.test(0);
}

const status = (op: string, value: number, key?: string) => ({
  status_code_filter: {
    comparison: { op, value: { default_value: value, ...(key && { runtime_key: key }) } },
  },
});
const duration = (op: string, value: number, key?: string) => ({
  duration_filter: {
    comparison: { op, value: { default_value: value, ...(key && { runtime_key: key }) } },
  },
});
const cel = (expression: string) => ({
  extension_filter: {
    name: 'cel',
    typed_config: {
      '@type':
        'type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter',
      expression,
    },
  },
});
const code = (value: number): PlainRecord => ({ 'response.code': value });
const flags = (...names: string[]): PlainRecord => ({ 'response.flags': names });
const grpc = (...statuses: string[]) => ({ grpc_status_filter: { statuses } });
const trailer = (value: string): PlainRecord => ({ 'response.trailers.grpc-status': value });

describe('envoy_filter', () => {
  const missing: PlainRecord = { 'request.method': 'GET' };
  const any = {
    or_filter: { filters: [status('GE', 500), status('EQ', 0), duration('GE', 1000)] },
  };
  const cases: readonly (readonly [string, unknown, PlainRecord, boolean, Options?])[] = [
    ['status GE', status('GE', 400), code(400), true],
    ['status GE below', status('GE', 400), code(399), false],
    ['status LE', status('LE', 400), code(400), true],
    ['status EQ', status('EQ', 200), code(200), true],
    [
      'status EQ is the default',
      { statusCodeFilter: { comparison: { value: { defaultValue: 200 } } } },
      code(200),
      true,
    ],
    ['status NE equal', status('NE', 499), code(499), false],
    ['status NE', status('NE', 499), code(500), true],
    ['a missing status compares as 0', status('EQ', 0), missing, true],
    ['a missing status is not >= 400', status('GE', 400), missing, false],
    [
      'runtime overrides the status',
      status('GE', 300, 'key'),
      code(400),
      true,
      { runtime: { key: 350 } },
    ],
    [
      'runtime raises the status',
      status('GE', 300, 'key'),
      code(400),
      false,
      { runtime: { key: 500 } },
    ],
    ['duration in whole milliseconds', duration('GE', 4), { 'request.duration': 3.9 }, false],
    ['duration', duration('GE', 3), { 'request.duration': 3.9 }, true],
    [
      'runtime overrides the duration',
      duration('GE', 1_000_000, 'key'),
      { 'request.duration': 100 },
      true,
      { runtime: { key: 1 } },
    ],
    ['no duration', duration('GE', 0), missing, false],
    ['no duration, whatever the operator', duration('NE', 7), missing, false],
    ['or: the second', any, missing, true],
    ['or: the third', any, { ...code(200), 'request.duration': 1001 }, true],
    ['or: none', any, { ...code(200), 'request.duration': 3 }, false],
    [
      'and',
      { and_filter: { filters: [status('GE', 500), { not_health_check_filter: {} }] } },
      code(500),
      true,
    ],
    [
      'and: health check',
      { and_filter: { filters: [status('GE', 500), { not_health_check_filter: {} }] } },
      { ...code(500), 'request.useragent': 'Envoy/HC' },
      false,
    ],
    [
      'or: not a health check',
      { or_filter: { filters: [status('GE', 600), { not_health_check_filter: {} }] } },
      { ...code(500), 'request.useragent': 'NOT/Envoy/HC' },
      true,
    ],
    ['health check as marked', { not_health_check_filter: {} }, { health_check: true }, false],
    [
      'traceable: forced by a service',
      { traceable_filter: {} },
      { 'request.id': '5f1ee8bd-0000-a000-8000-000000000000' },
      true,
    ],
    [
      'traceable: forced by a client',
      { traceable_filter: {} },
      { 'request.id': '5f1ee8bd-0000-b000-8000-000000000000' },
      false,
    ],
    [
      'traceable: sampled',
      { traceable_filter: {} },
      { 'request.id': '5f1ee8bd-0000-9000-8000-000000000000' },
      false,
    ],
    ['traceable: no id', { traceable_filter: {} }, missing, false],
    ['any flag', { response_flag_filter: {} }, flags('NR'), true],
    ['no flag', { response_flag_filter: {} }, missing, false],
    ['one of the flags', { response_flag_filter: { flags: ['UO'] } }, flags('NR', 'UO'), true],
    ['other flags', { response_flag_filter: { flags: ['UO', 'RL'] } }, flags('NR'), false],
    ['grpc by trailer', grpc('DEADLINE_EXCEEDED'), trailer('4'), true],
    ['grpc by header', grpc('OK'), { 'response.headers.grpc-status': '0' }, true],
    ['grpc by name', grpc('UNAVAILABLE'), { 'response.grpc_status': 'Unavailable' }, true],
    [
      'grpc trailers come first',
      grpc('OK'),
      { ...trailer('0'), 'response.headers.grpc-status': '1' },
      true,
    ],
    ['grpc other status', grpc('OK'), trailer('1'), false],
    ['grpc CANCELED', grpc('CANCELED'), trailer('1'), true],
    ['grpc unknown number', grpc('UNKNOWN'), trailer('99'), false],
    [
      'grpc exclude',
      { grpc_status_filter: { statuses: ['OK'], exclude: true } },
      trailer('6'),
      true,
    ],
    [
      'grpc exclude listed',
      { grpc_status_filter: { statuses: ['OK'], exclude: true } },
      trailer('0'),
      false,
    ],
    ['grpc without a code', grpc('UNKNOWN'), missing, true],
    [
      'log type',
      { log_type_filter: { types: ['TcpUpstreamConnected', 'DownstreamEnd'] } },
      { 'access_log.type': 'DownstreamEnd' },
      true,
    ],
    [
      'other log type',
      { log_type_filter: { types: ['TcpUpstreamConnected', 'DownstreamEnd'] } },
      { 'access_log.type': 'UpstreamPoolReady' },
      false,
    ],
    [
      'log type excluded',
      { log_type_filter: { types: ['DownstreamEnd'], exclude: true } },
      { 'access_log.type': 'DownstreamEnd' },
      false,
    ],
    ['no log type', { log_type_filter: { types: ['NotSet'] } }, missing, true],
    [
      'cel',
      cel("(request.headers['log'] == 'true') && (response.code >= 400)"),
      { ...code(404), 'request.headers.log': 'true' },
      true,
    ],
    [
      'cel: a header is missing',
      cel("(request.headers['log'] == 'true') && (response.code >= 400)"),
      code(404),
      false,
    ],
    ['cel: a name is unknown', cel("foo['test']"), missing, false],
    ['cel: no truth value', cel('response.code'), code(200), false],
  ];
  for (const [name, filter, record, expected, options] of cases) {
    test(name, () => expect(logs(filter, record, options)).toBe(expected));
  }

  for (const [http, status] of [
    [400, 'INTERNAL'],
    [401, 'UNAUTHENTICATED'],
    [403, 'PERMISSION_DENIED'],
    [404, 'UNIMPLEMENTED'],
    [429, 'UNAVAILABLE'],
    [502, 'UNAVAILABLE'],
    [503, 'UNAVAILABLE'],
    [504, 'UNAVAILABLE'],
    [200, 'UNKNOWN'],
    [500, 'UNKNOWN'],
  ] as const) {
    test(`HTTP ${http} stands for gRPC ${status}`, () => {
      expect(logs(grpc(status), code(http))).toBe(true);
    });
  }

  const names =
    'LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF DO DR UDO'.split(
      ' ',
    );
  for (const name of names) {
    test(`flag ${name} can be listed`, () => {
      expect(logs({ response_flag_filter: { flags: names } }, flags(name))).toBe(true);
      expect(logs({ response_flag_filter: { flags: [name] } }, flags(name))).toBe(true);
    });
  }
});

describe('metadata_filter', () => {
  const filter = (value: unknown, more: object = {}, keys = ['a', 'b']) => ({
    metadata_filter: {
      matcher: { filter: 'some.namespace', path: keys.map((key) => ({ key })), value },
      ...more,
    },
  });
  const record = (value: unknown): PlainRecord => ({ 'metadata.some.namespace': value as never });
  for (const [name, config, found, expected] of [
    ['bool', filter({ bool_match: true }), { a: { b: true } }, true],
    ['other bool', filter({ bool_match: true }), { a: { b: false } }, false],
    ['string', filter({ string_match: { prefix: 'x' } }), { a: { b: 'xy' } }, true],
    ['number', filter({ double_match: { exact: 3 } }), { a: { b: 3 } }, true],
    ['range', filter({ double_match: { range: { start: 1, end: 3 } } }), { a: { b: 3 } }, false],
    [
      'list',
      filter({ list_match: { one_of: { string_match: { exact: 'x' } } } }),
      { a: { b: ['y', 'x'] } },
      true,
    ],
    [
      'or',
      filter({ or_match: { value_matchers: [{ null_match: {} }, { present_match: true }] } }),
      { a: { b: 'x' } },
      true,
    ],
    ['missing key counts by default', filter({ bool_match: true }), { a: {} }, true],
    [
      'missing key',
      filter({ bool_match: true }, { match_if_key_not_found: false }),
      { a: {} },
      false,
    ],
    ['no matcher', { metadata_filter: { match_if_key_not_found: false } }, {}, false],
    ['no matcher by default', { metadata_filter: {} }, {}, true],
  ] as const) {
    test(name, () => expect(logs(config, record(found))).toBe(expected));
  }
});

describe('header_filter', () => {
  const three = { safe_regex_match: { google_re2: {}, regex: '\\d{3}' } };
  const range = { range_match: { start: -10, end: 0 } };
  const inverse = { invert_match: true };
  const asEmpty = { treat_missing_header_as_empty: true };
  // matcher, value of the header (undefined: absent), matches
  const cases: readonly (readonly [object, string | undefined, boolean])[] = [
    [{}, 'value', true],
    [{}, undefined, false],
    [{ ...inverse }, undefined, true],
    [{ ...asEmpty }, undefined, true],
    [{ exact_match: 'v' }, 'v', true],
    [{ exact_match: 'v' }, 'w', false],
    [{ exact_match: '' }, 'w', true],
    [{ exact_match: 'v', ...inverse }, undefined, false],
    [{ exact_match: 'v', ...inverse }, 'w', true],
    [{ exact_match: 'v', ...inverse, ...asEmpty }, undefined, true],
    [{ ...three }, '123', true],
    [{ ...three }, '1234', false],
    [{ ...three }, '123.456', false],
    [{ ...three, ...inverse }, '123', false],
    [{ ...three, ...inverse }, undefined, false],
    [{ ...three, ...inverse, ...asEmpty }, undefined, true],
    [{ ...range }, '-1', true],
    [{ ...range }, '-10', true],
    [{ ...range }, '0', false],
    [{ ...range }, 'somestring', false],
    [{ ...range }, '10.9', false],
    [{ ...range }, '-1somestring', false],
    [{ ...range, ...inverse }, undefined, false],
    [{ ...range, ...inverse, ...asEmpty }, '0,somestring,10.9', true],
    [{ ...range, ...inverse, ...asEmpty }, '-1', false],
    [{ present_match: true }, 'x', true],
    [{ present_match: false }, undefined, true],
    [{ present_match: false }, 'x', false],
    [{ present_match: false, ...asEmpty }, undefined, false],
    [{ present_match: true, ...inverse }, undefined, true],
    [{ present_match: true, ...inverse }, 'x', false],
    [{ prefix_match: 'value' }, 'value123', true],
    [{ prefix_match: 'value' }, '123value', false],
    [{ prefix_match: 'value', ...inverse }, 'value123', false],
    [{ suffix_match: 'value' }, '123value', true],
    [{ suffix_match: 'value', ...inverse, ...asEmpty }, 'value123', true],
    [{ contains_match: 'onevalue' }, '123onevalue456', true],
    [{ contains_match: 'onevalue' }, '123anothervalue456', false],
    [{ contains_match: 'onevalue', ...inverse }, '123anothervalue456', true],
    [{ string_match: { exact: 'match-value' } }, 'match-value', true],
    [{ string_match: { exact: 'match-value' }, ...asEmpty }, undefined, false],
    [{ string_match: { exact: 'match-value' }, ...inverse }, 'other', true],
    [{ string_match: { exact: 'Value.1', ignore_case: true } }, 'vALUE.1', true],
    [{ string_match: { exact: 'Value.1', ignore_case: true } }, 'valuex1', false],
    [{ string_match: { prefix: 'Value', ignore_case: true } }, 'VALUE1', true],
    [{ string_match: { suffix: 'Value', ignore_case: true } }, '1VALUE', true],
    [{ string_match: { contains: 'onevalue', ignore_case: true } }, '123OneValue456', true],
    [{ string_match: { contains: 'onevalue', ignore_case: true }, ...asEmpty }, undefined, false],
    [{ string_match: { safe_regex: { regex: '(a|b)' } } }, 'a', true],
    [{ string_match: { safe_regex: { regex: '(a|b)' } } }, 'a,b', false],
    [{ string_match: { exact: 'a,b' } }, 'a,b', true],
  ];
  for (const [matcher, value, expected] of cases) {
    test(`${JSON.stringify(matcher)} on ${value ?? 'nothing'}`, () => {
      const record: PlainRecord =
        value === undefined
          ? { 'request.method': 'GET' }
          : { 'request.headers.match-header': value };
      const filter = { header_filter: { header: { name: 'Match-Header', ...matcher } } };
      expect(logs(filter, record)).toBe(expected);
    });
  }

  test('pseudo headers have their own fields', () => {
    const filter = { header_filter: { header: { name: ':method', exact_match: 'GET' } } };
    expect(logs(filter, { 'request.method': 'GET' })).toBe(true);
  });
});

describe('envoy_filter refuses', () => {
  for (const [filter, message] of [
    [{}, ': one of status_code_filter, duration_filter'],
    ['x', ': expected a map, got "x"'],
    [{ status_filter: {} }, 'status_filter: unknown field "status_filter"'],
    [
      { status_code_filter: { comparison: { op: 'GT' } } },
      'status_code_filter.comparison.op: unknown value "GT"',
    ],
    [{ status_code_filter: {} }, 'status_code_filter: comparison is missing'],
    [
      { and_filter: { filters: [status('EQ', 1)] } },
      'and_filter.filters: at least two filters are needed',
    ],
    [
      { or_filter: { filters: [status('EQ', 1), { x: 1 }] } },
      'or_filter.filters.1.x: unknown field "x"',
    ],
    [
      { response_flag_filter: { flags: ['UX'] } },
      'response_flag_filter.flags: unknown response flag "UX"',
    ],
    [grpc('NOT_A_VALID_CODE'), 'grpc_status_filter.statuses.0: unknown value "NOT_A_VALID_CODE"'],
    [{ log_type_filter: { types: ['End'] } }, 'log_type_filter.types.0: unknown value "End"'],
    [
      { header_filter: { header: { name: 'a', exact_match: 'a', prefix_match: 'b' } } },
      'header_filter.header: only one of exact_match, prefix_match can be given',
    ],
    [
      { header_filter: { header: { name: 'a', safe_regex_match: { regex: '(' } } } },
      'header_filter.header.safe_regex_match.regex: bad regular expression: missing )',
    ],
    [{ header_filter: { header: {} } }, 'header_filter.header: name is missing'],
    [
      cel('(+++'),
      'extension_filter.typed_config.expression: Not able to parse filter expression: unexpected token: PLUS',
    ],
    [
      cel('f()'),
      'extension_filter.typed_config.expression: failed to create an expression: unknown function f()',
    ],
    [
      { extension_filter: { typed_config: { '@type': 'x/y.Z' } } },
      'extension_filter.typed_config.@type: extension x/y.Z is not supported',
    ],
  ] as const) {
    test(`${JSON.stringify(filter)}`, () => {
      const result = logs(filter, {});
      expect(Array.isArray(result) ? result[0] : result).toContain(message);
    });
  }
});

describe('runtime_filter', () => {
  const filter = (numerator: number, denominator = 'HUNDRED', more: object = {}) => ({
    runtime_filter: {
      runtime_key: 'key',
      percent_sampled: { numerator, denominator },
      ...more,
    },
  });
  const id = (value: string): PlainRecord => ({ 'request.id': value });
  for (const [name, config, record, expected, options] of [
    // 0x0000002b = 43
    ['by request id, below', filter(44), id('0000002b-0000-4000-8000-000000000000'), true],
    ['by request id, at', filter(43), id('0000002b-0000-4000-8000-000000000000'), false],
    ['by request id, modulo', filter(96), id('ffffffff-0000-4000-8000-000000000000'), true],
    ['by request id, modulo, at', filter(95), id('ffffffff-0000-4000-8000-000000000000'), false],
    ['ten thousand', filter(7296, 'TEN_THOUSAND'), id('ffffffff'), true],
    ['ten thousand, at', filter(7295, 'TEN_THOUSAND'), id('ffffffff'), false],
    ['million', filter(967296, 'MILLION'), id('ffffffff'), true],
    ['numerator above denominator', filter(101), id('ffffffff'), true],
    ['nothing sampled', { runtime_filter: { runtime_key: 'key' } }, id('00000000'), false],
    ['short id: dice', filter(44), id('0000002'), true, { random: 43 }],
    ['short id: dice, at', filter(43), id('0000002'), false, { random: 43 }],
    ['no hexadecimal id: dice', filter(43), id('xyz0002b'), false, { random: 43 }],
    ['no id: dice', filter(5, 'TEN_THOUSAND'), {}, false, { random: 42 }],
    ['stream id', filter(44), { 'stream.id': '0000002b' }, true, { random: 99 }],
    [
      'independent randomness',
      filter(43, 'HUNDRED', { use_independent_randomness: true }),
      id('00000000'),
      false,
      { random: 43 },
    ],
    ['runtime overrides', filter(0), id('0000002b'), true, { runtime: { key: 44 } }],
    // What strtoull takes besides digits.
    ['0x', filter(44), id('0x00002bxxx'), true, { random: 99 }],
    ['white space', filter(44), id('      2b'), true, { random: 99 }],
    ['plus', filter(44), id('+000002b'), true, { random: 99 }],
    // 2^64 - 1 = ..615
    ['minus wraps around', filter(16), id('-0000001'), true, { random: 99 }],
    ['minus wraps around, at', filter(15), id('-0000001'), false, { random: 0 }],
    ['0x without digits: dice', filter(44), id('      0x'), false, { random: 99 }],
  ] as const) {
    test(name, () => {
      expect(logs(config, record as PlainRecord, (options ?? {}) as Options)).toBe(expected);
    });
  }
});
