// Access log messages that a protobuf library which is not ours has made, against what the decoder reads.

import fc from 'fast-check';
import type { Type } from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { AlsDecoder, readHead } from '../../src/encoding/als/decode.ts';
import type { Batch } from '../../src/pipeline/batch.ts';
import type { LogRecord } from '../../src/pipeline/record.ts';
import { StreamAccessLogsMessage, Struct, wrapped } from '../support/als.ts';

type Json = { [key: string]: unknown };

const decoder = new AlsDecoder();

const encode = (message: Json, type: Type = StreamAccessLogsMessage): Buffer => {
  const problem = type.verify(message);
  if (problem !== null) throw new Error(problem);
  return Buffer.from(type.encode(type.fromObject(message)).finish());
};

const http = (...entries: Json[]): Buffer => encode({ httpLogs: { logEntry: entries } });
const tcp = (...entries: Json[]): Buffer => encode({ tcpLogs: { logEntry: entries } });

function records(...messages: Uint8Array[]): LogRecord[] {
  const entries = messages.reduce((sum, message) => sum + readHead(message).entries, 0);
  const batch: Batch = decoder.decode(messages, entries);
  const all = Array.from({ length: batch.rows }, (_, row) => batch.record(row));
  batch.release();
  return all;
}

/** What is read of the only entry, less what is said of every request that does not tell its method. */
function attributesOf(message: Uint8Array): Json {
  const { 'mesh.protocol': protocol, ...attributes } = records(message)[0]!.attributes;
  return protocol === 'tcp' ? { ...attributes, 'mesh.protocol': protocol } : attributes;
}

/** Fields that are copied as they are: where they stand, and what they are called. */
// biome-ignore format: a table reads best with few columns.
const plain: Readonly<Record<string, string>> = {
  'common.upstreamCluster': 'xds.cluster_name', 'common.routeName': 'xds.route_name',
  'common.upstreamTransportFailureReason': 'upstream.transport_failure_reason',
  'common.downstreamTransportFailureReason': 'connection.transport_failure_reason',
  'common.connectionTerminationDetails': 'connection.termination_details', 'common.streamId': 'stream.id',
  'common.upstreamRequestAttemptCount': 'upstream.request_attempt_count', 'common.sampleRate': 'access_log.sample_rate',
  'common.downstreamWireBytesSent': 'downstream.wire_bytes_sent', 'common.upstreamWireBytesReceived': 'upstream.wire_bytes_received',
  'common.downstreamWireBytesReceived': 'downstream.wire_bytes_received', 'common.upstreamWireBytesSent': 'upstream.wire_bytes_sent',
  'tls.tlsSniHostname': 'connection.requested_server_name', 'tls.tlsSessionId': 'connection.tls_session_id', 'tls.ja3Fingerprint': 'connection.ja3',
  'request.scheme': 'request.scheme', 'request.authority': 'request.host', 'request.path': 'request.path', 'request.userAgent': 'request.useragent',
  'request.referer': 'request.referer', 'request.forwardedFor': 'request.headers.x-forwarded-for', 'request.requestId': 'request.id',
  'request.originalPath': 'request.headers.x-envoy-original-path', 'request.requestHeadersBytes': 'request.headers_size',
  'request.requestBodyBytes': 'request.size', 'request.upstreamHeaderBytesSent': 'upstream.header_bytes_sent',
  'request.downstreamHeaderBytesReceived': 'downstream.header_bytes_received', 'response.responseHeadersBytes': 'response.headers_size',
  'response.responseBodyBytes': 'response.size', 'response.responseCodeDetails': 'response.code_details',
  'response.upstreamHeaderBytesReceived': 'upstream.header_bytes_received', 'response.downstreamHeaderBytesSent': 'downstream.header_bytes_sent',
};
const durations: Readonly<Record<string, string>> = {
  timeToLastRxByte: 'request.rx_duration',
  timeToFirstUpstreamTxByte: 'request.first_tx_duration',
  timeToLastUpstreamTxByte: 'request.tx_duration',
  timeToFirstUpstreamRxByte: 'response.duration',
  timeToLastUpstreamRxByte: 'response.rx_duration',
  timeToFirstDownstreamTxByte: 'response.first_tx_duration',
  timeToLastDownstreamTxByte: 'response.last_tx_duration',
  duration: 'request.duration',
};
const addresses: Readonly<Record<string, string>> = {
  downstreamRemoteAddress: 'source.address',
  downstreamLocalAddress: 'destination.address',
  upstreamRemoteAddress: 'upstream.address',
  upstreamLocalAddress: 'upstream.local_address',
  downstreamDirectRemoteAddress: 'source.direct_address',
};
const methods = 'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH'.split(' ');

const text = fc.string({ unit: 'binary', maxLength: 20 });
const count = fc.oneof(fc.nat(300), fc.maxSafeNat());
const duration = fc.record({ seconds: fc.nat(1000), nanos: fc.nat(999_999_999) });
const socket = fc.record({ address: fc.oneof(fc.ipV4(), fc.ipV6()), portValue: fc.nat(65535) });
const address = fc.oneof(
  socket.map((socketAddress) => ({ socketAddress })),
  text.map((path) => ({ pipe: { path } })),
  fc.tuple(text, text).map(([serverListenerName, endpointId]) => ({
    envoyInternalAddress: { serverListenerName, endpointId },
  })),
);
const key = fc.stringMatching(/^[a-z][a-z0-9-]{0,9}$/);
const strings = fc.dictionary(key, text, { maxKeys: 3, noNullPrototype: true });
const some = (names: string[], value: fc.Arbitrary<unknown>): fc.Arbitrary<Json> =>
  fc.record(Object.fromEntries(names.map((name) => [name, value])), { requiredKeys: [] });
const ofPlain = (part: string): string[] =>
  Object.keys(plain).flatMap((path) =>
    path.startsWith(`${part}.`) ? path.slice(part.length + 1) : [],
  );
const isCount = (name: string): boolean => /Bytes|Count$/.test(name);
const scalars = (part: string): fc.Arbitrary<Json> =>
  fc
    .tuple(
      some(
        ofPlain(part).filter((name) => !isCount(name) && name !== 'sampleRate'),
        text,
      ),
      some(
        ofPlain(part).filter((name) => isCount(name) && !name.endsWith('Count')),
        count,
      ),
    )
    .map(([one, two]) => ({ ...one, ...two }));

const common = fc
  .tuple(
    scalars('common'),
    some(Object.keys(durations), duration),
    some(Object.keys(addresses), address),
    fc.record(
      {
        tlsProperties: fc
          .tuple(scalars('tls'), some(['tlsVersion'], fc.nat(4)))
          .map(([one, two]) => ({ ...one, ...two })),
        startTime: fc.record({
          seconds: fc.integer({ min: -1e9, max: 4e9 }),
          nanos: fc.nat(999_999_999),
        }),
        customTags: strings,
        upstreamRequestAttemptCount: fc.nat(2 ** 31),
        sampleRate: fc.double({ noNaN: true }),
      },
      { requiredKeys: [] },
    ),
  )
  .map((parts) => Object.assign({}, ...parts) as Json);
const entry = fc.record(
  {
    commonProperties: common,
    protocolVersion: fc.nat(4),
    request: fc
      .tuple(
        scalars('request'),
        fc.record({ requestMethod: fc.nat(9), requestHeaders: strings }, { requiredKeys: [] }),
      )
      .map(([one, two]) => ({ ...one, ...two })),
    response: fc
      .tuple(
        scalars('response'),
        fc.record(
          {
            responseCode: fc.nat(999).map((value) => ({ value })),
            responseHeaders: strings,
            responseTrailers: strings,
          },
          { requiredKeys: [] },
        ),
      )
      .map(([one, two]) => ({ ...one, ...two })),
  },
  { requiredKeys: [] },
);

const at = (value: unknown, name: string): unknown => (value as Json | undefined)?.[name];

function addressText(value: Json): string | undefined {
  const { socketAddress, pipe, envoyInternalAddress } = value as Record<string, Json>;
  if (pipe !== undefined) return pipe['path'] === '' ? undefined : String(pipe['path']);
  if (envoyInternalAddress !== undefined) {
    const { serverListenerName, endpointId } = envoyInternalAddress;
    return serverListenerName === '' && endpointId === ''
      ? undefined
      : `envoy://${serverListenerName}/${endpointId}`;
  }
  const ip = String(socketAddress?.['address']);
  return `${ip.includes(':') ? `[${ip}]` : ip}:${socketAddress?.['portValue']}`;
}

const ms = (value: unknown): number => {
  const { seconds, nanos } = value as { seconds: number; nanos: number };
  return (seconds * 1e9 + nanos) / 1e6;
};

/** What the decoder should find in an entry, worked out from the object that the message was made from. */
function expected(from: Json): Json {
  const common = from['commonProperties'];
  const parts: Json = { ...from, common, tls: at(common, 'tlsProperties') };
  const found: Json = {};
  for (const [path, name] of Object.entries(plain)) {
    const [part = '', field = ''] = path.split('.');
    const value = at(parts[part], field);
    // Proto3 does not send what is empty or zero.
    if (value !== undefined && value !== '' && value !== 0) found[name] = value;
  }
  if (Object.is(at(common, 'sampleRate'), -0)) found['access_log.sample_rate'] = -0;
  for (const [field, name] of Object.entries(durations)) {
    if (at(common, field) !== undefined) found[name] = ms(at(common, field));
  }
  for (const [field, name] of Object.entries(addresses)) {
    const value = at(common, field);
    const shown = value === undefined ? undefined : addressText(value as Json);
    if (shown !== undefined) found[name] = shown;
  }
  const last = found['response.last_tx_duration'];
  found['request.duration'] ??= last;
  const first = at(common, 'timeToFirstUpstreamRxByte');
  if (last !== undefined && first !== undefined) {
    const nanos = (value: unknown): number => Math.round(Number(value) * 1e6);
    found['response.tx_duration'] = (nanos(last) - nanos(ms(first))) / 1e6;
  }
  const time = at(common, 'startTime') as { seconds: number; nanos: number } | undefined;
  if (time !== undefined) {
    const digits = String(time.nanos)
      .padStart(9, '0')
      .replace(/(?:000){1,2}$/, '');
    found['request.time'] =
      `${new Date(time.seconds * 1000).toISOString().slice(0, 19)}.${digits}Z`;
  }
  const names = (prefix: string, map: unknown): void => {
    for (const [name, value] of Object.entries(map ?? {})) found[`${prefix}.${name}`] ??= value;
  };
  names('custom_tags', at(common, 'customTags'));
  names('request.headers', at(from['request'], 'requestHeaders'));
  names('response.headers', at(from['response'], 'responseHeaders'));
  names('response.trailers', at(from['response'], 'responseTrailers'));
  found['request.method'] = methods[Number(at(from['request'], 'requestMethod') ?? 0) - 1];
  found['request.protocol'] = [undefined, 'HTTP/1.0', 'HTTP/1.1', 'HTTP/2', 'HTTP/3'][
    Number(from['protocolVersion'] ?? 0)
  ];
  found['response.code'] = at(at(from['response'], 'responseCode'), 'value');
  if (found['request.method'] === undefined && found['request.protocol'] === undefined) {
    found['mesh.protocol'] = 'http';
  }
  const version = Number(at(parts['tls'], 'tlsVersion') ?? 0);
  found['connection.tls_version'] = [undefined, 'TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'][version];
  if (version > 0) found['connection.mtls'] = false;
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

/** Halves of surrogate pairs become U+FFFD in UTF-8. */
const wellFormed = (value: unknown): unknown => JSON.parse(JSON.stringify(value).toWellFormed());

describe('als reads what another protobuf library has written', () => {
  test('field by field, on random entries', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 4 }), fc.nat(3), (entries, split) => {
        const messages = [http(...entries.slice(0, split)), http(...entries.slice(split))];
        expect(wellFormed(records(...messages).map(({ attributes }) => attributes))).toEqual(
          wellFormed(entries.map((one) => expected(one))),
        );
      }),
      { numRuns: 400 },
    );
  });

  test('TCP entries, with the bytes of the connection', () => {
    const connection = {
      connectionProperties: { receivedBytes: 138, sentBytes: 9007199254740991 },
    };
    expect(attributesOf(tcp(connection))).toEqual({
      'mesh.protocol': 'tcp',
      'request.size': 138,
      'response.size': 9007199254740991,
    });
    expect(records(tcp({}, {}))).toHaveLength(2);
  });
});

const withCommon = (commonProperties: Json): Json => attributesOf(http({ commonProperties }));

test('als reads every response flag in the order of Envoy', () => {
  const flags =
    'failedLocalHealthcheck noHealthyUpstream upstreamRequestTimeout localReset upstreamRemoteReset upstreamConnectionFailure upstreamConnectionTermination upstreamOverflow noRouteFound delayInjected faultInjected rateLimited unauthorizedDetails rateLimitServiceError downstreamConnectionTermination upstreamRetryLimitExceeded streamIdleTimeout invalidEnvoyRequestHeaders downstreamProtocolError upstreamMaxStreamDurationReached responseFromCacheFilter noFilterConfigFound durationTimeout upstreamProtocolError noClusterFound overloadManager dnsResolutionFailure downstreamRemoteReset'.split(
      ' ',
    );
  const short =
    'LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF DR'.split(
      ' ',
    );
  const value = (name: string): unknown => (name === 'unauthorizedDetails' ? { reason: 1 } : true);
  flags.forEach((name, i) => {
    expect(withCommon({ responseFlags: { [name]: value(name) } })).toEqual({
      'response.flags': [short[i]],
    });
  });
  const all = Object.fromEntries(flags.map((name) => [name, value(name)]));
  expect(withCommon({ responseFlags: all })).toEqual({ 'response.flags': short });
  expect(withCommon({ responseFlags: {} })).toEqual({});
  expect(withCommon({ responseFlags: { unauthorizedDetails: { reason: 0 } } })).toEqual({});
});

test('als reads TLS: certificates, ciphers, and whether the peer showed who it is', () => {
  const tlsProperties = {
    tlsVersion: 3,
    tlsCipherSuite: { value: 49199 },
    peerCertificateProperties: {
      subjectAltName: [
        { uri: 'spiffe://a/web' },
        { dns: 'web' },
        { uri: 'spiffe://a/admin' },
        { dns: 'admin' },
      ],
      subject: 'CN=web',
      issuer: 'CN=ca',
    },
    localCertificateProperties: {
      subjectAltName: [{ uri: 'spiffe://a/back' }],
      subject: 'CN=back',
    },
  };
  expect(withCommon({ tlsProperties })).toEqual({
    'connection.tls_version': 'TLSv1.2',
    'connection.tls_cipher': 'ECDHE-RSA-AES128-GCM-SHA256',
    'connection.uri_san_peer_certificate': 'spiffe://a/web,spiffe://a/admin',
    'connection.dns_san_peer_certificate': 'web,admin',
    'connection.subject_peer_certificate': 'CN=web',
    'connection.issuer_peer_certificate': 'CN=ca',
    'connection.uri_san_local_certificate': 'spiffe://a/back',
    'connection.subject_local_certificate': 'CN=back',
    'connection.mtls': true,
  });
  const cipher = (value: number): unknown =>
    withCommon({ tlsProperties: { tlsCipherSuite: { value } } })['connection.tls_cipher'];
  expect([0x1301, 0xcca8, 1, 0xffff, 0].map(cipher)).toEqual([
    'TLS_AES_128_GCM_SHA256',
    'ECDHE-RSA-CHACHA20-POLY1305',
    '0x1',
    undefined,
    undefined,
  ]);
});

test('als marks entries that are written while the stream goes on', () => {
  const intermediate = [1, 2, 4, 5, 7, 8, 10, 11, 12];
  for (let accessLogType = 0; accessLogType < 14; accessLogType++) {
    const attributes = withCommon({ accessLogType });
    expect(attributes['access_log.intermediate'], String(accessLogType)).toBe(
      intermediate.includes(accessLogType) ? true : undefined,
    );
  }
  expect(withCommon({ accessLogType: 3 })).toEqual({ 'access_log.type': 'TcpConnectionEnd' });
  expect(withCommon({ intermediateLogEntry: true })).toEqual({ 'access_log.intermediate': true });
});

const struct = (value: Json): Json => ({
  fields: Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, structValue(item)]),
  ),
});
function structValue(value: unknown): Json {
  if (value === null) return { nullValue: 0 };
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(structValue) } };
  return { structValue: struct(value as Json) };
}

const any = (name: string, value: Uint8Array): Json => ({
  type_url: `type.googleapis.com/${name}`,
  value,
});
const known = (name: string, value: Json): Json =>
  any(`google.protobuf.${name}`, encode(value, wrapped(name)));

test('als reads metadata and filter state: structs, wrapped values, and the rest as bytes', () => {
  const peer = { name: 'reviews-v1-7', namespace: 'bookinfo', labels: { app: 'reviews' } };
  const nested = { a: [1, 'x"\n', null, true, { b: -0.5 }], c: {} };
  expect(
    withCommon({
      metadata: {
        filterMetadata: { 'envoy.filters.http.rbac': struct(nested) },
        typedFilterMetadata: { typed: known('StringValue', { value: 'x' }) },
      },
      filterStateObjects: {
        upstream_peer: any('google.protobuf.Struct', encode(struct(peer), Struct)),
        text: known('StringValue', { value: 'text é' }),
        empty: known('StringValue', {}),
        number: known('Int64Value', { value: -5 }),
        flag: known('BoolValue', { value: true }),
        ratio: known('DoubleValue', { value: 0.5 }),
        bytes: known('BytesValue', { value: Buffer.from([0, 1, 255]) }),
        other: any('acme.Thing', Buffer.from([1, 2])),
      },
    }),
  ).toEqual({
    'metadata.envoy.filters.http.rbac': nested,
    'metadata.typed': 'x',
    'filter_state.upstream_peer': peer,
    'filter_state.text': 'text é',
    'filter_state.empty': '',
    'filter_state.number': -5,
    'filter_state.flag': true,
    'filter_state.ratio': 0.5,
    'filter_state.bytes': new Uint8Array([0, 1, 255]),
    'filter_state.other': { '@type': 'type.googleapis.com/acme.Thing', value: 'AQI=' },
  });
});

/** A FlatBuffer by hand: a table of strings, some of them absent, and a vector of labels. */
function flatNode(texts: Record<number, string>, labels: [string, string][]): Buffer {
  const chunks: number[] = [0, 0, 0, 0];
  const u32 = (value: number): number[] => [...Buffer.from(Uint32Array.of(value).buffer)];
  const place = (bytes: number[]): number => {
    while (chunks.length % 4 !== 0) chunks.push(0);
    chunks.push(...bytes);
    return chunks.length - bytes.length;
  };
  const patch = (at: number, target: number): void =>
    u32(target - at).forEach((byte, i) => {
      chunks[at + i] = byte;
    });
  const table = (fields: number[]): { at: number; slots: Map<number, number> } => {
    const size = Math.max(-1, ...fields) + 1;
    const vtable = place(
      [
        4 + size * 2,
        4 + fields.length * 4,
        ...Array(size)
          .keys()
          .map((i) => (fields.includes(i) ? 4 + fields.indexOf(i) * 4 : 0)),
      ].flatMap((value) => [value & 255, value >> 8]),
    );
    const at = place([...u32(0), ...fields.flatMap(() => u32(0))]);
    patch(at, at + (at - vtable));
    return { at, slots: new Map(fields.map((field, i) => [field, at + 4 + i * 4])) };
  };
  const string = (value: string): number =>
    place([...u32(Buffer.byteLength(value)), ...Buffer.from(value), 0]);
  const root = table([...Object.keys(texts).map(Number), 2].sort((a, b) => a - b));
  patch(0, root.at);
  for (const [field, value] of Object.entries(texts))
    patch(root.slots.get(Number(field)) ?? 0, string(value));
  const vector = place([...u32(labels.length), ...labels.flatMap(() => u32(0))]);
  patch(root.slots.get(2) ?? 0, vector);
  labels.forEach(([name, value], i) => {
    const pair = table([0, 1]);
    patch(vector + 4 + i * 4, pair.at);
    patch(pair.slots.get(0) ?? 0, string(name));
    patch(pair.slots.get(1) ?? 0, string(value));
  });
  return Buffer.from(chunks);
}

test('als reads the peers of older Istio proxies, and survives any damage to them', () => {
  const flat = flatNode({ 0: 'reviews-v1-7', 1: 'bookinfo', 4: 'reviews-v1', 9: 'eu' }, [
    ['app', 'reviews'],
  ]);
  const read = (value: Buffer): unknown =>
    withCommon({ filterStateObjects: { 'wasm.upstream_peer': known('BytesValue', { value }) } })[
      'filter_state.wasm.upstream_peer'
    ];
  expect(read(flat)).toEqual({
    NAME: 'reviews-v1-7',
    NAMESPACE: 'bookinfo',
    WORKLOAD_NAME: 'reviews-v1',
    CLUSTER_ID: 'eu',
    LABELS: { app: 'reviews' },
  });
  for (let i = 0; i < flat.length; i++) {
    for (const byte of [0, 1, 127, 255]) {
      const damaged = Buffer.from(flat);
      damaged[i] = byte;
      expect(() => read(damaged)).not.toThrow();
    }
    expect(() => read(flat.subarray(0, i))).not.toThrow();
  }
});

test('als keeps the identifier of the first message as facts', () => {
  const metadata = { CLUSTER_ID: 'eu-1', LABELS: { app: 'web' }, INSTANCE_IPS: '10.0.0.1' };
  const node = {
    id: 'sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local',
    cluster: 'web.shop',
    metadata: struct(metadata),
    locality: { region: 'eu', zone: 'a', subZone: 'a1' },
    userAgentName: 'envoy',
    userAgentBuildVersion: { version: { majorNumber: 1, minorNumber: 31, patch: 2 } },
  };
  const head = readHead(
    encode({ identifier: { node, logName: 'http' }, httpLogs: { logEntry: [{}, {}] } }),
  );
  expect(head).toEqual({
    entries: 2,
    malformed: false,
    identifier: {
      'envoy.node.id': node.id,
      'envoy.node.cluster': 'web.shop',
      'envoy.node.metadata': metadata,
      'envoy.node.locality.region': 'eu',
      'envoy.node.locality.zone': 'a',
      'envoy.node.locality.sub_zone': 'a1',
      'envoy.node.user_agent_name': 'envoy',
      'envoy.node.user_agent_version': '1.31.2',
      'envoy.log_name': 'http',
    },
  });
  expect(readHead(http({}))).toEqual({ entries: 1, malformed: false, identifier: undefined });
});

describe('als is lenient', () => {
  const good = {
    commonProperties: { upstreamCluster: 'c', routeName: 'r' },
    request: { path: '/x' },
  };
  const raw = (entry: Buffer): Buffer => {
    const logs = Buffer.concat([Buffer.from([0x0a, entry.length]), entry]);
    return Buffer.concat([Buffer.from([0x12, logs.length]), logs]);
  };

  test('with unknown fields and values', () => {
    // Field 99 as varint and as bytes, an access log type from the future, a field of the wrong wire type.
    const future = Buffer.from([0x98, 0x06, 0x05, 0x9a, 0x06, 0x01, 0x41]);
    const common = Buffer.concat([Buffer.from([0x88, 0x02, 0x7b, 0x78, 0x05]), future]);
    const entry = Buffer.concat([Buffer.from([0x0a, common.length]), common, future]);
    expect(attributesOf(raw(entry))).toEqual({ 'access_log.type': 123 });
  });

  test('with invalid UTF-8', () => {
    const common = Buffer.from([0x7a, 0x03, 0x61, 0xff, 0x62]);
    expect(attributesOf(raw(Buffer.concat([Buffer.from([0x0a, common.length]), common])))).toEqual({
      'xds.cluster_name': 'a\ufffdb',
    });
  });

  test('with an entry that breaks off: it is kept with what was read, its neighbours are whole', () => {
    const entry = Buffer.from([0x0a, 0x05, 0x7a, 0x01, 0x63, 0x7a, 0x7f]);
    const [first, broken, last] = records(http(good), raw(entry), http(good));
    expect(first?.attributes['request.path']).toBe('/x');
    expect(last?.attributes).toEqual(first?.attributes);
    expect(broken?.attributes).toEqual({
      'mesh.protocol': 'http',
      'xds.cluster_name': 'c',
      'log.parse_error': 'als: malformed entry',
    });
    expect(broken?.body).toEqual(new Uint8Array(entry));
    expect(first?.body).toBeUndefined();
    expect(decoder.malformed).toBe(1);
  });

  test('with any bytes at all', () => {
    const message = http(good, {
      commonProperties: {
        metadata: { filterMetadata: { a: struct({ b: [1, 'x'] }) } },
        responseFlags: { noRouteFound: true },
        startTime: { seconds: 1 },
        duration: { nanos: 5 },
        downstreamRemoteAddress: { socketAddress: { address: '::1', portValue: 1 } },
      },
    });
    const bytes = fc.record({ at: fc.nat(message.length), byte: fc.nat(255), cut: fc.nat(2) });
    fc.assert(
      fc.property(
        fc.array(bytes, { maxLength: 4 }),
        fc.uint8Array({ maxLength: 40 }),
        (changes, garbage) => {
          let now = Buffer.from(message);
          for (const { at: place, byte, cut } of changes) {
            now = Buffer.concat([
              now.subarray(0, place),
              Buffer.from(cut === 0 ? [byte] : []),
              now.subarray(place + cut),
            ]);
          }
          for (const bad of [now, Buffer.from(garbage), Buffer.concat([now, garbage])]) {
            expect(records(bad).length).toBe(readHead(bad).entries);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('with fields that stand many times, at the cost of their bytes', () => {
    const times = Buffer.concat(Array(20_000).fill(Buffer.from([0x2a, 0x00])));
    const repeated = Buffer.concat([Buffer.from([0x0a, 0xc0, 0xb8, 0x02]), times]);
    const entry = Buffer.concat([Buffer.from([0x0a, 0xc4, 0xb8, 0x02]), repeated]);
    const message = Buffer.concat([Buffer.from([0x12, 0xc8, 0xb8, 0x02]), entry]);
    expect(records(message)[0]?.attributes).toMatchObject({
      'log.parse_error': 'als: malformed entry',
    });
    const sans = Array.from({ length: 3000 }, (_, i) => ({ uri: `spiffe://mesh/ns/a/sa/${i}` }));
    const attributes = withCommon({
      tlsProperties: { peerCertificateProperties: { subjectAltName: sans } },
    });
    expect(String(attributes['connection.uri_san_peer_certificate']).length).toBeLessThan(8300);
  });

  test('with more keys than there may be columns: they stay together', () => {
    const names = Array.from({ length: 700 }, (_, i) => [`k${i}`, String(i)]);
    const attributes = attributesOf(
      http({ request: { requestHeaders: Object.fromEntries(names) } }),
    );
    const kept = attributes['request.headers'] as Json;
    expect(Object.keys(attributes).length + Object.keys(kept).length).toBe(701);
    expect({ ...attributes, ...kept }).toMatchObject({ 'request.headers.k0': '0', k699: '699' });
  });
});
