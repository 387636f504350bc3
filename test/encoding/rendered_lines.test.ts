import { expect, test } from 'vitest';
import { parseFormatConfig } from '../../src/access_log/format/config.ts';
import type { Format } from '../../src/access_log/format/format.ts';
import { RenderedLineEncoder } from '../../src/encoding/rendered_lines.ts';
import { Batch } from '../../src/pipeline/batch.ts';

function formatOf(value: unknown): Format {
  const { format, problems } = parseFormatConfig(value);
  if (format === undefined || format.kind === 'named') throw new Error(JSON.stringify(problems));
  return format;
}

/** Two lines of which the second was not understood. */
function parsed(): Batch {
  const batch = Batch.ofLines(['a line', 'not %understood%']);
  batch.body = batch.recordColumn('body');
  batch.setValue(batch.body, 1, batch.line(1));
  batch.setValue(batch.addColumn('response.code'), 0, 503);
  batch.setValue(batch.addColumn('mesh.source.service'), 0, 'web');
  batch.setValue(batch.addColumn('log.parse_error'), 1, 'no format fits');
  return batch;
}

for (const [name, format, line] of [
  ['text', { type: 'Plain', plain: '%RESPONSE_CODE% %PROTOCOL%' }, '503 -'],
  [
    'JSON',
    { type: 'Json', json: [{ key: 'from', value: '%KUMA_SOURCE_SERVICE%' }] },
    '{"from":"web"}',
  ],
] as const) {
  test(`rendered lines are ${name} of the format, and what was not understood as it came`, () => {
    const text = new RenderedLineEncoder(formatOf(format)).encode(parsed()).toString();
    expect(text).toBe(`${line}\nnot %understood%\n`);
  });
}

test('rendered lines of a batch that nothing has parsed are its lines', () => {
  const encoder = new RenderedLineEncoder(formatOf('%PROTOCOL%'));
  expect(encoder.encode(Batch.ofLines(['one', 'two'])).toString()).toBe('one\ntwo\n');
});

test('rendered lines are those of the selection', () => {
  const batch = parsed();
  batch.keep((row) => row === 0);
  const encoder = new RenderedLineEncoder(formatOf('%RESPONSE_CODE%'));
  expect(encoder.encode(batch).toString()).toBe('503\n');
});
