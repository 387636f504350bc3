import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseFormat } from '../../../src/access_log/format/grammar.ts';
import { autoTextParser, glance, lineParserFor } from '../../../src/access_log/format_parser.ts';
import {
  envoyDefault,
  hango,
  istioText,
  istioTexts,
  kumaHttp,
  kumaHttpDocumented,
  kumaTcp,
  namedTexts,
} from '../../../src/access_log/formats.ts';
import { compileText } from '../../../src/access_log/parse/program.ts';
import { targetOf } from '../../../src/access_log/parse/target.ts';
import { Batch } from '../../../src/pipeline/batch.ts';
import type { AnyValue } from '../../../src/pipeline/record.ts';
import { parse, parseAll, renderText } from '../../support/formats.ts';

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../fixtures/formats/${name}.json`, import.meta.url), 'utf8'));

describe('lines that proxies printed', () => {
  type Case = [format: string, line: string, values: Record<string, AnyValue>];
  for (const [format, line, values] of fixture('real_lines') as Case[]) {
    test(line.slice(0, 90), () => {
      const { outcome, fields } = parse(format, line);
      expect(outcome).toBe(0);
      for (const segment of parseFormat(format)) {
        if (typeof segment === 'string') continue;
        const { field } = targetOf(segment);
        const nothing = field === 'response.flags' ? [] : null;
        expect(fields[field] ?? nothing, segment.source).toEqual(values[segment.source]);
      }
    });
  }
});

describe("Istio's default format", () => {
  type Case = [line: string, fields: Record<string, AnyValue>];
  const cases = fixture('istio_lines') as Case[];
  for (const [line, fields] of cases) {
    test(line.slice(0, 90), () => {
      const parsed = parse('istio_text', line);
      expect(parsed).toMatchObject({ outcome: 0, fields });
      expect(Object.keys(parsed.fields).sort()).toEqual(Object.keys(fields).sort());
      // Envoy of that time left the spaces of a failure reason; today's prints underscores.
      const today = line.replace(
        'TLS error: 268436501:SSL routines',
        'TLS_error:_268436501:SSL_routines',
      );
      expect(renderText(istioText, parsed.fields)).toBe(today);
    });
  }

  const request = '[2022-01-11T06:44:07.918Z] "GET /a HTTP/1.1" 200 UF,URX';
  const middle =
    '0 201 77 76 "10.0.0.1" "curl/7.77.0" "51c9ed69-6ad3-43a4-a183-58229a34d444" "a.b" "10.0.0.2:80"';
  const end = 'outbound|80||a.b 10.0.0.3:4 10.0.0.4:5 10.0.0.6:7 -';
  const lines = {
    'Istio 1.9 and later': `${request} via_upstream - "-" ${middle} ${end} default`,
    'Istio 1.8': `${request} "TLS error: 1" ${middle} ${end} default`,
    'Istio 1.3 to 1.7': `${request} "-" "TLS_error" ${middle} ${end} default`,
    'Istio 1.3, older proxies': `${request} "-" "-" ${middle} ${end}`,
    'Istio 1.1 and 1.2': `${request} "-" ${middle} ${end}`,
  };

  test('every release has its own columns, which are told apart line by line', () => {
    const parser = autoTextParser();
    const texts = [...Object.entries(lines), ...Object.entries(lines).reverse()];
    const batch = Batch.ofLines(texts.map(([, line]) => line));
    parser.begin(batch);
    texts.forEach(([name], row) => {
      expect(parser.parse(batch, row, batch.rowStart[row]!, batch.rowEnd[row]!)).toBe(0);
      expect(parser.recognised()).toBe(name);
      expect(batch.record(row).attributes).toMatchObject({
        'request.useragent': 'curl/7.77.0',
        'upstream.address': '10.0.0.2:80',
        'source.address': '10.0.0.6:7',
        'response.flags': ['UF', 'URX'],
      });
    });
  });

  test('each variant reads what it prints', () => {
    const fields = parse('istio_text', lines['Istio 1.9 and later']).fields;
    for (const [, text] of istioTexts) {
      expect(parse(text, renderText(text, fields)).outcome).toBe(0);
    }
  });
});

describe('a forged header value moves no other field', () => {
  const line = (agent: string): string =>
    `[2023-01-05T06:53:49.054Z] "GET / HTTP/1.1" 404 NR route_not_found - "-" 0 0 1 - "172.17.0.1" "${agent}" "6e6ac8e9-2e92-96fb-ad31-635c787f6fc4" "catalog.io" "-" - - 172.17.0.6:8080 172.17.0.1:60544 - -`;
  for (const [agent, outcome] of [
    ['A" "B" "C', 1],
    ['" "', 1],
    ['" 200 - x - "-" 1 2 3 4 "-" "ua" "id" "host" "1.2.3.4:80" c l d r - -', 1],
    [`${line('x')}`, 1],
    ['say "hello"', 0],
    ['"', 0],
    ['', 0],
    ['%REQ(:METHOD)%', 0],
    ['x'.repeat(100_000), 0],
  ] as const) {
    test(`User-Agent ${JSON.stringify(agent).slice(0, 50)} is ${outcome === 1 ? 'marked ambiguous' : 'certain'}`, () => {
      const parsed = parse('istio_text', line(agent));
      expect(parsed.outcome).toBe(outcome);
      expect(parsed.fields).toMatchObject({
        'request.useragent': agent,
        'request.id': '6e6ac8e9-2e92-96fb-ad31-635c787f6fc4',
        'request.headers.x-forwarded-for': '172.17.0.1',
        'request.host': 'catalog.io',
        'response.code': 404,
        'source.address': '172.17.0.1:60544',
      });
      expect(parsed.fields['xds.route_name']).toBeUndefined();
    });
  }

  test('a path with spaces, which HTTP/2 lets pass, is one value and marked', () => {
    const text = line('x').replace('"GET / ', '"GET /a b 200 HTTP/1.1" x ');
    const parsed = parse('istio_text', text);
    expect(parsed.outcome).toBe(1);
    expect(parsed.fields).toMatchObject({ 'request.useragent': 'x', 'response.code': 404 });
  });

  test('two free values side by side are split at the first text between them and marked when there are more', () => {
    const format = '%REQ(A)% %REQ(B)%';
    expect(parse(format, 'x y')).toMatchObject({
      outcome: 0,
      fields: { 'request.headers.b': 'y' },
    });
    expect(parse(format, 'x y z')).toMatchObject({
      outcome: 1,
      fields: { 'request.headers.a': 'x', 'request.headers.b': 'y z' },
    });
  });
});

test('a value that the format prints twice has to be the same twice, or the line is marked', () => {
  const format = '%REQ(X)% %DURATION% %REQ(X)%';
  expect(parse(format, 'a 1 a')).toMatchObject({
    outcome: 0,
    fields: { 'request.headers.x': 'a' },
  });
  expect(parse(format, 'a 1 b')).toMatchObject({
    outcome: 1,
    fields: { 'request.headers.x': 'a' },
  });
});

describe('lines that do not fit', () => {
  for (const [format, line, reason] of [
    ['istio_text', 'garbage', 'does not begin with "["'],
    ['istio_text', '', 'does not begin with "["'],
    ['istio_text', '[2023', 'stopped fitting at byte 5, in %START_TIME%'],
    ['%DURATION% %BYTES_SENT%', '12 x', 'stopped fitting at byte 3, in %BYTES_SENT%'],
    ['%DURATION%', '12 ', 'stopped fitting at byte 2, in %DURATION%'],
    ['%DURATION% ms', '12', 'stopped fitting at byte 2, in %DURATION%'],
    ['%BYTES_SENT%', '-', 'stopped fitting at byte 0, in %BYTES_SENT%'],
  ] as const) {
    test(`${JSON.stringify(line)} as ${format}`, () => {
      expect(parse(format, line)).toMatchObject({ outcome: 2, reason, fields: {} });
    });
  }
});

describe('values become what they are', () => {
  for (const [format, line, fields] of [
    [
      '%DURATION%|%BYTES_SENT%|%RESPONSE_CODE%',
      '-|0|0',
      { 'response.size': 0, 'response.code': 0 },
    ],
    ['%RESPONSE_FLAGS%|%DURATION%', '-|1', { 'request.duration': 1 }],
    ['%RESPONSE_FLAGS_LONG%', 'LocalReset,Other', { 'response.flags': ['LR', 'Other'] }],
    ['"%REQ(A)%" "%REQ(B)%"', '"" "-"', { 'request.headers.a': '' }],
    ['%KUMA_TRAFFIC_DIRECTION%', 'INBOUND', { 'mesh.direction': 'inbound' }],
    ['%KUMA_TRAFFIC_DIRECTION%', 'UNSPECIFIED', {}],
    ['%KUMA_SOURCE_ADDRESS%', '[::1]:0', { 'mesh.source.address': '::1' }],
    ['%GRPC_STATUS(SNAKE_STRING)%', 'NOT_FOUND', { 'response.grpc_status': 'NotFound' }],
    ['%GRPC_STATUS_NUMBER%', '99', { 'response.grpc_status': '99' }],
    ['%DYNAMIC_METADATA(a:b)%', '{"c":1}', { 'metadata.a.b': { c: 1 } }],
    ['%FILTER_STATE(k)%', '"quoted \\" text"', { 'filter_state.k': 'quoted " text' }],
    ['%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:us)%', '1500', { 'response.duration': 1.5 }],
    ['%COMMON_DURATION(US_TX_BEG:US_RX_BEG)%', '15', { 'timing.US_TX_BEG.US_RX_BEG': 15 }],
    [
      '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%',
      '::1 80',
      { 'source.address': '::1', 'source.port': 80 },
    ],
    [
      '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_ADDRESS%',
      '1.2.3.4 1.2.3.4:5',
      { 'source.address': '1.2.3.4:5' },
    ],
    [
      '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %RESP(:STATUS)%',
      '/a 200',
      { 'request.path': '/a', 'response.code': 200 },
    ],
    ['%UNIQUE_ID% %CEL(a.b)%', 'abc x y', { 'access_log.unique_id': 'abc' }],
    ['%PROTOCOL%%%', 'HTTP/2%', { 'request.protocol': 'HTTP/2' }],
  ] as const) {
    test(`${format} of ${line}`, () => {
      const parsed = parse(format, line);
      expect(parsed.outcome).toBe(0);
      expect(parsed.fields).toEqual(fields);
    });
  }

  test('what omit_empty_values leaves empty is absent', () => {
    const format = { text_format: '"%REQ(A)%" %REQ(:METHOD)% %DURATION%', omit_empty_values: true };
    expect(parse(format, '""  ')).toMatchObject({ outcome: 0, fields: {} });
  });

  test('the time of the record is that of the line, to the nanosecond, and keeps its spelling', () => {
    expect(parse('%START_TIME(%s.%9f)%', '1522796769.123456789')).toMatchObject({
      time: 1522796769123456789n,
      fields: { 'request.time': '1522796769.123456789' },
    });
    expect(parse('[%START_TIME%]', '[2018-04-03T23:06:09.123Z]').time).toBe(1522796769123000000n);
    expect(parse('%START_TIME(%H:%M)% x', '23:06 x')).toMatchObject({
      outcome: 0,
      time: undefined,
    });
  });

  test('a time of the framing stays for rows whose line has none', () => {
    const batch = Batch.ofLines(['[2018-04-03T23:06:09.123Z] 1', 'no']);
    const framing = batch.recordColumn('framing');
    framing.setInt(0, 5);
    framing.setInt(1, 5);
    batch.time = framing;
    const parser = lineParserFor('[%START_TIME%] %DURATION%');
    parser.begin(batch);
    for (const row of [0, 1]) parser.parse(batch, row, batch.rowStart[row]!, batch.rowEnd[row]!);
    expect([batch.record(0).time, batch.record(1).time]).toEqual([1522796769123000000n, 5n]);
  });
});

describe('formats by name', () => {
  test("Kuma's are read with and without the trace id, HTTP and TCP apart", () => {
    const start =
      '[2020-02-18T21:52:17.987Z] default "GET /api HTTP/1.1" 200 - 234 567 123 101 "-" "curl" ';
    const end = '"b2" "backend" "web" "backend" "127.0.0.1" "10.0.0.2:443"';
    const [long, short] = parseAll('kuma_http', [`${start}"463ac35c9f6413ad" ${end}`, start + end]);
    const same = {
      'request.id': 'b2',
      'mesh.source.service': 'web',
      'upstream.address': '10.0.0.2:443',
    };
    expect(long).toMatchObject({
      outcome: 0,
      fields: { ...same, 'request.headers.x-b3-traceid': '463ac35c9f6413ad' },
    });
    expect(short).toMatchObject({ outcome: 0, fields: same });
    const tcp =
      '[2020-02-18T21:52:17.987Z] UF default 127.0.0.1(web)->10.0.0.2:443(backend) took 123ms, sent 567 bytes, received: 234 bytes';
    expect(parse('kuma_tcp', tcp).fields).toMatchObject({
      'mesh.source.service': 'web',
      'mesh.destination.service': 'backend',
      'request.duration': 123,
      'response.size': 567,
    });
    expect(parse({ type: 'Plain' }, tcp).outcome).toBe(0);
  });

  test("Hango's line looks like JSON and is not: quotes in it are part of the value, escapes are undone", () => {
    const fields = {
      'request.method': 'GET',
      'request.useragent': 'a "b" c',
      'request.headers.http-referer': 'x\\y',
      'filter_state.qz_svc_id': '7',
      'response.code': 200,
      'request.time': '2020-10-23T11:08:53.165Z',
    };
    const parsed = parse('hango', renderText(hango, fields));
    expect(parsed).toMatchObject({
      outcome: 0,
      time: 1603451333165000000n,
      fields: { ...fields, 'request.time': '1603451333165' },
    });
    const escaped = renderText(hango, { ...fields, 'request.useragent': 'a \\"b\\" c' });
    expect(parse('hango', escaped).fields['request.useragent']).toBe('a "b" c');
  });

  test("ztunnel's logfmt names both ends", () => {
    const line =
      '2025-04-01T14:01:02.476412Z\tinfo\taccess\tconnection complete\tsrc.addr=10.244.3.9:52462 src.workload="sleep-1" src.namespace="default" src.identity="spiffe://cluster.local/ns/default/sa/sleep" dst.addr=10.244.3.8:15008 dst.hbone_addr=10.244.3.8:8080 dst.service="httpbin.default.svc.cluster.local" dst.workload="httpbin-5" direction="outbound" bytes_sent=564 bytes_recv=156 duration="5013ms" error="a \\"b\\""';
    expect(parse('ztunnel', line)).toMatchObject({
      outcome: 0,
      time: 1743516062476412000n,
      fields: {
        'source.address': '10.244.3.9:52462',
        'upstream.address': '10.244.3.8:15008',
        'destination.address': '10.244.3.8:8080',
        'mesh.source.workload': 'sleep-1',
        'mesh.destination.service': 'httpbin',
        'mesh.destination.host': 'httpbin.default.svc.cluster.local',
        'mesh.direction': 'outbound',
        'response.size': 564,
        'request.size': 156,
        'request.duration': 5013,
        'connection.termination_details': 'a "b"',
      },
    });
    expect(parse('ztunnel', line.replace('outbound', 'inbound')).fields).toMatchObject({
      'destination.direct_address': '10.244.3.8:15008',
    });
    for (const bad of [
      'x',
      '2025-04-01T14:01:02Z info',
      `2025-04-01T14:01:02Z ${'a=b '.repeat(100)}`,
    ]) {
      expect(parse('ztunnel', bad).outcome).toBe(2);
    }
  });

  test('every named text format reads back what it prints', () => {
    const fields = {
      'request.time': '2020-10-23T11:08:53.165Z',
      'request.method': 'GET',
      'request.path': '/a?b',
      'request.protocol': 'HTTP/2',
      'response.code': 503,
      'response.flags': ['UF'],
      'request.useragent': 'curl',
    };
    for (const text of [envoyDefault, istioText, kumaHttp, kumaHttpDocumented, kumaTcp]) {
      const { outcome, fields: again } = parse(text, renderText(text, fields));
      expect(outcome).toBe(0);
      expect(fields).toMatchObject(
        Object.fromEntries(Object.entries(again).filter(([name]) => name in fields)),
      );
    }
    expect(
      Object.values(namedTexts)
        .flat()
        .map(([, text]) => compileText(text).slots.length),
    ).toHaveLength(10);
  });
});

describe('a first glance', () => {
  for (const [line, family] of [
    ['{"a":1}', 'json'],
    ['[2020-10-23T11:08:53.165Z] x', 'text'],
    ['2025-04-01T14:01:02.476412Z\tinfo\taccess', 'ztunnel'],
    ['2025-04-01T14:01:02.476412345Z stdout F {"a":1}', 'cri'],
    ['hello', 'unknown'],
    ['', 'unknown'],
  ] as const) {
    test(`${JSON.stringify(line)} is ${family}`, () => {
      const bytes = Buffer.from(line);
      expect(glance(bytes, 0, bytes.length)).toBe(family);
    });
  }
});
