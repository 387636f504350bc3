import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sample } from '../../src/processors/sample/sample.ts';
import { batchOf } from '../access_log/filter/records.ts';
import { testContext } from '../support/collect.ts';
import { type Request, requestId, requests, texts } from './sample/records.ts';

const create = (settings: object, context = testContext({ id: 'sample/x' })) =>
  sample.create(sample.config.parse(settings), context);

const numbered = (count: number, more: Request = { code: 200 }, from = 0): Request[] =>
  Array.from({ length: count }, (_, i) => ({ id: requestId(from + i), ...more }));

const idsOf = (settings: object, all: readonly Request[]): string[] =>
  texts(create(settings).process(requests(all)), 'request.id');

/** A generator whose dice are the same in every run. */
function dice(seed = 1): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('sample by percentage', () => {
  test('keeps every error and drops the rest at 0 percent', () => {
    const batch = batchOf([
      { 'request.id': 'a', 'response.code': 200 },
      { 'request.id': 'b', 'response.code': 404 },
      { 'request.id': 'c', 'response.code': 200, 'response.flags': ['DC'] },
      { 'request.id': 'd' },
    ]);
    const context = testContext({ id: 'sample/x' });
    expect(texts(create({ percent: 0 }, context).process(batch), 'request.id')).toEqual(['b', 'c']);
    const read = (policy: string, sampled: string) =>
      context.metrics.read('otelcol_processor_probabilistic_sampler_count_logs_sampled_total', {
        processor: 'sample/x',
        policy,
        sampled,
      });
    expect([read('keep_if', 'true'), read('sample', 'true'), read('sample', 'false')]).toEqual([
      2, 0, 2,
    ]);
  });

  test('keeps nothing in any case when told so', () => {
    expect(idsOf({ percent: 0, keep_if: 'false' }, numbered(100, { code: 500 }))).toEqual([]);
    expect(idsOf({ percent: 0, keep_if: false }, numbered(100, { code: 500 }))).toEqual([]);
  });

  test("takes Envoy's filter for keep_if, as Hango writes it", () => {
    const keepIf = {
      status_code_filter: { comparison: { op: 'GE', value: { default_value: 400 } } },
    };
    expect(idsOf({ percent: 0, keep_if: keepIf }, numbered(3, { code: 400 }))).toHaveLength(3);
    expect(idsOf({ percent: 0, keep_if: keepIf }, numbered(3, { code: 399 }))).toHaveLength(0);
  });

  for (const [settings, kept] of [
    // 0x31 = 49, 0x32 = 50, 0x1387 = 4999
    [{ percent: 50 }, ['00000031']],
    [{ percent: 50.5 }, ['00000031', '00000032', '00001387']],
    [{ percent: 100 }, ['00000031', '00000032', '00001387']],
    [
      { percent_sampled: { numerator: 5000, denominator: 'TEN_THOUSAND' } },
      ['00000031', '00000032', '00001387'],
    ],
    [
      { percent_sampled: { numerator: 4999, denominator: 'TEN_THOUSAND' } },
      ['00000031', '00000032'],
    ],
    [{ percent: 0.0049 }, []],
    [{ percent: 0.005 }, ['00000031']],
    [{ percent: 0, runtime_key: 'k', runtime: { k: 50 } }, ['00000031']],
  ] as const) {
    test(`${JSON.stringify(settings)} keeps ${kept.join()}`, () => {
      const all = ['00000031', '00000032', '00001387'].map((id) => ({ id, code: 200 }));
      expect(idsOf(settings, all)).toEqual(kept);
    });
  }

  test('half of a million is half of a million, within three sigma', () => {
    const processor = create({ percent: 50 });
    let kept = 0;
    const random = dice();
    for (let i = 0; i < 100; i++) {
      const all = Array.from({ length: 10_000 }, () => ({
        id: Math.floor(random() * 2 ** 32)
          .toString(16)
          .padStart(8, '0'),
        code: 200,
      }));
      kept += processor.process(requests(all)).count;
    }
    expect(Math.abs(kept - 500_000)).toBeLessThan(3 * Math.sqrt(1_000_000 * 0.25));
  });

  test('another process chooses the same requests', () => {
    const settings = { percent: 30 };
    const script = resolve(import.meta.dirname, 'sample/choice.ts');
    const other = execFileSync(process.execPath, [script, JSON.stringify(settings), '2000'], {
      encoding: 'utf8',
    });
    const ours = idsOf(settings, numbered(2000));
    expect(other.split('\n')).toEqual(ours);
    expect(ours.length).toBeGreaterThan(500);
  });

  test('a higher percentage of the same fraction keeps a superset', () => {
    const some = new Set(idsOf({ percent: 20 }, numbered(2000)));
    const more = new Set(idsOf({ percent: 40 }, numbered(2000)));
    expect(some.isSubsetOf(more)).toBe(true);
  });

  test('throws dice for records without an id, and for all with independent randomness', () => {
    const context = testContext({ random: () => 50 / 2 ** 32 });
    const settings = { percent: 50, use_independent_randomness: true };
    expect(create(settings, context).process(requests(numbered(100))).count).toBe(0);
    const lucky = testContext({ random: () => 49 / 2 ** 32 });
    expect(create(settings, lucky).process(requests(numbered(100))).count).toBe(100);
    const bare = Array.from({ length: 10 }, () => ({ code: 200 }));
    expect(create({ percent: 50 }, context).process(requests(bare)).count).toBe(0);
    expect(create({ percent: 50 }, lucky).process(requests(bare)).count).toBe(10);
  });

  test('rules give some records a percentage of their own', () => {
    const settings = {
      percent: 0,
      rules: [
        { match: 'mesh.destination.service == "rare"', percent: 100 },
        { match: 'response.code < 300', percent_sampled: { numerator: 0 } },
        { match: 'true', percent: 100 },
      ],
    };
    expect(idsOf(settings, numbered(5, { code: 200, service: 'rare' }))).toHaveLength(5);
    expect(idsOf(settings, numbered(5, { code: 200, service: 'busy' }))).toHaveLength(0);
    expect(idsOf(settings, numbered(5, { code: 302, service: 'busy' }))).toHaveLength(5);
  });
});

describe('sample by trace', () => {
  const trace = (lastDigits: string) => ({
    'trace.id': `${'0'.repeat(32 - lastDigits.length)}${lastDigits}`,
  });
  const kept = (percent: number, record: object): boolean => {
    const processor = create({ percent, by: 'trace_id', keep_if: 'false' });
    return processor.process(batchOf([{ 'request.id': 'ffffffff', ...record }])).count === 1;
  };
  test('keeps traces at or above the threshold', () => {
    // 25 %: the threshold is c0000000000000.
    expect(kept(25, trace('c0000000000000'))).toBe(true);
    expect(kept(25, trace('bfffffffffffff'))).toBe(false);
    expect(kept(100, trace('00000000000000'))).toBe(true);
    expect(kept(0, trace('ffffffffffffff'))).toBe(false);
  });
  test('reads the trace id from traceparent and the randomness from tracestate', () => {
    const parent = {
      'request.headers.traceparent': `00-${'0'.repeat(18)}c0000000000000-00f067aa0ba902b7-01`,
    };
    expect(kept(25, parent)).toBe(true);
    const state = (value: string) => ({
      ...trace('c0000000000000'),
      'request.headers.tracestate': value,
    });
    expect(kept(25, state('x=y,ot=th:8;rv:00000000000001'))).toBe(false);
    expect(kept(25, state('ot=rv:ffffffffffffff;th:8'))).toBe(true);
    expect(kept(25, state('ot=rv:zz'))).toBe(true);
  });
  test('falls back to the request id', () => {
    // 0xffffffff % 100 = 95
    expect(kept(96, {})).toBe(true);
    expect(kept(95, {})).toBe(false);
  });
});

describe('sample weighs', () => {
  test('a kept record says for how many it stands, an error for itself', () => {
    const processor = create({ percent: 25, weight: true });
    const batch = processor.process(requests([...numbered(400), ...numbered(3, { code: 500 })]));
    const weights = texts(batch, 'sampling.weight').map(Number);
    expect(new Set(weights.slice(0, -3))).toEqual(new Set([4]));
    expect(weights.slice(-3)).toEqual([1, 1, 1]);
  });

  test('weights of two samplers multiply', () => {
    const first = create({ percent: 50, weight: true, use_independent_randomness: true });
    const second = create({ percent: 50, weight: true, use_independent_randomness: true });
    const batch = second.process(first.process(requests(numbered(400))));
    expect(new Set(texts(batch, 'sampling.weight'))).toEqual(new Set(['4']));
  });

  test('weighted counts are unbiased, by percentage, rule and budget, whatever the load', () => {
    const services = ['a', 'b', 'c'];
    const estimates: number[] = [];
    for (let run = 0; run < 60; run++) {
      let now = 0;
      const context = testContext({ now: () => now, random: dice(run + 1) });
      const processor = create(
        {
          percent: 80,
          rules: [{ match: 'mesh.destination.service == "c"', percent: 40 }],
          budget: { records_per_second: 50, key: 'mesh.destination.service' },
          weight: true,
          use_independent_randomness: true,
        },
        context,
      );
      let sum = 0;
      let real = 0;
      for (let tick = 0; tick < 100; tick++) {
        const count = tick < 50 ? 30 : 150;
        const all = Array.from({ length: count }, (_, i) => ({
          code: i === 0 ? 500 : 200,
          service: services[i % 3]!,
        }));
        real += count;
        const batch = processor.process(requests(all));
        for (const weight of texts(batch, 'sampling.weight')) sum += Number(weight);
        now += 50;
      }
      estimates.push(sum / real);
    }
    const mean = estimates.reduce((sum, one) => sum + one, 0) / estimates.length;
    const variance =
      estimates.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (estimates.length - 1);
    const sigma = Math.sqrt(variance / estimates.length);
    expect(sigma).toBeLessThan(0.02);
    expect(Math.abs(mean - 1)).toBeLessThan(3 * sigma + 0.001);
  });
});

type Load = (second: number) => { readonly service: string; readonly rate: number }[];

/** Records kept per second and service, of a load that comes in batches of `batchMs`; and errors, kept and sent. */
function play(budget: object, load: Load, { seconds = 20, batchMs = 10, errors = 0.01 } = {}) {
  let now = 1_000_000;
  const processor = create(
    { budget, weight: true },
    testContext({ now: () => now, random: dice() }),
  );
  const kept: Record<string, number>[] = [];
  const errorsSent = { sent: 0, kept: 0 };
  const random = dice(7);
  let id = 0;
  for (let ms = 0; ms < seconds * 1000; ms += batchMs) {
    const all = load(ms / 1000).flatMap(({ service, rate }) => {
      const exact = (rate * batchMs) / 1000;
      const count = Math.floor(exact) + (random() < exact % 1 ? 1 : 0);
      return Array.from({ length: count }, () => ({
        id: requestId(id++),
        code: random() < errors ? 503 : 200,
        service,
      }));
    });
    errorsSent.sent += all.filter(({ code }) => code === 503).length;
    const batch = processor.process(requests(all));
    errorsSent.kept += texts(batch, 'response.code').filter((code) => code === '503').length;
    const second = Math.floor(ms / 1000);
    kept[second] ??= {};
    for (const service of texts(batch, 'mesh.destination.service')) {
      kept[second][service] = (kept[second][service] ?? 0) + 1;
    }
    now += batchMs;
  }
  return { kept, errors: errorsSent };
}

describe('sample within a budget', () => {
  for (const batchMs of [1, 10, 100]) {
    test(`is held under a tenfold burst of batches of ${batchMs} ms, and every error is kept`, () => {
      const load: Load = (second) => [{ service: 'a', rate: second < 5 ? 500 : 5000 }];
      const { kept, errors } = play({ records_per_second: 500 }, load, { seconds: 12, batchMs });
      expect(errors.kept).toBe(errors.sent);
      expect(errors.sent).toBeGreaterThan(200);
      for (const second of kept.slice(5)) {
        expect(second['a']).toBeGreaterThan(450);
        expect(second['a']).toBeLessThan(550);
      }
    });
  }

  test('does not touch what fits', () => {
    const { kept } = play({ records_per_second: 500 }, () => [{ service: 'a', rate: 200 }], {
      seconds: 4,
    });
    expect(kept.map((second) => second['a']).every((count) => count === 200)).toBe(true);
  });

  test('gives each key a budget of its own', () => {
    const load: Load = () => [
      { service: 'busy', rate: 2000 },
      { service: 'rare', rate: 50 },
    ];
    const { kept } = play({ records_per_second: 100, key: 'mesh.destination.service' }, load, {
      seconds: 6,
      batchMs: 100,
    });
    for (const second of kept.slice(1)) {
      expect(second['rare']).toBe(50);
      expect(second['busy']).toBeGreaterThan(85);
      expect(second['busy']).toBeLessThan(115);
    }
  });

  test('shares a total so that rare keys are kept whole and busy ones get equal parts', () => {
    const load: Load = () => [
      { service: 'a', rate: 3000 },
      { service: 'b', rate: 1000 },
      { service: 'rare', rate: 40 },
    ];
    const { kept } = play(
      { total_records_per_second: 440, key: ['mesh.destination.service'] },
      load,
      { seconds: 10 },
    );
    const late = kept.slice(4);
    const mean = (service: string) =>
      late.reduce((sum, second) => sum + (second[service] ?? 0), 0) / late.length;
    expect(mean('rare')).toBeGreaterThan(36);
    expect(mean('a')).toBeGreaterThan(170);
    expect(mean('a')).toBeLessThan(230);
    expect(Math.abs(mean('a') - mean('b'))).toBeLessThan(25);
    expect(mean('a') + mean('b') + mean('rare')).toBeLessThan(484);
  });

  test('still shows a part of the others when errors alone exceed it', () => {
    const load: Load = () => [{ service: 'a', rate: 2000 }];
    const { kept, errors } = play({ records_per_second: 100 }, load, { seconds: 6, errors: 0.2 });
    expect(errors.kept).toBe(errors.sent);
    const others = kept.reduce((sum, second) => sum + (second['a'] ?? 0), 0) - errors.kept;
    expect(others).toBeGreaterThan(10);
    expect(others).toBeLessThan(100);
  });

  test('remembers a bounded number of keys', () => {
    let now = 0;
    const processor = create(
      { budget: { records_per_second: 1, key: 'mesh.destination.service' } },
      testContext({ now: () => now }),
    );
    let kept = 0;
    for (let i = 0; i < 12; i++) {
      const all = Array.from({ length: 1000 }, (_, j) => ({ service: `s${i}-${j}`, code: 200 }));
      kept += processor.process(requests(all)).count;
      now += 1;
    }
    // The first ten thousand keys have their own budget, the others share one.
    expect(kept).toBeGreaterThanOrEqual(10_000);
    expect(kept).toBeLessThan(10_100);
  });
});

describe('sample refuses', () => {
  for (const [settings, path, message] of [
    [{}, '', 'percent or percent_sampled is missing'],
    [
      { percent: 5, percent_sampled: { numerator: 5 } },
      '',
      'give percent or percent_sampled, not both',
    ],
    [{ percent: 5, keep_if: 'nope' }, 'keep_if', 'unknown name "nope"'],
    [{ rules: [{ match: 'true' }] }, 'rules.0', 'percent or percent_sampled is missing'],
    [{ rules: [{ match: '1 +', percent: 1 }] }, 'rules.0.match', 'unexpected token: EOF'],
    [{ budget: {} }, 'budget', 'give records_per_second, total_records_per_second or both'],
    [
      { budget: { records_per_second: 1, key: 'mesh.destination.servce' } },
      'budget.key',
      'did you mean "mesh.destination.service"?',
    ],
  ] as const) {
    test(JSON.stringify(settings), () => {
      const issue = sample.config.safeParse(settings).error?.issues[0];
      expect(issue?.path.join('.')).toBe(path);
      expect(issue?.message).toContain(message);
    });
  }
});
