import { describe, expect, test } from 'vitest';
import { filter } from '../../src/processors/filter.ts';
import { batchOf, type PlainRecord } from '../access_log/filter/records.ts';
import { testContext } from '../support/collect.ts';

const records: readonly PlainRecord[] = [
  { 'request.id': 'a', 'response.code': 200, 'request.duration': 5, 'mesh.reporter': 'source' },
  {
    'request.id': 'b',
    'response.code': 404,
    'request.duration': 5,
    'mesh.reporter': 'destination',
  },
  { 'request.id': 'c', 'response.code': 200, 'request.duration': 1500, 'mesh.reporter': 'source' },
  { 'request.id': 'd', 'response.code': 503, 'response.flags': ['UF'], 'mesh.reporter': 'source' },
  { 'request.id': 'e', 'request.headers.foo': 'bar', 'mesh.reporter': 'gateway' },
];

/** The ids that a filter keeps, and its context. */
function run(settings: object, context = testContext({ id: 'filter/x' })) {
  const processor = filter.create(filter.config.parse(settings), context);
  const batch = processor.process(batchOf(records));
  const ids = Array.from(batch.selection.subarray(0, batch.count), (row) =>
    batch.text(batch.column('request.id'), row),
  );
  return { kept: ids.join(''), context };
}

const errors = { status_code_filter: { comparison: { op: 'GE', value: { default_value: 400 } } } };

describe('filter', () => {
  for (const [settings, kept] of [
    [{ expression: 'response.code >= 400 || duration > duration("1s")' }, 'bcd'],
    [{ expression: 'response.code >= 400', action: 'drop' }, 'ace'],
    [{ access_log_filter: errors }, 'bd'],
    [{ access_log_filter: { responseFlagFilter: { flags: ['UF'] } } }, 'd'],
    [
      {
        filters: [
          { headerMatcher: { name: 'foo', value: 'bar' } },
          { statusCodeMatcher: { value: 404 } },
        ],
      },
      'be',
    ],
    [{ mode: 'SERVER' }, 'b'],
    [{ mode: 'CLIENT' }, 'acde'],
    [{ mode: 'CLIENT', access_log_filter: errors }, 'd'],
    [{ mode: 'CLIENT', filters: [] }, 'acde'],
    [{ keep: 'response.code >= 400' }, 'bd'],
    [{ drop: errors }, 'ace'],
    [{ mode: 'CLIENT', drop: errors, action: 'drop' }, ''],
    [{ keep: errors, drop: 'response.code == 404' }, 'd'],
    [{ drop: 'has(log.parse_error)' }, 'abcde'],
    [{ mode: 'CLIENT', access_log_filter: errors, action: 'drop' }, 'abce'],
  ] as const) {
    test(`${JSON.stringify(settings)} keeps ${kept}`, () => expect(run(settings).kept).toBe(kept));
  }

  test('takes runtime keys from its settings', () => {
    const withKey = {
      status_code_filter: {
        comparison: { op: 'GE', value: { default_value: 400, runtime_key: 'k' } },
      },
    };
    expect(run({ access_log_filter: withKey }).kept).toBe('bd');
    expect(run({ access_log_filter: withKey, runtime: { k: 500 } }).kept).toBe('d');
  });

  test('counts what it drops and which evaluations failed', () => {
    const { context } = run({ expression: 'response.code >= 400' });
    const { metrics } = context;
    expect(
      metrics.read('otelcol_processor_filter_logs_filtered_total', { filter: 'filter/x' }),
    ).toBe(3);
    expect(metrics.read('meshlog_filter_evaluation_errors_total', { processor: 'filter/x' })).toBe(
      1,
    );
  });

  test('leaves the batch that another pipeline reads as it is', () => {
    const processor = filter.create(filter.config.parse({ expression: 'false' }), testContext());
    const batch = batchOf(records);
    expect(processor.process(batch.fork()).count).toBe(0);
    expect(batch.count).toBe(records.length);
  });

  test('asks two instances of one configuration independently', () => {
    const settings = filter.config.parse({ expression: 'response.code >= 400' });
    const first = filter.create(settings, testContext());
    const second = filter.create(settings, testContext());
    const one = batchOf(records);
    first.process(batchOf([{ other: 'x' }]));
    expect(second.process(one).count).toBe(2);
  });
});

describe('filter refuses', () => {
  for (const [settings, path, message, offset] of [
    [{}, '', 'no condition: give expression', undefined],
    [
      { expression: 'true && respnse.code > 1' },
      'expression',
      'unknown name "respnse.code"; did you mean "response.code"?',
      8,
    ],
    [{ expression: 'response.code >= ' }, 'expression', 'unexpected token: EOF', 17],
    [
      { access_log_filter: { statuscode_filter: {} } },
      'access_log_filter.statuscode_filter',
      'did you mean "status_code_filter"',
      undefined,
    ],
    [
      { access_log_filter: { extension_filter: { typed_config: { expression: 'a ++ b' } } } },
      'access_log_filter.extension_filter.typed_config.expression',
      'Not able to parse filter expression',
      3,
    ],
    [{ filters: [{ headerMatcher: {} }] }, 'filters.0.headerMatcher', 'name is missing', undefined],
    [{ matches: [{ sni: { type: 'Exact' } }] }, 'matches.0.sni', 'value is missing', undefined],
    [
      { workloadSelectors: [{ namespace: 'x' }] },
      'workloadSelectors.0.namespace',
      'did you mean "namespaces"',
      undefined,
    ],
  ] as const) {
    test(JSON.stringify(settings), () => {
      const { error } = filter.config.safeParse(settings);
      const issue = error?.issues[0] as { path: unknown[]; message: string; params?: object };
      expect(issue.path.join('.')).toBe(path);
      expect(issue.message).toContain(message);
      expect(issue.params).toEqual(offset === undefined ? undefined : { offset });
    });
  }

  test('nothing that Envoy would take, but warns', () => {
    const settings = {
      access_log_filter: { extension_filter: { typed_config: { expression: "foo['x']" } } },
    };
    const { error } = filter.config.safeParse(settings);
    expect(error?.issues[0]).toMatchObject({ params: { severity: 'warning', offset: 0 } });
  });
});
