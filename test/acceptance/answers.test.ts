// The command line as its users type it: lines in, answers out.

import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root } from './daemon.ts';

type Answer = {
  code: number | null;
  records: { time: string; severity: string; body: unknown; attributes: Record<string, unknown> }[];
  said: string;
  text: string;
};

function meshlog(args: readonly string[], input: string | Buffer): Answer {
  const main = join(root, 'src/main.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    input,
    env: { PATH: process.env['PATH'] ?? '', TZ: 'UTC' },
  });
  const text = stdout.toString();
  const lines = text.split('\n').filter((line) => line.startsWith('{'));
  return {
    code: status,
    records: lines.map((line) => JSON.parse(line)),
    said: stderr.toString(),
    text,
  };
}

/** Every line of the pods of one call through Istio's gateway, without the container runtime's framing. */
function callOf(pod: string): string {
  const [file = ''] = globSync(`test/pipelines/istio_sidecar/in/*_${pod}-*/*/*.log`, { cwd: root });
  const [line = ''] = readFileSync(join(root, file), 'utf8').split('\n');
  return line.slice(line.indexOf('{'));
}

const sides = ['istio-ingressgateway', 'sleep', 'helloworld'].map(callOf).join('\n');
const helloworld = {
  'mesh.destination.service': 'helloworld',
  'mesh.destination.namespace': 'istio-testing',
  'mesh.destination.port': 80,
};

describe('meshlog parse', () => {
  test('says of gateway, client and server who called whom', () => {
    const { code, records, said } = meshlog(['parse'], `${sides}\n`);
    expect({ code, said }).toEqual({ code: 0, said: 'istio_json, 3 lines\n' });
    expect(records.map(({ attributes }) => attributes)).toMatchObject([
      { 'mesh.reporter': 'gateway', 'mesh.direction': 'outbound', ...helloworld },
      { 'mesh.reporter': 'source', 'mesh.direction': 'outbound', ...helloworld },
      { 'mesh.reporter': 'destination', 'mesh.direction': 'inbound', ...helloworld },
    ]);
  });

  test('gives values their types: numbers, absent ones not at all, addresses with their ports', () => {
    const [, client] = meshlog(['parse', '--format', 'istio_json'], sides).records;
    expect(client?.time).toBe('2020-10-23T11:15:19.184Z');
    expect(client?.attributes).toMatchObject({
      'request.method': 'GET',
      'request.path': '/',
      'request.size': 0,
      'request.duration': 47,
      'response.code': 200,
      'response.size': 935,
      'source.address': '10.244.4.4:37034',
      'source.port': 37034,
      'destination.address': '10.32.29.63:80',
      'destination.port': 80,
    });
    for (const absent of ['response.flags', 'connection.requested_server_name']) {
      expect(client?.attributes).not.toHaveProperty([absent]);
    }
  });

  test('keeps what it does not know, and what it does not understand', () => {
    const lines = '{"method":"GET","response_code":503,"team":{"name":"shop"}}\nhello\n';
    const { code, records, said } = meshlog(['parse'], lines);
    expect(code).toBe(0);
    expect(said).toContain('1 not understood: line 2');
    expect(records[0]?.attributes).toMatchObject({ team: { name: 'shop' }, 'response.code': 503 });
    expect(records[1]).toMatchObject({
      body: 'hello',
      attributes: { 'log.parse_error': expect.stringContaining('no format') },
    });
  });

  test('reads an inline format, with nanoseconds and flags as a list', () => {
    const format =
      '[%START_TIME(%Y-%m-%dT%H:%M:%S.%9fZ)%] %RESPONSE_FLAGS% %DURATION% %UPSTREAM_HOST%';
    const line = '[2026-03-05T08:00:00.123456789Z] UF,URX 12 10.0.0.1:80\n';
    const [record] = meshlog(['parse', '--format', format], line).records;
    expect(record).toMatchObject({
      time: '2026-03-05T08:00:00.123456789Z',
      severity: 'ERROR',
      attributes: { 'response.flags': ['UF', 'URX'], 'request.duration': 12 },
    });
  });

  test('shows people a table', () => {
    const { text } = meshlog(['parse', '--output', 'table'], sides);
    expect(text.split('\n').slice(0, 3)).toEqual([
      expect.stringMatching(/^11:08:53\.165 {2}GW .*-> helloworld .*GET \/ .* 200 .* 7 ms/),
      expect.stringMatching(/^11:15:19\.184 {2}OUT .*-> helloworld .*GET \/ .* 200 .* 47 ms/),
      expect.stringMatching(/^11:15:19\.207 {2}IN .*-> helloworld .*GET \/ .* 200 .* 1 ms/),
    ]);
  });

  test('ends with 1 when nothing was understood, with 64 when it was asked wrongly', () => {
    expect(meshlog(['parse'], 'hello\n').code).toBe(1);
    expect(meshlog(['parse', '--format', 'istio_txt'], 'hello\n').code).toBe(64);
  });
});

test('what parse prints is what render takes: a line comes back as it was', () => {
  const format =
    '%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% %DURATION% %DOWNSTREAM_REMOTE_ADDRESS%';
  const lines = 'GET 503 UF,URX 12 10.0.0.1:41474\nPOST 200 - 3 [fe80::1]:80\n';
  const parsed = meshlog(['parse', '--format', format], lines).text;
  const { code, text } = meshlog(['render', '--format', format], parsed);
  expect({ code, text }).toEqual({ code: 0, text: lines });
});
