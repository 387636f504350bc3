// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references are what is tested.

// `${env:NAME}` and its like: what the Collector's own strict type casting table says, in our words. Each value is put
// in directly and through a second variable, into fields that want different types.

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { partsOf } from '../../src/config/expand.ts';
import { loadConfig } from '../../src/config/load.ts';
import { around, load, standIn, told } from './stand_in.ts';

type Field = 'text' | 'number' | 'switch' | 'list' | 'any';

/** What `field: value` gives when variables hold `env`: the value, or the words of the refusal. */
function read(field: Field | 'named', value: string, env: Record<string, string>): unknown {
  const text = around(`nop:\nprobe:\n  ${field}: ${value}`);
  const { config, problems } = load(text, env);
  if (config === undefined) return told(problems).join('\n');
  const probe = config.receivers.find(({ id }) => id === 'probe');
  return (probe?.config as Record<string, unknown> | undefined)?.[field];
}

const refused = (words: string) => expect.stringContaining(words);
const inline = '"inline field with ${env:ENV} expansion"';

describe('a variable as the whole value', () => {
  for (const [value, field, wanted] of [
    ['123', 'number', 123],
    ['123', 'text', '123'],
    ['123', 'switch', refused('expected true or false, got the number 123')],
    ['0123', 'number', 83],
    ['0123', 'text', '0123'],
    ['0xdeadbeef', 'number', 3735928559],
    ['0xdeadbeef', 'text', '0xdeadbeef'],
    ['0xdeadbeef', 'switch', refused('expected true or false')],
    ['"0123"', 'text', '"0123"'],
    ['"0123"', 'number', refused('expected a number')],
    ['!!str 0123', 'text', '!!str 0123'],
    ['t', 'switch', refused('expected true or false')],
    ['23', 'switch', refused('expected true or false')],
    ['true', 'switch', true],
    ['TRUE', 'switch', true],
    ['true', 'text', 'true'],
    ['1_000', 'number', 1000],
    ['1.5e3', 'number', 1500],
    ['1111:1111:1111:1111:1111::', 'text', '1111:1111:1111:1111:1111::'],
    ['2006-01-02T15:04:05Z07:00', 'text', '2006-01-02T15:04:05Z07:00'],
    ['2023-03-20T03:17:55.432328Z', 'text', '2023-03-20T03:17:55.432328Z'],
    ['true # comment with a ${env:hello.world} reference', 'switch', true],
    [
      'true # comment with a ${env:hello.world} reference',
      'text',
      refused('expected text, got true'),
    ],
    ['[filelog,windowseventlog/application]', 'list', ['filelog', 'windowseventlog/application']],
    ['[filelog,windowseventlog/application]', 'text', '[filelog,windowseventlog/application]'],
    ['{"a": [1, "b"]}', 'any', { a: [1, 'b'] }],
    ['$$ENV', 'text', '$ENV'],
    ['$${ENV}', 'text', '${ENV}'],
    ['$${env:ENV}', 'text', '${env:ENV}'],
    ['[filelog,${ENV_VALUE}]', 'text', '[filelog,testreceiver]'],
    ['[filelog,$${ENV_VALUE}]', 'text', '[filelog,${ENV_VALUE}]'],
    ['["filelog","${ENV_VALUE}"]', 'list', ['filelog', 'testreceiver']],
    ['["filelog","${ENV_VALUE}"]', 'text', '["filelog","testreceiver"]'],
    ['["filelog","$${ENV_VALUE}"]', 'text', '["filelog","${ENV_VALUE}"]'],
    ['["filelog","$$ENV_VALUE"]', 'text', '["filelog","$ENV_VALUE"]'],
    ['["filelog","$ENV_VALUE"]', 'text', '["filelog","$ENV_VALUE"]'],
    ['receivers: {nop: }', 'text', 'receivers: {nop: }'],
    ['a\nb: "', 'text', 'a\nb: "'],
    ['', 'text', undefined],
    ['', 'number', undefined],
  ] as const) {
    for (const way of ['direct', 'indirect']) {
      test(`${way}: ${JSON.stringify(value)} for ${field}`, () => {
        const held = way === 'direct' ? { ENV: value } : { ENV: '${env:ENV2}', ENV2: value };
        const env = { ...held, ENV_VALUE: 'testreceiver' };
        expect(read(field, '${env:ENV}', env)).toEqual(wanted);
        expect(read(field, '"${ENV}"', env)).toEqual(wanted);
      });
    }
  }
});

describe('a variable within a text', () => {
  for (const [value, wanted] of [
    ['123', 'inline field with 123 expansion'],
    ['0123', 'inline field with 0123 expansion'],
    ['0xdeadbeef', 'inline field with 0xdeadbeef expansion'],
    ['"0123"', 'inline field with "0123" expansion'],
    ['2006-01-02T15:04:05Z07:00', 'inline field with 2006-01-02T15:04:05Z07:00 expansion'],
    ['$$ENV', 'inline field with $ENV expansion'],
    ['$${ENV}', 'inline field with ${ENV} expansion'],
    ['[filelog,${ENV_VALUE}]', 'inline field with [filelog,testreceiver] expansion'],
    ['["filelog","$${ENV_VALUE}"]', 'inline field with ["filelog","${ENV_VALUE}"] expansion'],
    [
      'true # comment with a ${env:hello.world} reference',
      refused('environment variable "hello.world" has invalid name'),
    ],
  ] as const) {
    for (const way of ['direct', 'indirect']) {
      test(`${way}: ${JSON.stringify(value)}`, () => {
        const held = way === 'direct' ? { ENV: value } : { ENV: '${env:ENV2}', ENV2: value };
        expect(read('text', inline, { ...held, ENV_VALUE: 'testreceiver' })).toEqual(wanted);
      });
    }
  }
});

describe('references', () => {
  const env = { A: 'a', B: '${A}b', NAME: 'A', EMPTY: '', LOOP: 'x${LOOP}', TWICE: '${M}${M}' };
  for (const [value, wanted] of [
    ['${env:NONE:-fallback}', 'fallback'],
    ['${NONE:-fallback}', 'fallback'],
    ['${env:EMPTY:-fallback}x', 'x'],
    ['${env:NONE:-${env:B}}', 'ab'],
    ['${env:${NAME}}', 'a'],
    ['${A}${B}', 'aab'],
    ['$A and $$A and $$$$A', '$A and $A and $$A'],
    ['$$${A}', '$a'],
    ['$${A} ${A}', '${A} a'],
    ['cost: 5$', 'cost: 5$'],
    ['${yaml:text}', 'text'],
    ['${', '${'],
    ['${env:LOOP}', refused('too many recursive expansions')],
    ['x${env:LOOP}', refused('too many recursive expansions')],
    ['${env:1A}', refused('environment variable "1A" has invalid name')],
    ['${}', refused('environment variable "" has invalid name')],
    ['${constructor}', undefined],
    ['${https://x/y}', refused('scheme "https" is not supported')],
  ] as const) {
    test(value, () => expect(read('text', `'${value}'`, env)).toEqual(wanted));
  }

  test('that double themselves end within bounds', () => {
    const env: Record<string, string> = { V0: '' };
    for (let i = 1; i < 18; i++) env[`V${i}`] = `\${V${i - 1}}\${V${i - 1}}`;
    const begun = performance.now();
    expect(read('text', '${V17}', env)).toEqual(refused('too many recursive expansions'));
    env['V0'] = 'x'.repeat(1000);
    expect(read('text', '${V11}', env)).toEqual(refused('longer than 1 MiB'));
    expect(performance.now() - begun).toBeLessThan(2000);
  });

  test('cannot change the structure around them', () => {
    const hostile = 'x\nexporters: {}\n"}]: {nop: [';
    expect(read('text', '"a ${env:H}"', { H: hostile })).toBe(`a ${hostile}`);
    expect(read('named', '{ key: "${env:H}" }', { H: hostile })).toEqual({ key: hostile });
  });

  test('warn of what is not set, once', () => {
    const { warnings } = load(around('nop:\nprobe: { any: "${env:NONE}" }'), {});
    expect(told(warnings)).toEqual([
      '3:17: environment variable "NONE" is not set; its place stays empty',
    ]);
  });

  test('read files beside the configuration: whole parts, and texts without their last newline', () => {
    const directory = mkdtempSync(join(tmpdir(), 'meshlog-'));
    writeFileSync(
      join(directory, 'receivers.yaml'),
      'nop:\ntcp: { endpoint: "${env:AT}", framng: cri }\n',
    );
    writeFileSync(join(directory, 'token'), 'p@ss: [word\n');
    const text =
      'receivers: ${file:receivers.yaml}\nprocessors: { nop: }\n' +
      'exporters: { otlp: { endpoint: x, token: "${file:token}" } }\n' +
      'service: { pipelines: { logs: { receivers: [nop], exporters: [otlp] } } }\n';
    const file = join(directory, 'config.yaml');
    const refusal = loadConfig([{ file, text }], standIn, { AT: ':1' });
    expect(refusal.included).toEqual([join(directory, 'receivers.yaml'), join(directory, 'token')]);
    expect(refusal.problems).toMatchObject([
      { file: join(directory, 'receivers.yaml'), line: 2, column: 31 },
    ]);
    const fixed = text.replace('${file:receivers.yaml}', '{ nop: }');
    const { config } = loadConfig([{ file, text: fixed }], standIn, {});
    expect(config?.exporters[0]?.config).toMatchObject({ token: 'p@ss: [word' });
  });
});

test('the parts of a text say where each of its letters came from', () => {
  const bits = fc.array(fc.constantFrom('$', '{', '}', '$$', '${', 'a', ':', '-', ' '), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(bits, (list) => {
      const text = list.join('');
      let end = 0;
      for (const part of partsOf(text)) {
        expect(part.at).toBeGreaterThanOrEqual(end);
        if ('literal' in part) {
          expect(text.startsWith(part.literal, part.at)).toBe(true);
          end = part.at + part.literal.length;
        } else {
          expect(text.slice(part.at, part.at + 2) + text[part.until - 1]).toBe('${}');
          end = part.until;
        }
      }
    }),
  );
});
