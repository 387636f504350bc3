import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { type ParseOptions, parseLines } from '../../src/cli/parse.ts';

type Outcome = { code: number; out: string; err: string };

function sink(chunks: Buffer[], isTTY = false): Writable & { isTTY: boolean } {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  return Object.assign(stream, { isTTY });
}

/** Runs the command over chunks of input. */
async function run(
  input: readonly string[],
  options: Partial<ParseOptions> = {},
  isTTY = false,
): Promise<Outcome> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    for (const text of input) yield Buffer.from(text);
  };
  const code = await parseLines(
    { format: 'auto', ...options },
    { input: chunks(), output: sink(out, isTTY), errors: sink(err) },
  );
  return { code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
}

const istio =
  '{"response_flags":"UF,URX","start_time":"2020-10-23T11:15:19.184Z","method":"GET","upstream_host":"10.244.1.10:80","requested_server_name":"-","upstream_cluster":"outbound|80||reviews.shop.svc.cluster.local","downstream_remote_address":"10.244.4.4:37034","authority":"reviews","path":"/r/0","protocol":"HTTP/1.1","duration":"47","upstream_transport_failure_reason":"delayed_connect_error:_111","response_code":"503"}';
const text =
  '[2020-11-25T21:26:18.409Z] "GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 4 4 "-" "curl/7.73.0-DEV" "84961386-6d84-929d-98bd-c5aee93b5c88" "httpbin:8000" "10.44.1.27:80" outbound|8000||httpbin.foo.svc.cluster.local 10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 - default';

const records = (out: string): Record<string, unknown>[] =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

test('parse prints JSON lines in a pipe, enriched, and what the input was', async () => {
  const { code, out, err } = await run([`${istio}\ngarbage\n`, `${istio}\n`]);
  expect(code).toBe(0);
  const [first, second] = records(out);
  expect(Object.keys(first ?? {})).toEqual(
    'time observed_time severity body attributes resource trace_id span_id'.split(' '),
  );
  expect(first).toMatchObject({
    time: '2020-10-23T11:15:19.184Z',
    severity: 'ERROR',
    body: null,
    attributes: {
      'response.code': 503,
      'response.flags': ['UF', 'URX'],
      'mesh.direction': 'outbound',
      'mesh.destination.service': 'reviews',
    },
  });
  expect(second).toMatchObject({
    body: 'garbage',
    attributes: { 'log.parse_error': 'auto: begins like no format that auto knows' },
  });
  expect(err).toBe('istio_json, 3 lines, 1 not understood: line 2\n');
});

test('parse prints a table on a terminal, with the reason of failures', async () => {
  const { out } = await run([istio], {}, true);
  const plain = out.replace(/\x1b\[\d+m/g, '');
  expect(plain).toMatch(
    /^11:15:19\.184 {2}OUT {2}.* -> reviews +GET \/r\/0 +503 +47 ms {2}UF,URX\n +\S/,
  );
  expect(plain).toContain('nothing listens on reviews:80');
});

test('parse names the variant of a text format, and all formats of a mixed input', async () => {
  expect((await run([text])).err).toBe('istio_text, Istio 1.9 and later, 1 line\n');
  const { err } = await run([`${istio}\n${istio}\n${text}\n`]);
  expect(err).toBe('istio_json: 2 lines; istio_text, Istio 1.9 and later: 1 line, 3 lines\n');
});

test('parse counts lines as they stand in the input, empty and broken ones too', async () => {
  const bad = Array.from({ length: 12 }, () => 'x').join('\n');
  const { err, code } = await run([`\n${text}\n\n${bad}\n`]);
  expect(err).toBe(
    'istio_text, Istio 1.9 and later, 13 lines, 12 not understood: line 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 and 2 more\n',
  );
  expect(code).toBe(0);
});

test('parse fails when not one line was understood', async () => {
  expect(await run(['x\ny\n'])).toMatchObject({
    code: 1,
    err: '2 lines, 2 not understood: line 1, 2\n',
  });
  expect(await run([])).toMatchObject({ code: 0, err: 'no lines\n' });
});

test('parse reads JSON that was printed over several lines, however it arrives', async () => {
  const pretty = JSON.stringify({ ...JSON.parse(istio), more: { deep: [1, 2] } }, null, 4);
  const input = `${istio}\n${pretty}\n${text}\n`;
  const whole = await run([input]);
  expect(whole.err).toContain('3 lines');
  expect(records(whole.out)[1]).toMatchObject({
    attributes: { 'request.path': '/r/0', more: { deep: [1, 2] } },
  });
  const withoutClock = (out: string): unknown =>
    records(out).map((record) => ({ ...record, observed_time: 0 }));
  for (const at of [1, 50, istio.length + 3, istio.length + 90, input.length - 2]) {
    const { out } = await run([input.slice(0, at), input.slice(at)]);
    expect(withoutClock(out)).toEqual(withoutClock(whole.out));
  }
  expect((await run(['{\n"a": 1\nx\n'])).err).toContain('3 not understood: line 1, 2, 3');
});

test('parse takes entries in proto-JSON, several in a line', async () => {
  const line = JSON.stringify({
    httpLogs: { logEntry: [{ request: { path: '/a' } }, { request: { path: '/b' } }] },
  });
  const { out, err } = await run([`${line}\nx\n`]);
  expect(records(out)).toMatchObject([
    { attributes: { 'request.path': '/a' } },
    { attributes: { 'request.path': '/b' } },
    { body: 'x' },
  ]);
  expect(err).toBe('als_json, 2 lines, 1 not understood: line 2\n');
});

test('parse takes formats as strings, objects and files', async () => {
  const line = 'GET 200';
  const folder = mkdtempSync(join(tmpdir(), 'meshlog-'));
  const file = join(folder, 'format.yaml');
  writeFileSync(file, 'type: Plain\nplain: "%REQ(:METHOD)% %RESPONSE_CODE%"\n');
  const formats = [
    '%REQ(:METHOD)% %RESPONSE_CODE%',
    '{"text_format_source":{"inline_string":"%REQ(:METHOD)% %RESPONSE_CODE%\\n"}}',
    `@${file}`,
  ];
  for (const format of formats) {
    const { out, code } = await run([line], { format });
    expect(code, format).toBe(0);
    expect(records(out)[0]).toMatchObject({
      attributes: { 'request.method': 'GET', 'response.code': 200 },
    });
  }
});

test('parse says what is wrong with a format, an output or a file', async () => {
  expect(await run([], { format: 'istio_txet' })).toMatchObject({ code: 64, err: /not a format/ });
  expect(await run([], { format: '@/no/such/file' })).toMatchObject({
    code: 64,
    err: /cannot read \/no\/such\/file: ENOENT/,
  });
  expect(await run([], { output: 'xml' as 'json' })).toMatchObject({
    code: 64,
    err: /expected table or json/,
  });
});

test('parse shows only the fields that were asked for', async () => {
  const fields = 'request.path, response.code';
  const { out } = await run([`${istio}\nx\n`], { fields });
  expect(records(out)).toMatchObject([
    { attributes: { 'request.path': '/r/0', 'response.code': 503 } },
    { body: 'x' },
  ]);
  expect(Object.keys(records(out)[0]?.['attributes'] as object)).toEqual([
    'request.path',
    'response.code',
  ]);
  const table = await run([`${istio}\n`], { fields, output: 'table' });
  expect(table.out).toBe('/r/0\t503\n');
});

test('parse runs as a command', () => {
  const main = join(import.meta.dirname, '../../src/main.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'parse'], {
    input: `${istio}\n`,
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: 'istio_json, 1 line\n' });
  expect(records(stdout)).toHaveLength(1);
});
