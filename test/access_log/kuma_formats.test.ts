// Kuma's examples of operators over one HTTP and one TCP entry. Where Kuma's own printer of old differed from Envoy's,
// which prints Kuma's formats since 2.6, Envoy's way is ours; the list at the end says where and why.

import { describe, expect, test } from 'vitest';
import { compileRenderer } from '../../src/access_log/renderer.ts';
import { cipherName } from '../../src/access_log/tls_ciphers.ts';
import { inputReader } from '../../src/cli/render_input.ts';
import { ByteWriter } from '../../src/encoding/byte_writer.ts';
import { formatOf } from '../support/formats.ts';

const socket = (address: string, portValue: number) => ({ socketAddress: { address, portValue } });
const common = {
  startTime: '2020-02-18T21:52:17.987654321Z',
  timeToLastRxByte: '0.057s',
  timeToFirstUpstreamRxByte: '0.102s',
  timeToLastDownstreamTxByte: '0.123s',
  responseFlags: { upstreamConnectionFailure: true, upstreamRetryLimitExceeded: true },
  downstreamLocalAddress: socket('127.0.0.1', 10000),
  downstreamRemoteAddress: socket('127.0.0.3', 53165),
  downstreamDirectRemoteAddress: socket('127.0.0.4', 53166),
  upstreamCluster: 'outbound:backend',
  upstreamLocalAddress: socket('127.0.0.2', 10001),
  upstreamRemoteAddress: socket('10.0.0.2', 443),
  upstreamTransportFailureReason: 'mystery',
  routeName: 'outbound:backend',
  tlsProperties: {
    tlsSniHostname: 'backend.internal',
    tlsVersion: 'TLSv1_2',
    tlsCipherSuite: 52392,
    tlsSessionId: 'b106',
    peerCertificateProperties: {
      subject: 'CN=web,OU=IT',
      subjectAltName: [
        { uri: 'spiffe://default/web' },
        { dns: 'web.internal' },
        { uri: 'spiffe://default/web-admin' },
      ],
    },
    localCertificateProperties: {
      subject: 'CN=backend',
      subjectAltName: [{ uri: 'spiffe://default/backend' }],
    },
  },
};
const http = {
  commonProperties: common,
  protocolVersion: 'HTTP11',
  request: {
    scheme: 'https',
    authority: 'backend.internal:8080',
    path: '/api',
    requestBodyBytes: 234,
  },
  response: {
    responseCode: 200,
    responseCodeDetails: 'response code details',
    responseHeaders: { server: 'Tomcat', 'content-type': 'application/json' },
    responseTrailers: { 'grpc-status': '14', 'grpc-message': 'unavailable' },
    responseBodyBytes: 567,
  },
};
const tcp = {
  commonProperties: common,
  connectionProperties: { receivedBytes: 234, sentBytes: 567 },
};

function render(entry: object, format: string): string {
  const { batches, problems } = inputReader('auto')([JSON.stringify(entry)]);
  expect(problems).toEqual([]);
  const renderer = compileRenderer(formatOf(format) as never);
  renderer.begin(batches[0]!);
  const out = new ByteWriter();
  renderer.render(0, out);
  return out.bytes().toString().replace(/\n$/, '');
}

describe('entries of the access log service printed by formats of Kuma', () => {
  for (const [format, ofHttp, ofTcp = ofHttp] of [
    ['%START_TIME%', '2020-02-18T21:52:17.987Z'],
    ['%START_TIME(%s.%3f)%', '1582062737.987'],
    ['%BYTES_RECEIVED%', '234'],
    ['%BYTES_SENT%', '567'],
    ['%PROTOCOL%', 'HTTP/1.1', '-'],
    ['%RESPONSE_CODE%', '200', '0'],
    ['%DURATION%', '123'],
    ['%REQUEST_DURATION%', '57'],
    ['%RESPONSE_DURATION%', '102'],
    ['%RESPONSE_TX_DURATION%', '21'],
    ['%RESPONSE_FLAGS%', 'UF,URX'],
    ['%UPSTREAM_HOST%', '10.0.0.2:443'],
    ['%UPSTREAM_CLUSTER%', 'outbound:backend'],
    ['%UPSTREAM_LOCAL_ADDRESS%', '127.0.0.2:10001'],
    ['%DOWNSTREAM_LOCAL_ADDRESS%', '127.0.0.1:10000'],
    ['%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%', '127.0.0.1'],
    ['%DOWNSTREAM_REMOTE_ADDRESS%', '127.0.0.3:53165'],
    ['%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%', '127.0.0.4:53166'],
    ['%REQUESTED_SERVER_NAME%', 'backend.internal'],
    ['%UPSTREAM_TRANSPORT_FAILURE_REASON%', 'mystery'],
    ['%ROUTE_NAME%', 'outbound:backend'],
    ['%DOWNSTREAM_PEER_URI_SAN%', 'spiffe://default/web,spiffe://default/web-admin'],
    ['%DOWNSTREAM_LOCAL_URI_SAN%', 'spiffe://default/backend'],
    ['%DOWNSTREAM_PEER_SUBJECT%', 'CN=web,OU=IT'],
    ['%DOWNSTREAM_TLS_SESSION_ID%', 'b106'],
    ['%DOWNSTREAM_TLS_VERSION%', 'TLSv1.2'],
    ['%DOWNSTREAM_TLS_CIPHER%', 'ECDHE-RSA-CHACHA20-POLY1305'],
    ['%REQ(:authority)%', 'backend.internal:8080', '-'],
    ['%REQ(:authority):7%', 'backend', '-'],
    ['%REQ(origin?:AUTHORITY):7%', 'backend', '-'],
    ['%REQ(:path?x-envoy-original-path)%', '/api', '-'],
    ['%RESP(server)%', 'Tomcat', '-'],
    ['%RESP(server?:content-type)%', 'Tomcat', '-'],
    ['%TRAILER(grpc-status)%', '14', '-'],
    ['%TRAILER(grpc-status):1%', '1', '-'],
    ['%TRAILER(x-missing-header?GRPC-STATUS):1%', '1', '-'],
    ['%TRAILER(x-trailer?grpc-message):2%', 'un', '-'],
    ['%TRAILER(x-trailer)%', '-'],
  ] as const) {
    test(format, () => {
      expect([render(http, format), render(tcp, format)]).toEqual([ofHttp, ofTcp]);
    });
  }
});

describe("where Kuma's printer of 2.0 said something else", () => {
  test('details of the response code have no spaces, as Envoy prints them; Kuma left them', () => {
    expect(render(http, '%RESPONSE_CODE_DETAILS%')).toBe('response_code_details');
    expect(render(http, '%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%')).toBe(
      'response code details',
    );
  });

  test('operators that Kuma did not support print what is known, not UNSUPPORTED_COMMAND', () => {
    expect(render(http, '%DOWNSTREAM_PEER_ISSUER% %DOWNSTREAM_PEER_CERT%')).toBe('- -');
  });

  test('its own operators are never left as they are: what nobody knows is a dash', () => {
    expect(render(http, '%KUMA_SOURCE_ADDRESS% %KUMA_DESTINATION_SERVICE%')).toBe('- -');
  });

  test("ciphers have OpenSSL's names as in Envoy; Kuma had spellings of its own", () => {
    expect([47, 49195, 52392].map((id) => cipherName(id))).toEqual([
      'AES128-SHA',
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-RSA-CHACHA20-POLY1305',
    ]);
  });
});
