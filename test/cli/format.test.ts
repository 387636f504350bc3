import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseFormatConfig } from '../../src/access_log/format/config.ts';
import { explainFormat } from '../../src/cli/format.ts';

const output = async (text: string): Promise<string> => (await explainFormat(text)).output;
const problem = async (text: string): Promise<string> => (await explainFormat(text)).problem;
const format = '[%START_TIME%] %KUMA_SOURCE_SERVICE% => %KUMA_DESTINATION_SERVICE% %DURATION%';

describe('meshlog format', () => {
  test('shows each operator with its field and kind, and the texts between them', async () => {
    const shown = (await output(format)).split('\n').slice(0, 6);
    expect(shown.slice(0, 5)).toEqual([
      '[ START_TIME ]            request.time              time, milliseconds',
      'KUMA_SOURCE_SERVICE       mesh.source.service       text without spaces',
      '" => "',
      'KUMA_DESTINATION_SERVICE  mesh.destination.service  text without spaces',
      'DURATION                  request.duration          milliseconds',
    ]);
    expect(shown[5]).toMatch(
      /^reads back exactly; loses: method, path, response code and \d+ more fields that this format does not print\.$/,
    );
  });

  for (const [text, words] of [
    ['"%REQ(A)%" "%REQ(B)%"', 'reads back, with doubts'],
    ['"%REQ(A)%" "%REQ(B)%"', 'warning: %REQ(A)% and %REQ(B)% can both hold "\\" \\""'],
    [
      '%BYTES_SENT%%DURATION%',
      'cannot be read back: %BYTES_SENT% and %DURATION% stand next to each other',
    ],
    ['%START_TIME(%H:%M)%', 'warning: %START_TIME(%H:%M)% loses the time as a number'],
    ['%PATH(NQ)%', '%PATH(NQ)% loses the query'],
    ['%HOSTNAME%', 'not in ALS entries, so printed as missing for them: HOSTNAME'],
    ['%RESP(X-A)%', 'in ALS entries only if the proxy is told to log it: RESP(X-A)'],
    [
      '{"type":"Json","json":[{"key":"a","value":"%DURATION%"}]}',
      'a: DURATION  request.duration  milliseconds',
    ],
    ['kuma_http', '" KUMA_SOURCE_SERVICE "'],
    ['type: Plain', 'TCP\n'],
  ] as const) {
    test(`${text}: ${words.slice(0, 60)}`, async () => expect(await output(text)).toContain(words));
  }

  test('gives the same format in the words of Istio, Kuma and Envoy', async () => {
    for (const text of [format, 'istio_json', '{json_format: {a: "%DURATION%", b: {c: 1}}}']) {
      const documents = (await output(text)).split(/^# (?:Istio|Kuma|Envoy).*\n/m).slice(1);
      expect(documents).toHaveLength(3);
      for (const document of documents) {
        if (document.startsWith('#')) continue;
        expect(parseFormatConfig(parse(document)).problems).toEqual([]);
      }
    }
  });

  test('points at the place where a format is wrong', async () => {
    expect(await problem('a %RESPONSE_CODES%')).toBe(
      'not a format: Not supported field in StreamInfo: RESPONSE_CODES; did you mean "RESPONSE_CODE"? (at character 3)\n    a %RESPONSE_CODES%\n      ^\n',
    );
    expect(await problem('auto')).toContain('no format that can be shown');
    expect(await problem('{type: Json, json: [{key: a}]}')).toContain(
      'json.0.value: value cannot be empty',
    );
  });
});
