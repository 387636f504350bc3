// What a format printed is what its parser reads, for any record and any format that can be inverted; and whatever the
// bytes are, a parser answers in time that grows with their number only.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/access_log/format/format_error.ts';
import { lineParserFor } from '../../../src/access_log/format_parser.ts';
import { hango, istioText, kumaHttp, kumaTcp } from '../../../src/access_log/formats.ts';
import { Batch } from '../../../src/pipeline/batch.ts';
import type { AnyValue } from '../../../src/pipeline/record.ts';
import { parse, render } from '../../support/formats.ts';

const word = fc.stringMatching(/^[A-Za-z][A-Za-z0-9._|-]{0,20}$/);
/** Whatever a client may send in a header: no line ends and no NUL. */
const header = fc
  .oneof(
    fc.string({ unit: 'grapheme', maxLength: 24 }),
    fc
      .array(fc.constantFrom('"', ' ', '" "', 'x', '-', ' - ', '200', '[', '\\'), { maxLength: 8 })
      .map((parts) => parts.join('')),
  )
  .map((text) => text.replace(/[\u0000-\u0008\n-\u001f\u2028\u2029]/g, ''))
  .filter((text) => text !== '-');
/** Without quotes, and without backslashes, which a filter of Hango's may have put there. */
const plainHeader = header
  .map((text) => text.replaceAll('"', '\u00b4').replaceAll('\\', '/'))
  .filter((text) => text !== '-');
const count = fc.nat(Number.MAX_SAFE_INTEGER);
const address = fc.oneof(
  fc.tuple(fc.ipV4(), fc.nat(65535)).map(([ip, port]) => `${ip}:${port}`),
  fc.tuple(fc.ipV6(), fc.nat(65535)).map(([ip, port]) => `[${ip}]:${port}`),
  fc.constant('envoy://connect_originate/10.0.0.1:80'),
);

/** Values of operators, as the parser keeps them. Undefined: the record has none. */
const values: Readonly<
  Record<string, readonly [field: string, arbitrary: fc.Arbitrary<AnyValue>]>
> = {
  'REQ(:METHOD)': ['request.method', fc.constantFrom('GET', 'POST', 'M-SEARCH')],
  'REQ(:PATH)': ['request.path', word.map((text) => `/${text}?a="b"`)],
  PROTOCOL: ['request.protocol', fc.constantFrom('HTTP/1.0', 'HTTP/1.1', 'HTTP/2', 'HTTP/3')],
  RESPONSE_FLAGS: [
    'response.flags',
    fc.uniqueArray(fc.constantFrom('UF', 'URX', 'DC', 'NEW'), { minLength: 1 }),
  ],
  DURATION: ['request.duration', count],
  BYTES_SENT: ['response.size', count],
  RESPONSE_CODE: ['response.code', fc.nat(999)],
  UPSTREAM_HOST: ['upstream.address', address],
  DOWNSTREAM_LOCAL_ADDRESS: ['destination.address', address],
  UPSTREAM_CLUSTER: ['xds.cluster_name', word],
  ROUTE_NAME: ['xds.route_name', word],
  REQUESTED_SERVER_NAME: [
    'connection.requested_server_name',
    word.map((text) => text.replaceAll('|', '_')),
  ],
  RESPONSE_CODE_DETAILS: ['response.code_details', word.map((text) => `${text}{a|b:_c}[d]`)],
  KUMA_TRAFFIC_DIRECTION: ['mesh.direction', fc.constantFrom('inbound', 'outbound')],
  KUMA_MESH: ['mesh.name', word],
  'START_TIME(%s.%6f)': ['request.time', fc.nat(4_000_000_000).map((s) => `${s}.123456`)],
  TRACE_ID: ['trace.id', fc.stringMatching(/^[0-9a-f]{32}$/)],
};
const never0 = ['BYTES_SENT', 'RESPONSE_CODE'];

type Draft = { operators: string[]; texts: string[]; record: Record<string, AnyValue> };

/** A format of certain operators in any order, and a record for it. */
const draft: fc.Arbitrary<Draft> = fc
  .record({
    operators: fc.uniqueArray(fc.constantFrom(...Object.keys(values)), {
      minLength: 1,
      maxLength: 8,
    }),
    texts: fc.array(fc.constantFrom(' ', '" "', '] [', ' => ', '\t', ' "', '" '), {
      minLength: 9,
      maxLength: 9,
    }),
  })
  .chain(({ operators, texts }) =>
    fc
      .tuple(
        ...operators.map((operator) =>
          fc.option(values[operator]![1], { nil: undefined, freq: 4 }),
        ),
      )
      .map((drawn) => {
        const record: Record<string, AnyValue> = {};
        operators.forEach((operator, i) => {
          const value = drawn[i] ?? (never0.includes(operator) ? 0 : undefined);
          if (value !== undefined) record[values[operator]![0]] = value;
        });
        return { operators, texts, record };
      }),
  );

const formatText = ({ operators, texts }: Draft): string =>
  `<${operators.map((operator, i) => `%${operator}%${texts[i]}`).join('')}>`;

describe('parse(render(record)) is the record', () => {
  test('for every mixture of operators that are not free text', () => {
    fc.assert(
      fc.property(draft, (one) => {
        const format = formatText(one);
        const { 'request.time': time, ...fields } = one.record;
        if (time === undefined && one.operators.includes('START_TIME(%s.%6f)')) return;
        const shown =
          time === undefined ? fields : { ...fields, 'request.time': rfc3339(String(time)) };
        const line = render(format, shown);
        const parsed = parse(format, line);
        expect(parsed).toMatchObject({ outcome: 0 });
        expect(parsed.fields).toEqual(one.record);
      }),
    );
  });

  const rfc3339 = (epoch: string): string => {
    const [seconds = '', fraction = ''] = epoch.split('.');
    return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
  };

  const istio = {
    'request.method': fc.constantFrom('GET', 'PUT'),
    'request.path': fc.constantFrom('/', '/a"b?c=d'),
    'request.protocol': fc.constantFrom('HTTP/1.1', 'HTTP/2'),
    'response.code': fc.nat(599),
    'response.flags': fc.constantFrom(['UF', 'URX'], ['DC']),
    'response.size': count,
    'request.size': count,
    'request.duration': count,
    'request.headers.x-forwarded-for': fc.constantFrom('10.0.0.1', '10.0.0.1, 2001:db8::1'),
    'request.id': fc.uuid(),
    'request.host': word,
    'upstream.address': address,
    'xds.cluster_name': word.map((text) => `outbound|80||${text}`),
    'xds.route_name': word,
    'source.address': address,
    'connection.termination_details': fc.constantFrom('transport socket timeout was reached'),
  };
  const istioRecord = (agent: fc.Arbitrary<string>) =>
    fc.record(
      { ...istio, 'request.useragent': agent },
      { requiredKeys: ['response.code', 'response.size', 'request.size'] },
    );
  const withTime = (record: object) => ({ 'request.time': '2020-10-23T11:08:53.165Z', ...record });

  test("for Istio's format with any User-Agent: where it looks like more fields, the line is marked, not shifted", () => {
    fc.assert(
      fc.property(istioRecord(header), (drawn) => {
        const record = withTime(drawn) as Record<string, AnyValue>;
        const parsed = parse(istioText, render(istioText, record));
        expect(parsed.outcome).toBeLessThan(2);
        expect(parsed.fields).toEqual(record);
        const agent = record['request.useragent'];
        const tangled = typeof agent === 'string' && agent.includes('" "');
        expect(parsed.outcome).toBe(tangled ? 1 : 0);
      }),
    );
  });

  test("for Kuma's and Hango's formats, whose free values stand between others", () => {
    const record = fc.record({
      'request.useragent': plainHeader,
      'request.headers.x-forwarded-for': fc.constantFrom('10.0.0.1', '-'),
      'request.id': fc.uuid(),
      'upstream.address': address,
    });
    fc.assert(
      fc.property(record, fc.constantFrom(kumaHttp, hango), (drawn, format) => {
        const parsed = parse(format, render(format, withTime(drawn) as Record<string, AnyValue>));
        expect(parsed.outcome).toBe(0);
        expect(parsed.fields).toMatchObject({
          'request.useragent': drawn['request.useragent'],
          'request.id': drawn['request.id'],
          'upstream.address': drawn['upstream.address'],
        });
      }),
    );
  });

  test('for JSON formats with any text', () => {
    const format = {
      json_format: {
        agent: '%REQ(USER-AGENT)%',
        code: '%RESPONSE_CODE%',
        inner: { flags: '%RESPONSE_FLAGS%', list: ['%REQ(X)%', 'x'] },
        line: '%REQ(:METHOD)% [%REQ(Y)%]',
      },
    };
    const record = fc.record({
      'request.useragent': header.filter((text) => text !== ''),
      'response.code': fc.nat(999),
      'response.flags': fc.constantFrom(['UF', 'URX'], ['DC']),
      'request.headers.x': header,
      'request.method': fc.constantFrom('GET'),
      'request.headers.y': header
        .map((text) => text.replaceAll(/[[\] ]/g, ''))
        .filter((text) => text !== '-'),
    });
    fc.assert(
      fc.property(record, (drawn) => {
        const parsed = parse(format, render(format, drawn));
        expect(parsed).toMatchObject({ outcome: 0, fields: drawn });
      }),
    );
  });
});

describe('any bytes', () => {
  const formats = ['istio_text', 'kuma_http', 'kuma_tcp', 'hango', 'ztunnel', '%REQ(A)% %REQ(B)%'];
  const parsers = [
    ...formats.map((format) => lineParserFor(format)),
    lineParserFor({ json_format: { a: '%DURATION%', b: { c: ['%REQ(X)% %REQ(Y)%'] } } }),
  ];
  const outcomeOf = (line: Uint8Array): void => {
    for (const parser of parsers) {
      const batch = Batch.ofLines([line]);
      parser.begin(batch);
      const outcome = parser.parse(batch, 0, batch.rowStart[0]!, batch.rowEnd[0]!);
      if (outcome === 2) {
        expect(batch.columns.every((column) => column.kind[0] === 0)).toBe(true);
        expect(parser.reason()).not.toBe('');
      }
      batch.release();
    }
  };

  test('are a record or none, and a line that does not fit leaves nothing behind', () => {
    const nearly = fc
      .tuple(
        fc.constantFrom(istioText, kumaHttp, kumaTcp, hango),
        fc.nat(400),
        fc.uint8Array({ maxLength: 8 }),
        fc.nat(400),
      )
      .map(([format, at, bytes, length]) => {
        const line = render(format, { 'request.time': '2020-10-23T11:08:53.165Z' });
        const whole = Buffer.concat([line.subarray(0, at), bytes, line.subarray(at)]);
        return whole.subarray(0, length);
      });
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), nearly), outcomeOf));
  });

  test('every byte value stands where a value is', () => {
    for (let byte = 0; byte < 256; byte++) {
      if (byte === 10) continue;
      const agent = Uint8Array.of(97, byte, 98);
      const line = render(istioText, {
        'request.time': '2020-10-23T11:08:53.165Z',
        'request.id': 'd209e46f-9ed5-9b61-bbdd-43e22662702a',
        'request.useragent': agent,
      });
      const batch = Batch.ofLines([line]);
      const parser = lineParserFor('istio_text');
      parser.begin(batch);
      const outcome = parser.parse(batch, 0, batch.rowStart[0]!, batch.rowEnd[0]!);
      const isControl = byte < 32 && byte !== 9;
      expect(outcome, `byte ${byte}`).toBe(isControl ? 2 : 0);
      if (isControl) continue;
      const column = batch.column('request.useragent')!;
      expect([...batch.bytes.subarray(column.a[0], column.b[0])]).toEqual([...agent]);
    }
  });

  test('long lines take time in proportion to their length', () => {
    const patterns = ['" "', 'a', '" ', ' - ', '"a" 1 2 "', '[', '{"a":"', '\\"', '1 ', 'x=" '];
    const time = (pattern: string, length: number): number => {
      const filling = pattern.repeat(Math.ceil(length / pattern.length));
      const line = render(istioText, {
        'request.time': '2020-10-23T11:08:53.165Z',
        'request.useragent': filling,
        'request.path': `/${pattern}`,
      });
      const from = process.hrtime.bigint();
      outcomeOf(line);
      outcomeOf(Buffer.from(filling));
      return Number(process.hrtime.bigint() - from) / 1e6;
    };
    for (const pattern of patterns) {
      time(pattern, 20_000);
      const short = Math.max(1, Math.min(time(pattern, 100_000), time(pattern, 100_000)));
      const long = Math.min(time(pattern, 1_000_000), time(pattern, 1_000_000));
      // Ten times the length: quadratic time would be a hundred times as much.
      expect(long / short, JSON.stringify(pattern)).toBeLessThan(50);
    }
  });
});

describe('formats that cannot be inverted are refused', () => {
  for (const [format, message] of [
    [
      '%BYTES_SENT%%BYTES_RECEIVED%',
      '%BYTES_SENT% and %BYTES_RECEIVED% stand next to each other: where one ends and the other begins cannot be seen',
    ],
    ['x%%', 'the format has no command operator: there is nothing to read'],
    [
      '%DURATION%\n%BYTES_SENT%',
      'the format has a newline in it: a record would be several lines, which are read one by one',
    ],
    [{ json_format: { a: 'x' } }, 'the format has no command operator: there is nothing to read'],
    [
      { json_format: { a: '%REQ(A)%%REQ(B)%' } },
      '%REQ(A)% and %REQ(B)% stand next to each other: where one ends and the other begins cannot be seen',
    ],
  ] as const) {
    test(JSON.stringify(format), () => {
      expect(() => lineParserFor(format)).toThrow(new FormatError(message));
    });
  }

  test('values of known width may stand next to others', () => {
    expect(parse('%START_TIME%%REQ(A)%', '2020-10-23T11:08:53.165Zabc')).toMatchObject({
      outcome: 0,
      fields: { 'request.headers.a': 'abc' },
    });
  });
});
