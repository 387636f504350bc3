// What the Collector refuses, refused in its words: its own validation cases, with logs as the signal.

import { describe, expect, test } from 'vitest';
import { load, told } from './stand_in.ts';

const whole = {
  receivers: ['nop: {}'],
  processors: ['nop: {}'],
  exporters: ['nop: {}'],
  extensions: ['nop: {}'],
  connectors: ['nop/conn: {}'],
};

type Lists = { receivers: string; processors: string; exporters: string; extensions: string };

function config(sections: Partial<typeof whole>, lists: Partial<Lists> = {}): string {
  const named = {
    receivers: 'nop',
    processors: 'nop',
    exporters: 'nop',
    extensions: 'nop',
    ...lists,
  };
  const text = Object.entries({ ...whole, ...sections })
    .filter(([, entries]) => entries.length > 0)
    .map(([section, entries]) => `${section}:\n${entries.map((entry) => `  ${entry}\n`).join('')}`);
  return (
    `${text.join('')}service:\n  extensions: [${named.extensions}]\n  pipelines:\n    logs:\n` +
    `      receivers: [${named.receivers}]\n      processors: [${named.processors}]\n` +
    `      exporters: [${named.exporters}]\n`
  );
}

const otlp = (settings: string): string =>
  config({ exporters: ['nop:', `otlp: { endpoint: x, ${settings} }`] });

describe('the Collector refuses, and so do we:', () => {
  for (const [name, text, words] of [
    ['no exporters', config({ exporters: [] }), 'no exporter configuration specified in config'],
    ['no receivers', config({ receivers: [] }), 'no receiver configuration specified in config'],
    [
      'an extension that is not configured',
      config({}, { extensions: 'nop, nop/2' }),
      'service::extensions: references extension "nop/2" which is not configured',
    ],
    [
      'a receiver that is not configured',
      config({}, { receivers: 'nop, nop/2' }),
      'service::pipelines::logs: references receiver "nop/2" which is not configured',
    ],
    [
      'a processor that is not configured',
      config({}, { processors: 'nop, nop/2' }),
      'service::pipelines::logs: references processor "nop/2" which is not configured',
    ],
    [
      'an exporter that is not configured',
      config({}, { exporters: 'nop, nop/2' }),
      'service::pipelines::logs: references exporter "nop/2" which is not configured',
    ],
    [
      'a processor twice',
      config({}, { processors: 'nop, nop' }),
      'references processor "nop" multiple times',
    ],
    ['no receiver in a pipeline', config({}, { receivers: '' }), 'must have at least one receiver'],
    ['no exporter in a pipeline', config({}, { exporters: '' }), 'must have at least one exporter'],
    [
      'an unknown type',
      config({ receivers: ['nop: {}', 'nosuch: {}'] }),
      'unknown type: "nosuch" for id: "nosuch"',
    ],
    [
      'no pipeline',
      config({}).replace(/ {2}pipelines:[\s\S]*/, ''),
      'service::pipelines: service must have at least one pipeline',
    ],
    [
      'another signal',
      config({}).replace('    logs:', '    wrongtype:'),
      'service::pipelines: unknown signal "wrongtype"',
    ],
    [
      'a batch that the queue cannot hold',
      otlp('queue: { size: 1000, batch: { min_size: 1001 } }'),
      '`min_size` must be less than or equal to `queue_size`',
    ],
    [
      'no time to batch',
      otlp('queue: { batch: { flush_timeout: 0 } }'),
      '`flush_timeout` must be positive, found 0',
    ],
    [
      'TLS versions the wrong way round',
      otlp('tls: { min_version: "1.3", max_version: "1.2" }'),
      'min_version cannot be greater than max_version',
    ],
  ] as const) {
    test(name, () => {
      const { config: loaded, problems } = load(text);
      expect(loaded).toBeUndefined();
      expect(told(problems).join('\n')).toContain(words);
    });
  }

  // Two more of its cases cannot be written here: `wait_for_result` together with `storage` (a memory queue always
  // waits for the result, a disk queue never does: one field, queue.type, chooses), and the bounds of the batch
  // processor, which does not exist (batching belongs to each exporter's queue). The fields are refused as unknown.
  test('fields that contradict each other there do not exist here', () => {
    for (const [settings, words] of [
      ['queue: { wait_for_result: true }', 'queue.wait_for_result: unknown field'],
      ['sending_queue: {}', 'sending_queue: unknown field; did you mean "queue"?'],
    ] as const) {
      expect(told(load(otlp(settings)).problems).join('\n')).toContain(words);
    }
    const batch = load(config({ processors: ['nop:', 'batch: { send_batch_size: 1 }'] }));
    expect(told(batch.problems).join('\n')).toContain('unknown type: "batch" for id: "batch"');
  });
});

test('what the Collector accepts is accepted: extensions and connectors with a warning', () => {
  const { config: loaded, problems, warnings } = load(config({}));
  expect(problems).toEqual([]);
  expect(loaded?.pipelines).toEqual([
    { id: 'logs', receivers: ['nop'], processors: ['nop'], exporters: ['nop'] },
  ]);
  expect(warnings).toHaveLength(2);
});
