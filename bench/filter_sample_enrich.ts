// node bench/filter_sample_enrich.ts: what filter, sample and enrich cost per input record on top of the parse, in one
// process, as a multiple of JSON.parse of the same line. The batches are parsed beforehand; every round works on a fork
// of each. Aims: filter and sample 0.20, all three 0.35.

import { Batch } from '../src/pipeline/batch.ts';
import type { Context, Processor } from '../src/pipeline/component.ts';
import { enrich } from '../src/processors/enrich/enrich.ts';
import { filter } from '../src/processors/filter.ts';
import { parse } from '../src/processors/parse/parse.ts';
import { sample } from '../src/processors/sample/sample.ts';
import { Metrics } from '../src/telemetry/metrics.ts';
import { jsonParseMicros } from './harness.ts';
import { demoLines } from './lines.ts';

const rowsPerBatch = 500;
const rounds = 40;
const repeats = 5;

const context = {
  id: 'bench',
  log: { info: console.log, warn: console.warn, error: console.error },
  metrics: new Metrics(),
  now: () => performance.timeOrigin + performance.now(),
  random: Math.random,
  drop: () => undefined,
} as unknown as Context;

const filtering = (settings: object): Processor =>
  filter.create(filter.config.parse(settings), context);
const sampling = (settings: object): Processor =>
  sample.create(sample.config.parse(settings), context);

const enriching = (settings: object): Processor =>
  enrich.create(enrich.config.parse(settings), context);

const errors = { status_code_filter: { comparison: { op: 'GE', value: { default_value: 400 } } } };
const expression = 'response.code >= 400 || duration > duration("1s")';
const text =
  'request.method == "GET" && request.url_path.contains("product") && !has(request.referer)';
const regex = 'request.path.matches("^/(reviews|ratings)/[0-9]+$")';
const budget = { total_records_per_second: 1000, key: 'xds.cluster_name' };

const cases: readonly (readonly [string, () => Processor[]])[] = [
  ['filter: drops nothing by code', () => [filtering({ expression: 'response.code >= 0' })]],
  [`filter: ${expression}`, () => [filtering({ expression })]],
  [`filter: ${text}`, () => [filtering({ expression: text })]],
  [`filter: ${regex}`, () => [filtering({ expression: regex })]],
  ['sample: errors and 50 %', () => [sampling({ percent: 50 })]],
  ['sample: errors and 50 %, weight', () => [sampling({ percent: 50, weight: true })]],
  ['sample: budget by cluster', () => [sampling({ budget })]],
  [
    'filter (all pass) and sample 50 %',
    () => [
      filtering({ expression: 'has(response.code)' }),
      sampling({ keep_if: errors, percent: 50 }),
    ],
  ],
  ['enrich', () => [enriching({ mesh: 'bench' })]],
  [
    'filter, sample 50 %, enrich',
    () => [
      filtering({ expression: 'has(response.code)' }),
      sampling({ keep_if: errors, percent: 50 }),
      enriching({ mesh: 'bench' }),
    ],
  ],
  [
    'filter, sample 100 %, enrich: everything is kept',
    () => [
      filtering({ expression: 'has(response.code)' }),
      sampling({ keep_if: errors, percent: 100 }),
      enriching({ mesh: 'bench' }),
    ],
  ],
];

const lines = demoLines(20_000).json;
const batches: Batch[] = [];
const parser = parse.create(parse.config.parse({ format: 'json' }), context);
for (let i = 0; i < lines.length; i += rowsPerBatch) {
  batches.push(parser.process(Batch.ofLines(lines.slice(i, i + rowsPerBatch))));
}

/** Microseconds of CPU per input record: the best of several runs, the forks deducted. */
function micros(processors: readonly Processor[]): number {
  let best = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < repeats; repeat++) {
    best = Math.min(best, round(processors) - round([]));
  }
  return best;
}

function round(processors: readonly Processor[]): number {
  const before = process.cpuUsage();
  for (let i = 0; i < rounds; i++) {
    for (const batch of batches) {
      let fork = batch.fork();
      for (const processor of processors) fork = processor.process(fork);
      fork.release();
    }
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / (rounds * lines.length);
}

const parseMicros = jsonParseMicros(lines);
console.log(
  `JSON.parse ${parseMicros.toFixed(2)} us a line; aims: filter and sample 0.20 x, with enrich 0.35 x`,
);
for (const [name, make] of cases) {
  const processors = make();
  micros(processors);
  const cost = micros(processors);
  console.log(`${(cost / parseMicros).toFixed(3)} x  ${cost.toFixed(3)} us  ${name}`);
}
