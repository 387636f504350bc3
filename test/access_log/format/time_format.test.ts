import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileTimeFormat } from '../../../src/access_log/format/time_format.ts';
import { readTime, timeReader } from '../../../src/access_log/format/time_reading.ts';
import { TimePrinter } from '../../../src/access_log/format/time_text.ts';

const print = (format: string, seconds: number, nanos = 0): string =>
  new TimePrinter(compileTimeFormat(format, false)).print(seconds, nanos);

describe('START_TIME', () => {
  for (const [format, seconds, nanos, text] of [
    ['', 1522796769, 123_000_000, '2018-04-03T23:06:09.123Z'],
    ['', 0, 0, '1970-01-01T00:00:00.000Z'],
    ['%Y-%m-%dT%H:%M:%S.000Z', 1522796769, 0, '2018-04-03T23:06:09.000Z'],
    ['%Y-%m-%dT%H:%M:%E3SZ', 0, 321_000_000, '1970-01-01T00:00:00.321Z'],
    ['%S.000Z%3f', 1522796769, 142_999_999, '09.000Z142'],
    ['%s', 1522280158, 0, '1522280158'],
    ['%s.%6f', 1522796769, 123_456_000, '1522796769.123456'],
    ['bad_format', 1, 0, 'bad_format'],
    ['%b %e %H:%M:%S %Y %Z', 1522280158, 0, 'Mar 28 23:35:58 2018 UTC'],
    [
      '%%%%|%%%%%f|%s%%%%%3f|%1f%%%%%s',
      1522796769,
      123_456_000,
      '%%|%%123456000|1522796769%%123|1%%1522796769',
    ],
    [
      'segment1:%s.%3f|%s-%3f-asdf-%9f|.%7f:%Y',
      1522796769,
      123_456_000,
      'segment1:1522796769.123|1522796769-123-asdf-123456000|.1234560:2018',
    ],
    // What strftime of the C library prints for this moment.
    [
      '%c|%G-%V|%j|%U|%W|%u|%w|%p|%I|%l|%k|%C|%y|%g',
      1522796769,
      0,
      'Tue Apr  3 23:06:09 2018|2018-14|093|13|14|2|2|PM|11|11|23|20|18|18',
    ],
    [
      '%D|%F|%R|%T|%r|%x|%X|%h|%A|%B|%a',
      1522796769,
      0,
      '04/03/18|2018-04-03|23:06|23:06:09|11:06:09 PM|04/03/18|23:06:09|Apr|Tuesday|April|Tue',
    ],
    ['%-d|%_m|%^a|%0e', 1522796769, 0, '3| 4|TUE|03'],
    [
      '%E*S|%E*f|%*f|%E4Y|%ET|%Ez|%E*z|%z',
      1522796769,
      120_000_000,
      '09.12|12|12|2018|T|+00:00|+00:00:00|+0000',
    ],
    ['%E0S|%O4n%', 9, 0, '09|%O4n%'],
    ['%G-%V %j', 1609459199, 0, '2020-53 366'],
  ] as const) {
    test(`${format || 'the default'} at ${seconds}`, () => {
      expect(print(format, seconds, nanos)).toBe(text);
    });
  }

  test('the local form follows the time zone of the process', () => {
    const before = process.env['TZ'];
    process.env['TZ'] = 'Asia/Kolkata';
    const text = new TimePrinter(compileTimeFormat('', true)).print(1522796769, 0);
    if (before === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before;
    expect(text).toBe('2018-04-04T04:36:09.000+0530');
  });

  for (const format of ['%85n', '%#__88n', '%En%', '%4En%', '%On%', '%4On%', '%n']) {
    test(`${format} is refused: it prints a newline`, () => {
      expect(() => compileTimeFormat(format, false)).toThrow('Format string contains newline.');
    });
  }
});

describe('times read back', () => {
  const formats = [
    '',
    '%s',
    '%s%3f',
    '%s.%9f',
    '%Y/%m/%d %H:%M:%S',
    '%d/%b/%Y:%H:%M:%S %z',
    '%FT%T.%6fZ',
    '%b %e %H:%M:%E6S %Y %Z',
    'at %E4Y%m%d%H%M%S!',
    '%a, %d %b %Y %T',
  ];
  test('every time that a complete format printed is had back, to the digits that it prints', () => {
    const time = fc.record({
      seconds: fc.integer({ min: 0, max: 4102444799 }),
      nanos: fc.nat(999_999_999),
    });
    fc.assert(
      fc.property(fc.constantFrom(...formats), time, (source, { seconds, nanos }) => {
        const format = compileTimeFormat(source, false);
        const bytes = Buffer.from(new TimePrinter(format).print(seconds, nanos));
        expect(timeReader(format)?.(bytes, 0, bytes.length)).toBe(true);
        expect(readTime.seconds).toBe(seconds);
        const again = new TimePrinter(format).print(readTime.seconds, readTime.nanos);
        expect(again).toBe(bytes.toString());
      }),
    );
  });

  for (const format of ['%b %d %H:%M', '%H:%M:%S', '%Y', '%B %d %Y %T %A', 'nothing', '%s %s']) {
    test(`${format} cannot be read back`, () => {
      expect(timeReader(compileTimeFormat(format, false))).toBeUndefined();
    });
  }

  test('any bytes are a time or none, never an error', () => {
    const reader = timeReader(compileTimeFormat('%d/%b/%Y:%H:%M:%S %z', false))!;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(typeof reader(bytes, 0, bytes.length)).toBe('boolean');
      }),
    );
  });
});
