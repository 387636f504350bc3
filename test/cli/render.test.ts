import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { istioText } from '../../src/access_log/formats.ts';
import { openRendering } from '../../src/cli/render.ts';
import { render } from '../support/formats.ts';

const rendered = async (format: string, lines: readonly string[], from = 'auto') => {
  const rendering = await openRendering({ format, from });
  if (typeof rendering === 'string') throw new Error(rendering);
  const { output, problems } = rendering(lines);
  return { lines: output.toString().split('\n').slice(0, -1), problems };
};

const istio = render(istioText, {
  'request.time': '2020-10-23T11:08:53.165Z',
  'request.method': 'GET',
  'response.code': 200,
}).toString();

describe('meshlog render', () => {
  test('takes records, ALS entries and lines of other formats, in their order', async () => {
    const { lines, problems } = await rendered(
      '%REQ(:METHOD)% %RESPONSE_CODE% %START_TIME(%s)% %BYTES_SENT%',
      [
        '{"time":"2020-01-01T00:00:00Z","attributes":{"request.method":"PUT","response.size":7}}',
        istio,
        '{"method":"POST","response_code":"404","start_time":"2020-10-23T11:08:53.165Z"}',
        '{"commonProperties":{"startTime":"2021-02-02T17:47:30Z"},"request":{"requestMethod":"HEAD"},"response":{"responseCode":302,"responseBodyBytes":"3"}}',
        '{"result":{"httpAccessLog":{"request":{"requestMethod":"GET"}}}}',
        '{"tcp_logs":{"log_entry":[{"connection_properties":{"sent_bytes":9}},{"connection_properties":{"sent_bytes":10}}]}}',
        '{"request.method":"TRACE"}',
        '',
      ],
    );
    expect(problems).toEqual([]);
    expect(lines).toEqual([
      'PUT 0 1577836800 7',
      'GET 200 1603451333 0',
      'POST 404 1603451333 0',
      'HEAD 302 1612288050 3',
      'GET 0 - 0',
      '- 0 - 9',
      '- 0 - 10',
      'TRACE 0 - 0',
    ]);
  });

  test('says which lines it did not understand, and renders the others', async () => {
    const { lines, problems } = await rendered('%REQ(:METHOD)%', ['junk', istio, '[x']);
    expect(lines).toEqual(['GET']);
    expect(problems).toEqual([
      { index: 0, reason: 'does not begin with "["' },
      { index: 2, reason: 'stopped fitting at byte 2, in %START_TIME%' },
    ]);
  });

  test('reads text lines of a format that is given', async () => {
    const { lines } = await rendered(
      '{json_format: {a: "%DURATION%"}}',
      ['12 ms'],
      '%DURATION% ms',
    );
    expect(lines).toEqual(['{"a":12}']);
  });

  for (const [format, from, message] of [
    ['%NOPE%', 'auto', 'Not supported field in StreamInfo: NOPE'],
    ['ztunnel', 'auto', 'cannot be written'],
    ['%DURATION%', '%DURATION%%BYTES_SENT%', 'stand next to each other'],
  ] as const) {
    test(`--format ${format} --from ${from} is refused`, async () => {
      expect(await openRendering({ format, from })).toContain(message);
    });
  }

  test('as a program reads standard input and writes lines', () => {
    const script = `
      import { Command } from 'commander';
      import { renderCommand } from ${JSON.stringify(join(import.meta.dirname, '../../src/cli/render.ts'))};
      const program = new Command();
      renderCommand(program, (code) => { process.exitCode = code; });
      await program.parseAsync(['render', '--format', '%REQ(:METHOD)%'], { from: 'user' });`;
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', script],
      {
        input: `${istio}\n${istio}\nbad\n${istio}`,
        cwd: join(import.meta.dirname, '../..'),
        encoding: 'utf8',
      },
    );
    expect({ stdout, stderr, status }).toEqual({
      stdout: 'GET\nGET\nGET\n',
      stderr: '1 of 4 lines not understood\nline 3: does not begin with "["\n',
      status: 65,
    });
  });
});
