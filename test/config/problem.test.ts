import { describe, expect, test } from 'vitest';
import { formatProblems, formatRefusal } from '../../src/config/problem.ts';
import { around, load } from './stand_in.ts';

const wrong = `receivers: { nop: }
processors:
  sample/half:
    percnt: 50
exporters:
  nop:
`;

describe('problems as the user sees them', () => {
  const { problems } = load(wrong);

  test('stand under a heading, with the line, a caret and a way on', () => {
    expect(formatRefusal(problems)).toBe(
      `config.yaml: 2 problems, nothing was started

config.yaml:1:1: service::pipelines: service must have at least one pipeline
config.yaml:4:5: processors.sample/half.percnt: unknown field; did you mean "percent"?
     4 |     percnt: 50
       |     ^^^^^^

meshlog docs sample shows every field.
`,
    );
  });

  test('are coloured on a terminal only', () => {
    const stream = { isTTY: true, getColorDepth: () => 8, hasColors: () => true, writable: true };
    const terminal = Object.assign(Object.create(process.stdout), stream) as NodeJS.WriteStream;
    const before = { ...process.env };
    delete process.env['NO_COLOR'];
    process.env['FORCE_COLOR'] = '1';
    expect(formatProblems(problems, { stream: terminal })).toContain('\u001b[31m^^^^^^');
    process.env = before;
    expect(formatProblems(problems)).not.toContain('\u001b');
  });

  test('are a hundred at most', () => {
    const many = Array.from({ length: 130 }, () => ({ ...problems[0]!, line: 0 }));
    const text = formatProblems(many);
    expect(text.split('\n')).toHaveLength(102);
    expect(text).toContain('and 30 more\n');
  });

  test('show a window of a long line', () => {
    const padding = 'x'.repeat(500);
    const text = around(`nop:\nprobe: { text: ${padding}, numbr: 1, any: ${padding} }`);
    const excerpt = load(text).problems[0]?.excerpt;
    expect(excerpt?.text.slice(excerpt.from, excerpt.from + excerpt.length)).toBe('numbr');
    expect(excerpt?.text.length).toBeLessThanOrEqual(110);
  });
});

describe('secrets are not shown', () => {
  const text = `receivers: { nop: }
exporters:
  otlp:
    endpoint: x
    token: [hunter2]
  otlp/flow: { endpoint: ???, token: hunter2, headers: { authorization: hunter2, other: 12345678 } }
  otlp/slip: { endpoint: x, tokn: hunter2 }
  otlp/block:
    endpoint: x
    headers:
      authorization: |
        hunter2
      x-api-key: 7236172
  otlp/where: { password: hunter2, endpoint: "\${env:SECRET}" }
service: { pipelines: { logs: { receivers: [nop], exporters: [otlp] } } }
`;

  test('neither in messages nor in the lines below them', () => {
    const { problems } = load(text, { SECRET: 'x' });
    const shown = formatRefusal(problems);
    expect(problems.length).toBeGreaterThanOrEqual(5);
    expect(shown).not.toMatch(/hunter2|12345678|7236172/);
    expect(shown).toContain('endpoint: ???, token: *******');
  });

  test('also not in the lines of broken YAML', () => {
    const shown = formatRefusal(load('exporters:\n  otlp: { token: hunter2, x: [ }\n').problems);
    expect(shown).not.toContain('hunter2');
    expect(shown).toContain('token: ****');
  });
});
