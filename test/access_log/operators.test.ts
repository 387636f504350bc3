import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fieldOf } from '../../src/access_log/fields.ts';
import { operators } from '../../src/access_log/operators.ts';
import type { Fields } from '../../src/access_log/record_batch.ts';
import type { AnyValue } from '../../src/pipeline/record.ts';
import { renderText, renderTyped } from '../support/formats.ts';

test('every operator prints a field of the vocabulary, or what its arguments make one of', () => {
  const made = [...operators.values()].filter(
    ({ field }) => field !== '' && !field.endsWith('.') && fieldOf(field) === undefined,
  );
  expect(made).toEqual([]);
  for (const { field } of operators.values()) {
    if (field.endsWith('.')) expect(fieldOf(`${field}x`), field).toBeDefined();
  }
});

/** What Envoy prints for a record, as text and as a lone value of JSON; null is absent. */
type Case = [operator: string, fields: Fields, text: string | null, typed: AnyValue];
const cases = JSON.parse(
  readFileSync(new URL('../fixtures/formats/operator_values.json', import.meta.url), 'utf8'),
) as Case[];

describe('operators print what Envoy prints', () => {
  for (const [i, [operator, fields, text, typed]] of cases.entries()) {
    test(`${operator} (${i})`, () => {
      expect(renderText(operator, fields)).toBe(text ?? '-');
      expect(renderTyped(operator, fields)).toEqual(typed);
    });
  }

  test('numbers that JSON does not have', () => {
    const fields = { 'metadata.com.test': { nan: Number.NaN, inf: Number.POSITIVE_INFINITY } };
    expect(renderText('%DYNAMIC_METADATA(com.test:nan)%', fields)).toBe('null');
    expect(renderText('%DYNAMIC_METADATA(com.test:inf)%', fields)).toBe('inf');
  });

  test('the environment is that of this process, and `-` where it has no such variable', () => {
    process.env['MESHLOG_TEST_PLACE'] = 'here';
    expect(renderText('%ENVIRONMENT(MESHLOG_TEST_PLACE)% %ENVIRONMENT(NO_SUCH)%', {})).toBe(
      'here -',
    );
    expect(renderText('%ENVIRONMENT(MESHLOG_TEST_PLACE):2%', {})).toBe('he');
    expect(renderTyped('%ENVIRONMENT(NO_SUCH)%', {})).toBe('-');
  });

  for (const [operator, address, text] of [
    ['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)', '10.1.10.23:80', '10.1.0.0/16'],
    ['DOWNSTREAM_REMOTE_ADDRESS(16)', '10.1.10.23:80', '10.1.0.0/16'],
    [
      'DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(64)',
      '2001:db8:1234:5678:9abc:def0:1234:5678',
      '2001:db8:1234:5678::/64',
    ],
    ['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(32)', '10.1.10.23', '10.1.10.23/32'],
    ['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(0)', '[2001:db8::1]:443', '::/0'],
    ['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8)', '/var/run/x.sock', '/var/run/x.sock'],
    ['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT', '[2001:db8::1]:443', '2001:db8::1'],
    ['DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT', '10.1.10.23', '10.1.10.23'],
    [
      'DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT',
      'envoy://connect_originate/10.0.0.1:80',
      'envoy://connect_originate/10.0.0.1:80',
    ],
    ['DOWNSTREAM_REMOTE_PORT', '[2001:db8::1]:443', '443'],
    ['DOWNSTREAM_REMOTE_PORT', 'envoy://internal_client_address/', ''],
  ] as const) {
    test(`${operator} of ${address}`, () => {
      expect(renderText(`%${operator}%`, { 'source.address': address })).toBe(text);
    });
  }

  test('an address and a port that a line printed apart are one again', () => {
    const fields = { 'source.address': '::1', 'source.port': 80 };
    expect(renderText('%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_PORT%', fields)).toBe(
      '[::1]:80 80',
    );
  });
});

describe('gRPC status', () => {
  const grpc = { 'request.path': '/', 'request.headers.content-type': 'application/grpc' };
  for (const [fields, text] of [
    [{ 'response.code': 200 }, 'Unknown'],
    [{ 'response.code': 503 }, 'Unavailable'],
    [{ 'response.code': 404, 'response.trailers.grpc-status': '5' }, 'NotFound'],
    [{ 'response.headers.grpc-status': '99' }, '99'],
    [{ 'response.headers.grpc-status': 'abc' }, '-1'],
  ] as const) {
    test(`${JSON.stringify(fields)} is ${text}`, () => {
      expect(renderText('%GRPC_STATUS%', { ...grpc, ...fields })).toBe(text);
    });
  }

  test('a status that a line printed is printed in any spelling', () => {
    const fields = { 'response.grpc_status': 'NotFound' };
    expect(renderText('%GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%', fields)).toBe(
      'NOT_FOUND 5',
    );
  });
});

describe('operators beyond the documented examples', () => {
  for (const [format, fields, text] of [
    [
      '%QUERY_PARAM(a)%|%QUERY_PARAM(b)%|%QUERY_PARAM(c)%',
      { 'request.path': '/x?a=1%202&b' },
      '1 2||-',
    ],
    ['%QUERY_PARAMS%|%QUERY_PARAMS(DECODED)%', { 'request.path': '/x?a=1%202' }, 'a=1%202|a=1 2'],
    [
      '%COALESCE({"operators":["REQUESTED_SERVER_NAME",{"command":"REQ","param":":authority","max_length":3}]})%',
      { 'request.host': 'abcdef' },
      'abc',
    ],
    [
      '%KUMA_SOURCE_ADDRESS% %KUMA_SOURCE_ADDRESS_WITHOUT_PORT%',
      { 'mesh.source.address': '::1' },
      '[::1]:0 ::1',
    ],
    ['%KUMA_TRAFFIC_DIRECTION%', { 'mesh.direction': 'inbound' }, 'INBOUND'],
    ['%KUMA_TRAFFIC_DIRECTION%', {}, 'UNSPECIFIED'],
    [
      '%XFCC_VALUE(dns)%',
      { 'request.headers.x-forwarded-client-cert': 'By=a;URI="x,y";DNS=z' },
      'z',
    ],
    ['%REQUESTED_SERVER_NAME(HOST_FIRST)%', { 'request.host': 'a.b:80' }, 'a.b'],
    ['%ACCESS_LOG_TYPE%|%LOCAL_REPLY_BODY%|%CUSTOM_FLAGS%', {}, 'NotSet||'],
    ['%STREAM_ID%', { 'request.id': 'abc' }, 'abc'],
    [
      '%UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT%',
      { 'upstream.host_name': '[::1]:80' },
      '[::1]:80 [::1]',
    ],
    ['%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%', { 'response.code_details': 'a b' }, 'a b'],
    ['%DURATION%', { 'response.last_tx_duration': 12.9 }, '12'],
    [
      '%RESPONSE_TX_DURATION%',
      { 'response.last_tx_duration': 12.9, 'response.duration': 2.95 },
      '9',
    ],
    ['%CEL(request.method == "GET")%', { 'request.method': 'GET' }, 'true'],
    ['%CEL(request.nothing.here)%', {}, '-'],
    [
      '%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%',
      { 'response.flags': ['UF', 'XYZ'] },
      'UF,XYZ UpstreamConnectionFailure,XYZ',
    ],
    ['%SECRET(a)%', {}, '-'],
  ] as const satisfies readonly (readonly [string, Fields, string])[]) {
    test(`${format} of ${JSON.stringify(fields)}`, () => {
      expect(renderText(format, fields)).toBe(text);
    });
  }

  test('facts of the stream and of the resource stand in for fields', async () => {
    const { batchOfRecords } = await import('../../src/access_log/record_batch.ts');
    const { templateRenderer } = await import('../../src/access_log/renderer.ts');
    const { parseFormat } = await import('../../src/access_log/format/grammar.ts');
    const { ByteWriter } = await import('../../src/encoding/byte_writer.ts');
    const batch = batchOfRecords([{ 'request.method': 'GET' }]);
    batch.resource = { 'kuma.mesh': 'default' };
    batch.attributes = { 'mesh.zone': 'east' };
    const renderer = templateRenderer(parseFormat('%KUMA_MESH% %KUMA_ZONE% %KUMA_WORKLOAD%'));
    renderer.begin(batch);
    const out = new ByteWriter();
    renderer.render(0, out);
    expect(out.bytes().toString()).toBe('default east -');
  });
});
