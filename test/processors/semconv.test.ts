import { describe, expect, test } from 'vitest';
import { semconv } from '../../src/processors/semconv.ts';
import { batchOf, type PlainRecord } from '../access_log/filter/records.ts';
import { testContext } from '../support/collect.ts';

function renamed(
  records: readonly PlainRecord[],
  settings: object = {},
  form: 'spans' | 'held' = 'spans',
) {
  const batch = batchOf(records, form);
  const before = records.map((_, row) => batch.record(row).attributes);
  const processor = semconv.create(semconv.config.parse(settings), testContext());
  const fork = processor.process(batch.fork());
  expect(records.map((_, row) => batch.record(row).attributes)).toEqual(before);
  return records.map((_, row) => fork.record(row).attributes);
}

const request: PlainRecord = {
  'request.method': 'GET',
  'request.path': '/a/b?c=d&e',
  'request.host': 'reviews.default:9080',
  'request.scheme': 'http',
  'request.protocol': 'HTTP/1.1',
  'request.useragent': 'curl/8',
  'request.referer': 'http://x/',
  'request.size': 10,
  'request.headers.x-foo': 'bar',
  'response.code': 503,
  'response.size': 20,
  'response.flags': ['UF', 'URX'],
  'response.grpc_status': 'Unavailable',
  'source.address': '10.0.0.1:4711',
  'source.direct_address': '[2001:db8::1]:80',
  'destination.address': '10.0.0.2:9080',
  'connection.tls_version': 'TLSv1.3',
  'connection.tls_cipher': 'TLS_AES_128_GCM_SHA256',
  'mesh.source.service': 'productpage',
  other: 'kept',
};

describe('semconv', () => {
  for (const form of ['spans', 'held'] as const) {
    test(`renames a request over ${form}`, () => {
      expect(renamed([request], {}, form)[0]).toEqual({
        'http.request.method': 'GET',
        'url.path': '/a/b',
        'url.query': 'c=d&e',
        'server.address': 'reviews.default',
        'server.port': 9080,
        'url.scheme': 'http',
        'network.protocol.name': 'http',
        'network.protocol.version': '1.1',
        'user_agent.original': 'curl/8',
        'http.request.header.referer': ['http://x/'],
        'http.request.body.size': 10,
        'http.request.header.x-foo': ['bar'],
        'http.response.status_code': 503,
        'http.response.body.size': 20,
        'response.flags': ['UF', 'URX'],
        'error.type': '503',
        'rpc.grpc.status_code': 14,
        'client.address': '10.0.0.1',
        'client.port': 4711,
        'network.peer.address': '2001:db8::1',
        'network.peer.port': 80,
        'network.local.address': '10.0.0.2',
        'network.local.port': 9080,
        'tls.protocol.name': 'tls',
        'tls.protocol.version': '1.3',
        'tls.cipher': 'TLS_AES_128_GCM_SHA256',
        'mesh.source.service': 'productpage',
        other: 'kept',
      });
    });
  }

  test('takes the destination for the server of a TCP connection', () => {
    const records = [
      { 'destination.address': '10.0.0.2:27017' },
      { 'request.host': 'a', 'destination.address': '10.0.0.2:80' },
    ];
    expect(renamed(records)).toEqual([
      {
        'server.address': '10.0.0.2',
        'server.port': 27017,
        'network.local.address': '10.0.0.2',
        'network.local.port': 27017,
      },
      { 'server.address': 'a', 'network.local.address': '10.0.0.2', 'network.local.port': 80 },
    ]);
  });

  for (const [record, expected] of [
    [
      { 'request.protocol': 'HTTP/2' },
      { 'network.protocol.name': 'http', 'network.protocol.version': '2' },
    ],
    [{ 'request.path': '/a' }, { 'url.path': '/a' }],
    [{ 'request.path': '/a?' }, { 'url.path': '/a' }],
    [{ 'request.host': '[::1]:80' }, { 'server.address': '::1', 'server.port': 80 }],
    [{ 'request.host': 'plain' }, { 'server.address': 'plain' }],
    [{ 'source.address': '/run/socket' }, { 'client.address': '/run/socket' }],
    [{ 'source.address': 'fe80::1' }, { 'client.address': 'fe80::1' }],
    [
      { 'response.code': 404, 'response.flags': ['NR'] },
      { 'http.response.status_code': 404, 'response.flags': ['NR'] },
    ],
    [
      { 'response.code': 0, 'response.flags': ['DC'] },
      { 'http.response.status_code': 0, 'response.flags': ['DC'], 'error.type': 'DC' },
    ],
    [{ 'connection.tls_version': 'odd' }, { 'tls.protocol.version': 'odd' }],
    [{ 'response.grpc_status': 'Odd' }, { 'rpc.grpc.status_code': 'Odd' }],
  ] as const) {
    test(JSON.stringify(record), () =>
      expect(renamed([record as PlainRecord])).toEqual([expected]),
    );
  }

  test('leaves headers and errors alone when told', () => {
    const record = { 'request.headers.x': 'a', 'response.code': 500 };
    expect(renamed([record], { headers: false, error_type: false })).toEqual([
      { 'request.headers.x': 'a', 'http.response.status_code': 500 },
    ]);
  });
});
