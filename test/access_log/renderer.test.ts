import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Fields } from '../../src/access_log/record_batch.ts';
import { compileRenderer } from '../../src/access_log/renderer.ts';
import { ByteWriter } from '../../src/encoding/byte_writer.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import { formatOf, render, renderText } from '../support/formats.ts';

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/formats/${name}.json`, import.meta.url), 'utf8'));

describe('text formats', () => {
  type Case = [format: string, fields: Fields, omitEmpty: boolean, text: string];
  for (const [format, fields, omitEmpty, text] of fixture('text_lines') as Case[]) {
    test(JSON.stringify(format), () => {
      const object = {
        text_format_source: { inline_string: format },
        omit_empty_values: omitEmpty,
      };
      expect(renderText(object, fields)).toBe(text.replace(/\n$/, ''));
    });
  }

  test('a line ends with one newline, whether the format has one or not', () => {
    for (const format of ['%DURATION%', '%DURATION%\n']) {
      const renderer = compileRenderer(formatOf(format) as never);
      const out = new ByteWriter();
      renderer.begin(emptyBatch());
      renderer.render(0, out);
      renderer.render(0, out);
      expect(out.bytes().toString()).toBe('-\n-\n');
    }
  });

  test('lengths count bytes and may cut a character', () => {
    const cut = render('%REQ(USER-AGENT):2%', { 'request.useragent': 'aé' });
    expect([...cut]).toEqual([0x61, 0xc3]);
  });

  test('text is printed as it is: nothing is escaped, and bytes that are no UTF-8 stay', () => {
    const agent = Buffer.from([0x22, 0x20, 0xff, 0x5c, 0x07, 0x80]);
    expect([...render('%REQ(USER-AGENT)%', { 'request.useragent': agent })]).toEqual([...agent]);
  });

  test('Kuma prints its HTTP format for requests and its TCP format for connections', () => {
    const kuma = { type: 'Plain' };
    expect(renderText(kuma, { 'request.method': 'GET', 'mesh.name': 'm' })).toBe(
      '[-] m "GET - -" 0 - 0 0 - - "-" "-" "-" "-" "-" "-" "-" "-" "-"',
    );
    expect(renderText(kuma, { 'request.size': 7, 'mesh.name': 'm' })).toBe(
      '[-] - m -(-)->-(-) took -ms, sent 0 bytes, received: 7 bytes',
    );
  });

  test('omitEmptyValues prints nothing for what is missing; flags stay a dash', () => {
    const format = {
      type: 'Plain',
      plain: '%REQ(X)%|%DURATION%|%RESPONSE_FLAGS%',
      omitEmptyValues: true,
    };
    expect(renderText(format, {})).toBe('||-');
  });
});

const emptyBatch = () => Batch.ofLines(['']);

describe('JSON formats', () => {
  type Case = [format: object, fields: Fields, json: unknown];
  for (const [format, fields, json] of fixture('json_lines') as Case[]) {
    test(JSON.stringify(format).slice(0, 80), () => {
      expect(JSON.parse(renderText({ json_format: format }, fields))).toEqual(json);
    });
  }

  test("Envoy's keys are sorted by bytes, Kuma's keep their order and the last of two wins", () => {
    const fields = { 'request.method': 'GET', 'request.duration': 100000 };
    const envoy = { json_format: { é: '%DURATION%', b: '%REQ(:METHOD)%', B: { y: 1, x: null } } };
    expect(renderText(envoy, fields)).toBe('{"B":{"x":null,"y":1},"b":"GET","é":1e+05}');
    const kuma = {
      type: 'Json',
      json: [
        { key: 'b', value: '%REQ(:METHOD)%' },
        { key: 'a', value: 'x' },
        { key: 'b', value: '%DURATION%' },
      ],
    };
    expect(renderText(kuma, fields)).toBe('{"b":100000,"a":"x"}');
  });

  test('with omit_empty_values keys without value go, and objects that become empty; lists stay', () => {
    const format = {
      json_format: {
        gone: '%REQ(X)%',
        nested: { gone: '%REQ(X)%' },
        empty: {},
        list: ['%REQ(X)%'],
        mixed: 'a%REQ(X)%',
        flags: '%RESPONSE_FLAGS%',
        zero: '%BYTES_SENT%',
      },
      omit_empty_values: true,
    };
    expect(renderText(format, {})).toBe(
      '{"empty":{},"flags":"-","list":[null],"mixed":"a","zero":0}',
    );
  });

  for (const [text, escaped] of [
    ['Hello, Καλημέρα, コンニチハ', 'Hello, Καλημέρα, コンニチハ'],
    ['a\b\fc', 'a\\b\\fc'],
    ['\u000e\u0010>\u007f', '\\u000e\\u0010>\u007f'],
    ['"\\/\n\r\t', '\\"\\\\/\\n\\r\\t'],
  ] as const) {
    test(`the string ${JSON.stringify(text)} is escaped as little as JSON asks for`, () => {
      const line = renderText({ json_format: { a: '%REQ(X)%' } }, { 'request.headers.x': text });
      expect(line).toBe(`{"a":"${escaped}"}`);
    });
  }

  for (const [bytes, escaped] of [
    [[0xce], '\\u00ce'],
    [[0xf0, 0xfd, 0x84, 0x9e], '\\u00f0\\u00fd\\u0084\\u009e'],
    [[0x22, 0x0a, 0x5c, 0x7f, 0x61, 0xff], '\\u0022\\u000a\\u005c\\u007fa\\u00ff'],
  ] as const) {
    test(`bytes ${bytes.join(' ')} that are no UTF-8 are escaped one by one`, () => {
      const fields = { 'request.headers.x': Uint8Array.from(bytes) };
      const lone = render({ json_format: { a: '%REQ(X)%' } }, fields);
      const mixed = render({ json_format: { a: '.%REQ(X)%' } }, fields);
      expect(lone.toString()).toBe(`{"a":"${escaped}"}`);
      expect(mixed.toString()).toBe(`{"a":".${escaped}"}`);
    });
  }
});
