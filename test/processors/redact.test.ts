import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Batch } from '../../src/pipeline/batch.ts';
import { truncateAddresses } from '../../src/processors/redact/addresses.ts';
import { redact } from '../../src/processors/redact/redact.ts';
import { batchOf, type PlainRecord } from '../access_log/filter/records.ts';
import { testContext } from '../support/collect.ts';

const create = (settings: object = {}, context = testContext({ id: 'redact' })) =>
  redact.create(redact.config.parse(settings), context);

function fieldsOf(record: PlainRecord, settings: object = {}): Record<string, unknown> {
  const batch = batchOf([record]);
  const fork = create(settings).process(batch.fork());
  expect(batch.record(0).attributes).toEqual(record);
  return fork.record(0).attributes;
}

describe('redact', () => {
  test('replaces credentials and cookies by default', () => {
    const record = {
      'request.headers.authorization': 'Bearer abc',
      'request.headers.cookie': 'a=b',
      'response.headers.set-cookie': 'c=d',
      'request.headers.x-foo': 'kept',
    };
    expect(fieldsOf(record)).toEqual({
      'request.headers.authorization': '****',
      'request.headers.cookie': '****',
      'response.headers.set-cookie': '****',
      'request.headers.x-foo': 'kept',
    });
  });

  test('replaces other headers when told, in any case', () => {
    const record = { 'request.headers.x-foo': 'a', 'request.headers.cookie': 'b' };
    expect(fieldsOf(record, { headers: ['X-Foo'], replacement: 'gone' })).toEqual({
      'request.headers.x-foo': 'gone',
      'request.headers.cookie': 'b',
    });
  });

  for (const [path, expected, settings] of [
    ['/a?token=s3cret&b=1', '/a?token=****&b=1', {}],
    ['/a?b=1&TOKEN=x#f', '/a?b=1&TOKEN=****#f', {}],
    ['/a?api%5Fkey=x', '/a?api%5Fkey=****', {}],
    ['/a?tokens=x&token=', '/a?tokens=x&token=', {}],
    ['/token=x', '/token=x', {}],
    ['/a?b=1;token=x', '/a?b=1;token=****', {}],
    ['/a?b=1&c=2', '/a?b=****&c=****', { query: 'all' }],
    ['/a?token=x', '/a?token=x', { query: 'none' }],
    ['/a?b=1&token=x', '/a?b=****&token=x', { query: ['B'] }],
  ] as const) {
    test(`path ${path} with ${JSON.stringify(settings)}`, () => {
      expect(fieldsOf({ 'request.path': path }, settings)['request.path']).toBe(expected);
    });
  }

  test('finds patterns in texts, nested values and escapes', () => {
    const record = {
      'request.headers.x-user': 'ann@example.com and bob@example.org',
      'metadata.jwt': { claims: { email: 'ann@example.com', n: 1 }, list: ['x', 'a@b.io'] },
      'request.path': '/plain',
      'response.code': 200,
    };
    expect(fieldsOf(record, { patterns: ['email'] })).toEqual({
      'request.headers.x-user': '**** and ****',
      'metadata.jwt': { claims: { email: '****', n: 1 }, list: ['x', '****'] },
      'request.path': '/plain',
      'response.code': 200,
    });
  });

  for (const [name, text, expected] of [
    ['jwt', 'token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_-X end', 'token **** end'],
    ['bearer', 'Authorization: bearer abcdefgh12', 'Authorization: ****'],
    ['payment_card', 'card 4111 1111 1111 1111!', 'card ****!'],
    [{ regex: 'id-\\d+' }, 'id-12, id-3, id-', '****, ****, id-'],
  ] as const) {
    test(`pattern ${JSON.stringify(name)}`, () => {
      expect(fieldsOf({ x: text }, { patterns: [name] })['x']).toBe(expected);
    });
  }

  test('redacts lines that were not parsed, and hides them behind the body', () => {
    const batch = Batch.ofLines(['GET /a?token=x for ann@example.com', 'nothing here']);
    const fork = create({ patterns: ['email'] }).process(batch.fork());
    expect([fork.record(0).body, fork.record(1).body]).toEqual([
      'GET /a?token=**** for ****',
      'nothing here',
    ]);
    expect(fork.source).toBe('none');
    expect(batch.record(0).body).toBe('GET /a?token=x for ann@example.com');
  });

  test('counts the values that it changed', () => {
    const context = testContext({ id: 'redact' });
    const batch = batchOf([
      { 'request.headers.cookie': 'a', 'request.path': '/?token=a' },
      { 'request.path': '/' },
    ]);
    create({}, context).process(batch);
    expect(context.metrics.read('meshlog_redacted_values_total', { processor: 'redact' })).toBe(2);
  });

  test('takes out the rest of a text that costs too much to search', () => {
    const text = `${'a'.repeat(20_000)}b`;
    const settings = { patterns: [{ regex: 'a[^c]*c|b' }] };
    expect(fieldsOf({ x: text }, settings)['x']).toMatch(/^a*\*{4}$/);
  });

  test('refuses a pattern that cannot be read', () => {
    const issue = redact.config.safeParse({ patterns: [{ regex: 'a(' }] }).error?.issues[0];
    expect(JSON.stringify(issue)).toContain('bad regular expression: missing )');
  });
});

describe('redact truncates addresses', () => {
  const bits = { ipv4: 24, ipv6: 48 };
  for (const [text, expected] of [
    ['10.1.2.3:4711', '10.1.2.0:4711'],
    ['10.1.2.3', '10.1.2.0'],
    ['[2001:db8:1:2::3]:443', '[2001:db8:1::]:443'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1::'],
    ['fe80::1%eth0', 'fe80::'],
    ['::1', '::'],
    ['::ffff:10.1.2.3', '::ffff:10.1.2.0'],
    ['203.0.113.7, 10.0.0.9', '203.0.113.0, 10.0.0.0'],
    ['/run/socket', '/run/socket'],
    ['envoy://listener/x', 'envoy://listener/x'],
    ['unknown, 1.2.3.4', 'unknown, 1.2.3.0'],
    ['', ''],
  ] as const) {
    test(text, () => expect(truncateAddresses(text, bits)).toBe(expected));
  }

  test('with other prefixes', () => {
    expect(truncateAddresses('10.1.2.255', { ipv4: 30, ipv6: 0 })).toBe('10.1.2.252');
    expect(truncateAddresses('2001:db8::1', { ipv4: 0, ipv6: 0 })).toBe('::');
    expect(truncateAddresses('2001:db8::1', { ipv4: 0, ipv6: 128 })).toBe('2001:db8:0:0:0:0:0:1');
  });

  test('never throws, and a truncated address stays as it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), (text) => {
        const once = truncateAddresses(text, bits);
        expect(truncateAddresses(once, bits)).toBe(once);
      }),
    );
  });

  test('in the fields of clients', () => {
    const record = { 'source.address': '10.1.2.3:5', 'upstream.address': '10.1.2.3:5' };
    expect(fieldsOf(record, { addresses: 'truncate' })).toEqual({
      'source.address': '10.1.2.0:5',
      'upstream.address': '10.1.2.3:5',
    });
  });
});
