import { describe, expect, test } from 'vitest';
import { JsonRecordEncoder } from '../../src/encoding/json_record.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import { HELD } from '../../src/pipeline/column.ts';
import type { Processor } from '../../src/pipeline/component.ts';
import type { LogRecord } from '../../src/pipeline/record.ts';
import { parse } from '../../src/processors/parse/parse.ts';
import { type TestContext, testContext } from '../support/collect.ts';

type Made = { processor: Processor; context: TestContext };

function make(settings: object = {}): Made {
  const context = testContext({ id: 'parse' });
  return { processor: parse.create(parse.config.parse(settings), context), context };
}

function records(batch: Batch): LogRecord[] {
  return [...batch.selection.subarray(0, batch.count)].map((row) => batch.record(row));
}

const read = (lines: readonly (string | Uint8Array)[], settings: object = {}): LogRecord[] =>
  records(make(settings).processor.process(Batch.ofLines(lines)));

const attributesOf = (line: string, settings: object = {}): Record<string, unknown> =>
  read([line], settings)[0]!.attributes;

const older =
  '{"response_flags":"UF,URX","start_time":"2020-10-23T11:15:19.184Z","method":"GET","request_id":"be5acb4a-9e3e-4540-814d-07c2c7dcf7f1","upstream_host":"10.244.1.10:80","x_forwarded_for":"-","requested_server_name":"-","bytes_received":"0","istio_policy_status":"-","bytes_sent":"935","upstream_cluster":"outbound|80||helloworld.istio-testing.svc.cluster.local","downstream_remote_address":"10.244.4.4:37034","authority":"helloworld","path":"/","protocol":"HTTP/1.1","upstream_service_time":"31","upstream_local_address":"10.244.4.4:33806","duration":"47","upstream_transport_failure_reason":"-","route_name":"default","downstream_local_address":"10.32.29.63:80","user_agent":"curl/7.69.1","response_code":"503"}';
const newer =
  '{"response_flags":"-","x_forwarded_for":null,"start_time":"2023-05-02T01:45:04.158Z","connection_termination_details":null,"path":"/headers","upstream_cluster":"inbound|80||","user_agent":"curl/8.0.1-DEV","response_code_details":"via_upstream","requested_server_name":"outbound_.8000_._.httpbin.istio-demo.svc.cluster.local","response_code":200,"upstream_host":"10.10.241.82:80","duration":2,"bytes_received":0,"protocol":"HTTP/1.1","authority":"httpbin:8000","method":"GET","bytes_sent":508,"upstream_service_time":"1"}';
const text =
  '[2020-11-25T21:26:18.409Z] "GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 4 4 "-" "curl/7.73.0-DEV" "84961386-6d84-929d-98bd-c5aee93b5c88" "httpbin:8000" "10.44.1.27:80" outbound|8000||httpbin.foo.svc.cluster.local 10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 - default';

describe('parse reads the JSON of Istio', () => {
  test('of releases where every value is a string', () => {
    const [record] = read([older]);
    expect(record).toMatchObject({ time: 1603451719184000000n, body: undefined });
    expect(record?.attributes).toEqual({
      'response.flags': ['UF', 'URX'],
      'request.time': '2020-10-23T11:15:19.184Z',
      'request.method': 'GET',
      'request.id': 'be5acb4a-9e3e-4540-814d-07c2c7dcf7f1',
      'upstream.address': '10.244.1.10:80',
      'request.size': 0,
      'response.size': 935,
      'xds.cluster_name': 'outbound|80||helloworld.istio-testing.svc.cluster.local',
      'source.address': '10.244.4.4:37034',
      'request.host': 'helloworld',
      'request.path': '/',
      'request.protocol': 'HTTP/1.1',
      'response.headers.x-envoy-upstream-service-time': '31',
      'upstream.local_address': '10.244.4.4:33806',
      'request.duration': 47,
      'xds.route_name': 'default',
      'destination.address': '10.32.29.63:80',
      'request.useragent': 'curl/7.69.1',
      'response.code': 503,
    });
  });

  test('of releases with types and null', () => {
    const attributes = attributesOf(newer, { format: 'istio_json' });
    expect(attributes).toMatchObject({
      'response.code': 200,
      'request.duration': 2,
      'response.size': 508,
    });
    expect(Object.keys(attributes)).not.toContain('response.flags');
    expect(Object.keys(attributes)).not.toContain('connection.termination_details');
  });
});

test('parse tells formats apart line by line, and counts them', () => {
  const { processor, context } = make();
  const ztunnel =
    '2024-05-14T09:20:41.123456Z\tinfo\taccess\tconnection complete\tsrc.addr=10.0.0.1:1 src.workload="a" dst.addr=10.0.0.2:15008 dst.service="b.ns.svc.cluster.local" direction="outbound" bytes_sent=200 bytes_recv=358 duration="1ms"';
  const kuma =
    '[2020-02-18T21:52:17.987Z] UF,URX demo 127.0.0.1(web)->10.0.0.2:443(backend) took 123ms, sent 567 bytes, received: 234 bytes';
  const hango =
    '{"method":"GET","uri":"/a"b","protocol":"HTTP/1.1","duration":"7","respCode":"200","userIp":"1.2.3.4","xffIp":"-","requestId":"r","time":"1700000000123","upstreamHost":"-","originHost":"-","originMethod":"-","originPath":"-","originStatus":"-","upstreamServiceTime":"-","cacheStatus":"-","fuseStatus":"-","downgradeStatus":"-","secureStatus":"-","userAgent":"-","remoteUser":"-","bodyBytesSent":"5","httpReferer":"-","requestAuthority":"h","clusterName":"-","serviceName":"-","apiId":"-","apiName":"-","responseFlags":"-","projectId":"-"}';
  const entry = '{"commonProperties":{"upstreamCluster":"c"},"request":{"path":"/als"}}';
  const lines = [older, text, ztunnel, kuma, hango, entry, 'garbage', '{"a":', newer];
  const found = records(processor.process(Batch.ofLines(lines)));
  expect(found.map(({ attributes }) => attributes['log.parse_error'] ?? null)).toEqual([
    ...Array(6).fill(null),
    'auto: begins like no format that auto knows',
    'auto: is no valid JSON at byte 5',
    null,
  ]);
  expect(found.map(({ body }) => body)).toEqual([
    ...Array(6).fill(undefined),
    'garbage',
    '{"a":',
    undefined,
  ]);
  expect(
    found.map(
      ({ attributes }) =>
        attributes['request.path'] ??
        attributes['mesh.source.workload'] ??
        attributes['mesh.source.service'],
    ),
  ).toEqual(['/', '/status/418', 'a', 'web', '/a"b', '/als', undefined, undefined, '/headers']);
  expect(found[4]?.time).toBe(1700000000123000000n);
  const parsed = (format: string, variant = ''): number | undefined =>
    context.metrics.read('meshlog_parsed_lines_total', { component: 'parse', format, variant });
  expect(parsed('istio_json')).toBe(2);
  expect(parsed('istio_text', 'Istio 1.9 and later')).toBe(1);
  expect(parsed('als_json')).toBe(1);
  const errors = (reason: string): number | undefined =>
    context.metrics.read('meshlog_parse_errors_total', { component: 'parse', reason });
  expect([errors('no_fit'), errors('invalid_json')]).toEqual([1, 1]);
});

test('parse drops what it cannot read when told to, and counts it', () => {
  const { processor, context } = make({ on_error: 'drop' });
  const found = records(processor.process(Batch.ofLines(['x', older, '[]', text])));
  expect(found.map(({ attributes }) => attributes['request.path'])).toEqual(['/', '/status/418']);
  expect(context.dropped).toEqual({ parse_error: 2 });
});

test('parse keeps the line as body when told to', () => {
  const found = read([newer, text, 'x'], { keep_line: true });
  expect(found.map(({ body }) => body)).toEqual([newer, text, 'x']);
});

test('parse takes a format string and says where a line stops fitting', () => {
  const format = '%START_TIME% %REQ(:METHOD)% %RESPONSE_CODE% %DURATION%';
  const [good, bad] = read(
    ['2020-11-25T21:26:18.409Z GET 200 5', '2020-11-25T21:26:18.409Z GET abc 5'],
    { format },
  );
  expect(good?.attributes).toEqual({
    'request.time': '2020-11-25T21:26:18.409Z',
    'request.method': 'GET',
    'response.code': 200,
    'request.duration': 5,
  });
  expect(bad?.attributes['log.parse_error']).toMatch(/at byte \d+/);
  expect(bad?.body).toBe('2020-11-25T21:26:18.409Z GET abc 5');
});

test('parse takes format objects, of JSON too', () => {
  const format = {
    type: 'Json',
    json: [
      { key: 'm', value: '%REQ(:METHOD)%' },
      { key: 'c', value: '%RESPONSE_CODE%' },
    ],
  };
  expect(attributesOf('{"m":"GET","c":200}', { format })).toEqual({
    'request.method': 'GET',
    'response.code': 200,
  });
});

test('parse refuses formats that it cannot read', () => {
  for (const format of ['istio_txet', '%NOSUCH%', 17, {}]) {
    expect(parse.config.safeParse({ format }).success, String(format)).toBe(false);
  }
});

describe('parse turns proto-JSON into a record per entry', () => {
  const message = JSON.stringify({
    identifier: {
      node: { id: 'sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local', cluster: 'web.shop' },
      logName: 'http',
    },
    httpLogs: {
      logEntry: [
        {
          commonProperties: {
            startTime: '2021-02-02T17:47:30.301634Z',
            timeToLastDownstreamTxByte: '0.029632700s',
            timeToFirstUpstreamRxByte: '0.028778300s',
            downstreamRemoteAddress: {
              socketAddress: { address: '192.168.2.19', portValue: 58196 },
            },
            upstreamRemoteAddress: { pipe: { path: '/run/x.sock' } },
            downstreamLocalAddress: {
              envoyInternalAddress: { serverListenerName: 'inner', endpointId: '7' },
            },
            upstreamLocalAddress: { socketAddress: { address: '::1', namedPort: 'http' } },
            responseFlags: {
              upstreamConnectionFailure: true,
              unauthorizedDetails: { reason: 'EXTERNAL_SERVICE' },
            },
            metadata: { filterMetadata: { ns: { a: [1, null, 'x'] } } },
            filterStateObjects: {
              upstream_peer: {
                '@type': 'type.googleapis.com/google.protobuf.Struct',
                value: { namespace: 'n' },
              },
              key: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: 'v' },
              other: { '@type': 'type.googleapis.com/acme.Thing', x: 1 },
            },
            customTags: { tag: 'value' },
            accessLogType: 'DownstreamEnd',
            tlsProperties: { tlsVersion: 'TLSv1_3', tlsCipherSuite: 4865 },
          },
          protocolVersion: 'HTTP2',
          request: {
            requestMethod: 'POST',
            path: '/a',
            requestHeadersBytes: '1207',
            requestHeaders: { 'x-a': '' },
          },
          response: { responseCode: 200, responseBodyBytes: '9007199254740991' },
        },
        { request: { path: '/b' } },
      ],
    },
  });

  test('with every kind of value, in order, between lines of other formats', () => {
    const found = read([older, message, newer]);
    expect(found.map(({ attributes }) => attributes['request.path'])).toEqual([
      '/',
      '/a',
      '/b',
      '/headers',
    ]);
    expect(found.map(({ resource }) => resource['envoy.node.id'] ?? null)).toEqual([
      null,
      'sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local',
      'sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local',
      null,
    ]);
    expect(found[1]).toMatchObject({ time: 1612288050301634000n, body: undefined });
    expect(found[1]?.attributes).toEqual({
      'request.time': '2021-02-02T17:47:30.301634Z',
      'response.last_tx_duration': 29.6327,
      'response.duration': 28.7783,
      'response.tx_duration': 0.8544,
      'request.duration': 29.6327,
      'source.address': '192.168.2.19:58196',
      'upstream.address': '/run/x.sock',
      'destination.address': 'envoy://inner/7',
      'upstream.local_address': '[::1]:http',
      'response.flags': ['UF', 'UAEX'],
      'metadata.ns': { a: [1, null, 'x'] },
      'filter_state.upstream_peer': { namespace: 'n' },
      'filter_state.key': 'v',
      'filter_state.other': { '@type': 'type.googleapis.com/acme.Thing', x: 1 },
      'custom_tags.tag': 'value',
      'access_log.type': 'DownstreamEnd',
      'connection.tls_version': 'TLSv1.3',
      'connection.tls_cipher': 'TLS_AES_128_GCM_SHA256',
      'connection.mtls': false,
      'request.protocol': 'HTTP/2',
      'request.method': 'POST',
      'request.path': '/a',
      'request.headers_size': 1207,
      'request.headers.x-a': '',
      'response.code': 200,
      'response.size': 9007199254740991,
    });
    expect(found[3]?.attributes['response.code']).toBe(200);
  });

  test('whichever way names and values are spelled', () => {
    const snake = {
      common_properties: {
        start_time: { seconds: 3600 },
        tls_properties: { tls_version: 3, tls_cipher_suite: { value: 47 } },
        time_to_last_rx_byte: { nanos: 2000000 },
      },
      request: { request_method: 3, request_body_bytes: 234 },
      response: {},
    };
    expect(attributesOf(JSON.stringify(snake), { format: 'als_json' })).toEqual({
      'request.time': '1970-01-01T01:00:00.000Z',
      'connection.tls_version': 'TLSv1.2',
      'connection.tls_cipher': 'AES128-SHA',
      'connection.mtls': false,
      'request.rx_duration': 2,
      'request.method': 'POST',
      'request.size': 234,
    });
  });

  test('as Gloo Mesh prints it, with the workload as facts', () => {
    const line = JSON.stringify({
      result: {
        workloadRef: { name: 'ratings-v1', namespace: 'bookinfo', clusterName: 'mgmt-cluster' },
        httpAccessLog: {
          commonProperties: { routeName: 'default' },
          request: { path: '/reviews/1' },
          response: { responseCode: 200 },
        },
      },
    });
    const [record] = read([line]);
    expect(record?.attributes).toEqual({
      'xds.route_name': 'default',
      'request.path': '/reviews/1',
      'response.code': 200,
      'mesh.protocol': 'http',
    });
    expect(record?.resource).toEqual({
      'k8s.workload.name': 'ratings-v1',
      'k8s.namespace.name': 'bookinfo',
      'k8s.cluster.name': 'mgmt-cluster',
    });
  });

  test('of connections, with what the stream is known for', () => {
    const batch = Batch.ofLines([
      '{"commonProperties":{"accessLogType":"TcpConnectionEnd"},"connectionProperties":{"receivedBytes":"234","sentBytes":567}}',
    ]);
    batch.attributes = { 'log.file.path': '/x' };
    batch.resource = { 'k8s.pod.name': 'p' };
    batch.addColumn('log.record.offset').setInt(0, 7);
    const [record] = records(make().processor.process(batch));
    expect(record).toMatchObject({
      resource: { 'k8s.pod.name': 'p' },
      attributes: {
        'log.file.path': '/x',
        'log.record.offset': 7,
        'mesh.protocol': 'tcp',
        'access_log.type': 'TcpConnectionEnd',
        'request.size': 234,
        'response.size': 567,
      },
    });
  });

  test('next to lines that are no valid UTF-8', () => {
    const bad = Buffer.from('{"path":"/\xff"}', 'latin1');
    const batch = make().processor.process(
      Batch.ofLines([bad, '{"commonProperties":{"routeName":"r"}}']),
    );
    expect(batch.isUtf8).toBe(false);
    const lines = new JsonRecordEncoder().encode(batch).toString().trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).attributes)).toMatchObject([
      { 'request.path': '/\ufffd' },
      { 'xds.route_name': 'r' },
    ]);
  });

  test('and leaves alone what only looks like it', () => {
    expect(attributesOf('{"result":{"a":1},"path":"/"}')).toEqual({
      result: { a: 1 },
      'request.path': '/',
    });
    expect(attributesOf('{"error":{"code":3}}', { format: 'als_json' })['log.parse_error']).toBe(
      'als_json: is no access log entry or message as proto-JSON',
    );
  });
});

describe('parse takes the time of a record', () => {
  const time = (line: string): bigint | undefined => read([line])[0]?.time;

  test('from digits since 1970 in any unit', () => {
    const wanted = 1700000000n * 1_000_000_000n;
    expect(time('{"time":1700000000}')).toBe(wanted);
    expect(time('{"time":"1700000000123"}')).toBe(wanted + 123_000_000n);
    expect(time('{"time":1700000000.5}')).toBe(wanted + 500_000_000n);
    expect(time('{"start_time":"1700000000123456"}')).toBe(wanted + 123_456_000n);
    expect(time('{"start_time":"1700000000123456789"}')).toBe(wanted + 123_456_789n);
    expect(time('{"time":"soon"}')).toBeUndefined();
    expect(read(['{"time":"1700000000123"}', newer]).map(({ time: one }) => one)).toEqual([
      wanted + 123_000_000n,
      1682991904158000000n,
    ]);
  });

  test('from the framing when the line has none', () => {
    const lines = [
      `2024-04-13T07:59:37.505201169Z stdout F ${newer}`,
      '2024-04-13T07:59:38.5Z stderr F {"a":1}',
      '2024-04-13T07:59:39.5Z stderr F nonsense',
      `2024-04-13T07:59:40.5Z stdout F ${text}`,
      text,
      '2024-04-13T07:59:41.5Z {"b":1}',
    ];
    const found = read(lines);
    const ms = found.map((record) => Number((record.time ?? 0n) / 1_000_000n));
    expect(ms).toEqual([
      1682991904158,
      ...['38', '39'].map((second) => Date.parse(`2024-04-13T07:59:${second}.5Z`)),
      1606339578409,
      1606339578409,
      Date.parse('2024-04-13T07:59:41.5Z'),
    ]);
    expect(found.map(({ attributes }) => attributes['log.iostream'] ?? null)).toEqual([
      'stdout',
      'stderr',
      'stderr',
      'stdout',
      null,
      null,
    ]);
    expect(found[2]?.body).toBe(lines[2]);
    expect(
      read([lines[0] ?? '', text], { format: 'cri' }).map(
        ({ attributes }) => attributes['log.parse_error'] ?? null,
      ),
    ).toEqual([null, 'cri: has no CRI framing: time, stdout or stderr, P or F']);
  });

  test('keeps the time that a receiver gave to lines without one', () => {
    const batch = Batch.ofLines(['{"a":1}', newer, 'x']);
    const framing = batch.recordColumn('time');
    for (let row = 0; row < 3; row++) framing.setBigInt(row, 5n);
    batch.time = framing;
    expect(records(make().processor.process(batch)).map(({ time: one }) => one)).toEqual([
      5n,
      1682991904158000000n,
      5n,
    ]);
    expect(framing.bigIntAt(1)).toBe(5n);
  });
});

test('parse makes ids in hexadecimal the ids of the record', () => {
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  const [one, two] = read([
    `{"trace_id":"${trace}","span_id":"00f067aa0ba902b7"}`,
    '{"trace_id":"12","span_id":"x"}',
  ]);
  expect(one).toMatchObject({
    traceId: trace,
    spanId: '00f067aa0ba902b7',
    attributes: { 'trace.id': trace },
  });
  expect(two).toMatchObject({
    traceId: undefined,
    spanId: undefined,
    attributes: { 'trace.id': '12' },
  });
});

test('parse reads the text that records came with, and only that', () => {
  const batch = Batch.ofLines([newer, 'ignored', 'x']);
  batch.source = 'otlp';
  batch.body = batch.recordColumn('body');
  const end = batch.rowEnd[0] ?? 0;
  batch.body.setSpan(0, 1, 0, end);
  batch.setValue(batch.body, 1, { map: true });
  expect(batch.body.kind[1]).toBe(HELD);
  batch.body.setSpan(2, 1, batch.rowStart[2] ?? 0, batch.rowEnd[2] ?? 0);
  const given = batch.body;
  const found = records(make().processor.process(batch));
  expect(found.map(({ body }) => body)).toEqual([undefined, { map: true }, 'x']);
  expect(found[0]?.attributes['response.code']).toBe(200);
  expect(given.kind[0]).toBe(1);
});

test('parse leaves records alone that are no lines', () => {
  const batch = Batch.ofLines(['x']);
  batch.source = 'als';
  expect(make().processor.process(batch)).toBe(batch);
});

test('parse survives any bytes', () => {
  const { processor } = make();
  const lines = Array.from({ length: 256 }, (_, byte) => Buffer.from([byte, 34, byte, 123, byte]));
  const deep = `2024-04-13T07:59:37.5Z stdout F `.repeat(30_000);
  const found = records(
    processor.process(
      Batch.ofLines([...lines, deep, '', '{'.repeat(1_000_000), '[2020'.repeat(200_000)]),
    ),
  );
  expect(found).toHaveLength(260);
  expect(found.every(({ attributes }) => 'log.parse_error' in attributes)).toBe(true);
});
