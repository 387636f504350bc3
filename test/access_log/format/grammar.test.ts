import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../../src/access_log/format/format_error.ts';
import { parseFormat, syntaxProblem } from '../../../src/access_log/format/grammar.ts';
import { sourceOf } from '../../../src/access_log/format_yaml.ts';

const problem = (format: string, dialect: 'envoy' | 'kuma' = 'envoy'): string | undefined => {
  try {
    parseFormat(format, dialect);
    return undefined;
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
};

const noCommand = (format: string, position: number): string =>
  `Incorrect configuration: ${format}. Couldn't find valid command at position ${position}`;

describe('bad formats are refused in the words of Envoy', () => {
  for (const [format, position] of [
    ['%REQ(FIRST?SECOND%', 0],
    ['%HOSTNAME%PROTOCOL%', 18],
    ['%protocol%', 0],
    ['%REQ(TEST):3q4%', 0],
    ['%REQ(TEST):%', 0],
    ['%REQ(\n)%', 0],
    ['%REQ(?', 0],
    ['%RESP(X?Y):%', 0],
    ['%RESP(X?Y):343o24%', 0],
    ['%REQ(TEST:10%', 0],
    ['ok %', 3],
    ['é% %DURATION%', 2],
    ['%%%', 2],
  ] as const) {
    test(JSON.stringify(format), () => expect(problem(format)).toBe(noCommand(format, position)));
  }

  for (const [format, message] of [
    ['%REQ(?\r)%', 'Invalid header configuration. Format string contains invalid characters.'],
    ['%REQ(X?Y?Z)%', 'More than 1 alternative header specified in token: X?Y?Z'],
    ['%REQ%', 'REQ requires parameters'],
    ['%TRAILER()%', 'TRAILER requires parameters'],
    ['%PROTOCOL(x)%', 'PROTOCOL does not take any parameters or length'],
    ['%DURATION:5%', 'DURATION does not take any parameters or length'],
    ['%START_TIME(%s):5%', 'START_TIME does not allow length to be specified.'],
    ['%FILTER_STATE()%', 'Invalid filter state configuration, key cannot be empty.'],
    [
      '%FILTER_STATE(a:OTHER)%',
      'Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.',
    ],
    [
      '%FILTER_STATE(a:PLAIN:b)%',
      'Invalid filter state serialize type, FIELD should be used with the field name.',
    ],
    [
      '%FILTER_STATE(a:FIELD)%',
      'Invalid filter state serialize type, FIELD should be used with the field name.',
    ],
    ['%START_TIME(%En)%', 'Invalid header configuration. Format string contains newline.'],
    ['%COMMON_DURATION(a:b:c:d)%', 'Invalid common duration configuration: a:b:c:d.'],
    ['%COMMON_DURATION(a)%', 'Invalid common duration configuration: a.'],
    ['%COMMON_DURATION(a:b:MS)%', 'Invalid common duration precision: MS.'],
    [
      '%GRPC_STATUS(OTHER)%',
      'GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER.',
    ],
    ['%NOTHING_SUCH%', 'Not supported field in StreamInfo: NOTHING_SUCH'],
    ['%XFCC_VALUE%', 'XFCC_VALUE command requires a subcommand'],
    ['%XFCC_VALUE(Other)%', 'XFCC_VALUE command does not support subcommand: other'],
    ['%PATH(XX)%', "Invalid PATH option: 'XX', only 'WQ'/'NQ' are allowed"],
    [
      '%COALESCE({"operators":[]})%',
      'COALESCE: "operators" must be a list with at least one operator',
    ],
    ['%COALESCE({"operators":["NOPE"]})%', 'Not supported field in StreamInfo: NOPE'],
  ] as const) {
    test(format, () => expect(problem(format)).toBe(message));
  }

  for (const format of [
    '%START_TIME(%O4n%)%',
    '%GRPC_STATUS()%',
    '%PATH(:)%',
    '%REQ(?x):3%',
    '',
    '100%%',
  ]) {
    test(`${format || 'the empty format'} is right`, () => expect(problem(format)).toBeUndefined());
  }

  test('an operator that is nearly one is named', () => {
    const error = (() => {
      try {
        return parseFormat('x %RESPONSE_CODES%');
      } catch (thrown) {
        return thrown;
      }
    })() as FormatError;
    expect([error.hint, error.position]).toEqual(['; did you mean "RESPONSE_CODE"?', 2]);
  });

  test('parameters and lengths are allowed or demanded by operator', () => {
    const bare = { name: 'X', params: '-', length: false } as const;
    const needs = { name: 'X', params: 'x!', length: true } as const;
    const may = { name: 'X', params: 'x', length: false } as const;
    expect(syntaxProblem(bare, 'a', undefined)).toBe('X does not take any parameters or length');
    expect(syntaxProblem(bare, '', 3)).toBe('X does not take any parameters or length');
    expect(syntaxProblem(bare, '', undefined)).toBeUndefined();
    expect(syntaxProblem(needs, '', 3)).toBe('X requires parameters');
    expect(syntaxProblem(needs, 'a', 3)).toBeUndefined();
    expect(syntaxProblem(may, 'a', undefined)).toBeUndefined();
    expect(syntaxProblem(may, 'a', 3)).toBe('X does not allow length to be specified.');
  });
});

describe('formats of Kuma are refused in the words of Kuma', () => {
  for (const [format, reason] of [
    [
      'text with % character',
      'expected a command operator to start at position 11, instead got: "% character"',
    ],
    ['é %req%', 'expected a command operator to start at position 4, instead got: "%req%"'],
    [
      '%DURATION(x)%',
      `command "%DURATION%" doesn't support arguments or max length constraint, instead got "%DURATION(x)%"`,
    ],
    [
      '%REQ%',
      'command "%REQ(X?Y):Z%" requires a header and optional alternative header names as its arguments, instead got "%REQ%"',
    ],
    ['%RESP(A?B?C)%', 'more than 1 alternative header specified in "%RESP(A?B?C)%"'],
    ['%TRAILER(a\r)%', 'header name contains a newline in "%TRAILER(a\\r)%"'],
    [
      '%DYNAMIC_METADATA%',
      'command "%DYNAMIC_METADATA(NAMESPACE:KEY*):Z%" requires a filter namespace and optional path as its arguments, instead got "%DYNAMIC_METADATA%"',
    ],
    [
      '%FILTER_STATE%',
      'command "%FILTER_STATE(KEY):Z%" requires a key as its argument, instead got "%FILTER_STATE%"',
    ],
    [
      '%REQ(a):99999999999999999999%',
      'length must be an integer, instead got "99999999999999999999"',
    ],
    ['%START_TIME(%n)%', 'start time format string contains a newline in "%START_TIME(%n)%"'],
  ] as const) {
    test(format, () =>
      expect(problem(format, 'kuma')).toBe(`format string is not valid: ${reason}`),
    );
  }
});

describe('format strings are taken apart', () => {
  const commands = (format: string): string[] =>
    parseFormat(format).flatMap((part) => (typeof part === 'string' ? [] : [part.source]));

  test('a doubled percent sign is one, but not where a command ends', () => {
    expect(parseFormat('%%a%%').join('')).toBe('%a%');
    expect(commands('%HOSTNAME%%PROTOCOL%')).toEqual(['HOSTNAME', 'PROTOCOL']);
  });

  test('a parenthesis ends the parameters only before the percent sign', () => {
    expect(commands("%CEL(request.url_path.contains('%)'))% %START_TIME(%s%3f)%")).toEqual([
      "CEL(request.url_path.contains('%)'))",
      'START_TIME(%s%3f)',
    ]);
  });

  test('headers are lower case, and the length is kept', () => {
    const [command] = parseFormat('%REQ(X-Test?:AUTHORITY):7%');
    expect(command).toMatchObject({
      length: 7,
      args: { header: { name: 'x-test', other: ':authority' } },
    });
  });

  test('any text is a format or a FormatError, and a format is printed as it was written', () => {
    const piece = fc.constantFrom(
      '%',
      '%%',
      'REQ',
      '(',
      ')',
      'X',
      '?',
      ':',
      '5',
      ' ',
      'é',
      'DURATION',
      '%START_TIME%',
      '\n',
      '%REQ(:path)%',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        if (problem(text) === undefined) {
          expect(sourceOf(parseFormat(text))).toBe(text);
        }
      }),
    );
  });
});
