// node bench/filter_sample_enrich.ts: what filter, sample and enrich cost per input record on top of the parse, in one
// process, as a multiple of JSON.parse of the same line. A batch of the size that the file receiver makes comes to them
// straight from the parse, as it does in the daemon. Aims: filter and sample 0.20, all three 0.35.

import { Batch } from '../src/pipeline/batch.ts';
import type { Context, Processor } from '../src/pipeline/component.ts';
import { enrich } from '../src/processors/enrich/enrich.ts';
import { filter } from '../src/processors/filter.ts';
import { parse } from '../src/processors/parse/parse.ts';
import { sample } from '../src/processors/sample/sample.ts';
import { Metrics } from '../src/telemetry/metrics.ts';
import { demoLines } from './lines.ts';

const rowsPerBatch = 310;
const rounds = 60;
/** Of the times of all batches the one that counts: what else the machine does shows in the longer ones. */
const share = 0.1;

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
const sources: Batch[] = [];
const parser = parse.create(parse.config.parse({ format: 'json' }), context);
for (let i = 0; i + rowsPerBatch <= lines.length; i += rowsPerBatch) {
  sources.push(Batch.ofLines(lines.slice(i, i + rowsPerBatch)));
}

/** Microseconds per input record. */
function micros(processors: readonly Processor[]): number {
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    for (const source of sources) {
      const parsed = parser.process(source.fork());
      let batch = parsed;
      const startMs = performance.now();
      for (const processor of processors) batch = processor.process(batch);
      times.push((performance.now() - startMs) * 1000);
      if (batch !== parsed) batch.release();
      parsed.release();
    }
  }
  return perRecord(times);
}

/** The yardstick, taken in the same way. */
function parseMicrosOf(): number {
  const times: number[] = [];
  let sum = 0;
  for (let i = 0; i < rounds; i++) {
    for (const { bytes, rowStart, rowEnd, rows } of sources) {
      const startMs = performance.now();
      for (let row = 0; row < rows; row++) {
        const line = bytes.toString('utf8', rowStart[row], rowEnd[row]);
        sum += (JSON.parse(line) as { response_code: number }).response_code;
      }
      times.push((performance.now() - startMs) * 1000);
    }
  }
  if (Number.isNaN(sum)) throw new Error('a line without a code');
  return perRecord(times);
}

function perRecord(times: number[]): number {
  times.sort((left, right) => left - right);
  return (times[Math.floor(times.length * share)] ?? 0) / rowsPerBatch;
}

parseMicrosOf();
const parseMicros = parseMicrosOf();
console.log(
  `JSON.parse ${parseMicros.toFixed(2)} us a line; aims: filter and sample 0.20 x, with enrich 0.35 x`,
);
for (const [name, make] of cases) {
  const processors = make();
  micros(processors);
  const cost = micros(processors);
  console.log(`${(cost / parseMicros).toFixed(3)} x  ${cost.toFixed(3)} us  ${name}`);
}
