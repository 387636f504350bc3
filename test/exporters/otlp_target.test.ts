import { describe, expect, test, vi } from 'vitest';
import { catalogue } from '../../src/components.ts';
import { otlpConfig } from '../../src/exporters/otlp/settings.ts';
import { resolveTarget, type Target } from '../../src/exporters/otlp/target.ts';

const target = (settings: object, environment: Record<string, string> = {}): Target =>
  resolveTarget(otlpConfig.parse({ endpoint: 'unused', ...settings }), environment);

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port });

describe('otlp reads an endpoint', () => {
  for (const [endpoint, address] of [
    ['otel-collector', tcp('otel-collector', 4317)],
    ['otel-collector:4317', tcp('otel-collector', 4317)],
    [
      'otel-collector.obs.svc.cluster.local:14317',
      tcp('otel-collector.obs.svc.cluster.local', 14317),
    ],
    ['10.1.2.3', tcp('10.1.2.3', 4317)],
    ['[2001:db8::1]:4318', tcp('2001:db8::1', 4318)],
    ['[2001:db8::1]', tcp('2001:db8::1', 4317)],
    ['2001:db8::1', tcp('2001:db8::1', 4317)],
    ['::1', tcp('::1', 4317)],
    ['http://collector:80', tcp('collector', 80)],
    ['http://collector', tcp('collector', 4317)],
    ['https://collector/', tcp('collector', 4317)],
    ['HTTP://collector:1/ignored/path', tcp('collector', 1)],
    ['dns:///collector:4317', tcp('collector', 4317)],
    ['unix:/run/otlp.sock', { kind: 'unix', path: '/run/otlp.sock' }],
    ['unix:///run/otlp.sock', { kind: 'unix', path: '/run/otlp.sock' }],
  ] as const) {
    test(endpoint, () => expect(target({ endpoint }).address).toEqual(address));
  }

  for (const endpoint of ['', ':4317', 'http://', 'ftp://x', 'a b', 'host:99999', 'host:port']) {
    test(`"${endpoint}" is none`, () =>
      expect(otlpConfig.safeParse({ endpoint }).success).toBe(false));
  }
});

describe('otlp over http builds the URL', () => {
  for (const [settings, port, path] of [
    [{ endpoint: 'c' }, 4318, '/v1/logs'],
    [{ endpoint: 'http://c' }, 80, '/v1/logs'],
    [{ endpoint: 'https://c/' }, 443, '/v1/logs'],
    [{ endpoint: 'https://c:8443/otlp/' }, 8443, '/otlp/v1/logs'],
    [{ endpoint: 'http://c:4318/v1/logs' }, 4318, '/v1/logs'],
    [{ logs_endpoint: 'http://c:9/in?tenant=a' }, 9, '/in?tenant=a'],
  ] as const) {
    test(JSON.stringify(settings), () =>
      expect(target({ protocol: 'http/protobuf', ...settings })).toMatchObject({
        address: { port },
        path,
      }),
    );
  }
});

test('otlp speaks TLS when told by scheme or tls, and plain text otherwise', () => {
  expect(target({ endpoint: 'c' }).tls).toBeUndefined();
  expect(target({ endpoint: 'http://c' }).tls).toBeUndefined();
  expect(target({ endpoint: 'https://c' }).tls).toMatchObject({ insecure_skip_verify: false });
  expect(target({ endpoint: 'c', tls: {} }).tls).toMatchObject({ min_version: '1.2' });
  expect(target({ endpoint: 'c', tls: { insecure: true } }).tls).toBeUndefined();
  for (const bad of [
    { endpoint: 'http://c', tls: {} },
    { endpoint: 'https://c', tls: { insecure: true } },
    { endpoint: 'c', compression: 'zstd' },
    { endpoint: 'c', headers: { 'a b': 'x' } },
    { endpoint: 'c', headers: { a: 'x\ny' } },
    {},
  ]) {
    expect(otlpConfig.safeParse(bad).success, JSON.stringify(bad)).toBe(false);
  }
});

test('otlp takes the timeout of a request from the environment when the configuration has none', () => {
  const timeoutOf = (settings: object, environment: Record<string, string>): number => {
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    const config = catalogue.exporters['otlp']?.config.parse({ endpoint: 'a', ...settings });
    vi.unstubAllEnvs();
    return (config as { timeout: number }).timeout;
  };
  const [general, logs] = ['OTEL_EXPORTER_OTLP_TIMEOUT', 'OTEL_EXPORTER_OTLP_LOGS_TIMEOUT'];
  expect(timeoutOf({}, {})).toBe(10_000);
  expect(timeoutOf({}, { [general]: '2500' })).toBe(2500);
  expect(timeoutOf({}, { [general]: '2500', [logs]: '700' })).toBe(700);
  expect(timeoutOf({}, { [general]: '0' })).toBe(0);
  expect(timeoutOf({ timeout: '3s' }, { [general]: '2500' })).toBe(3000);
  for (const bad of ['', '10s', '-1', '1e3', '99999999999']) {
    expect(timeoutOf({}, { [general]: bad })).toBe(10_000);
  }
});

test('otlp takes from the environment what the configuration leaves out', () => {
  const environment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'https://env:1/base',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_HEADERS: 'Tenant=a%20b,both=general, bad header=x',
    OTEL_EXPORTER_OTLP_LOGS_HEADERS: 'both=logs',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    OTEL_EXPORTER_OTLP_CERTIFICATE: '/ca.pem',
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: '/cert.pem',
    OTEL_EXPORTER_OTLP_CLIENT_KEY: '/key.pem',
  };
  const from = (settings: object, more: Record<string, string> = {}): Target =>
    resolveTarget(
      {
        ...otlpConfig.parse({ endpoint: 'unused', ...settings }),
        ...settings,
        ...noEndpoint(settings),
      },
      { ...environment, ...more },
    );
  expect(from({})).toEqual({
    protocol: 'http/json',
    address: tcp('env', 1),
    path: '/base/v1/logs',
    tls: {
      insecure: false,
      insecure_skip_verify: false,
      min_version: '1.2',
      ca_file: '/ca.pem',
      cert_file: '/cert.pem',
      key_file: '/key.pem',
    },
    headers: { tenant: 'a b', both: 'logs' },
    compression: 'gzip',
    text: 'env:1',
  });
  expect(from({}, { OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'http://logs:2/as/is' })).toMatchObject({
    address: tcp('logs', 2),
    path: '/as/is',
    tls: undefined,
  });
  expect(
    from({ endpoint: 'own', protocol: 'grpc', compression: 'none', headers: { tenant: 'mine' } }),
  ).toMatchObject({
    protocol: 'grpc',
    address: tcp('own', 4317),
    compression: 'none',
    headers: { tenant: 'mine', both: 'logs' },
  });
  expect(from({ endpoint: 'own' }, { OTEL_EXPORTER_OTLP_INSECURE: 'true' }).tls).toBeUndefined();
});

const noEndpoint = (settings: object): object =>
  'endpoint' in settings ? {} : { endpoint: undefined };
