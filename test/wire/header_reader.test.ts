import { describe, expect, test } from 'vitest';
import { headerBlock } from '../../src/wire/http2/frames.ts';
import { type Head, HeaderReader } from '../../src/wire/http2/header_reader.ts';

const reader = (limits = {}): HeaderReader =>
  new HeaderReader({ listBytesMax: 16_384, pairsMax: 64, ...limits });
const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

/** What a reader makes of blocks, one after the other. */
function heads(...blocks: string[]): (Head | undefined)[] {
  const reads = reader();
  return blocks.map((block) => reads.read(bytes(block)));
}

const get = { ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'www.example.com' };

/** The examples of RFC 7541, appendix C. */
for (const [what, blocks] of [
  [
    'plain texts (C.3)',
    [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
  ],
  [
    'Huffman (C.4)',
    [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
  ],
] as const) {
  test(`header_reader reads the examples of HPACK with ${what}`, () => {
    const read = heads(...blocks);
    expect(read.map((head) => head?.problem)).toEqual([undefined, undefined, undefined]);
    expect(read.map((head) => ({ ...head?.headers }))).toEqual([
      get,
      { ...get, 'cache-control': 'no-cache' },
      { ...get, ':scheme': 'https', ':path': '/index.html', 'custom-key': 'custom-value' },
    ]);
  });
}

test('header_reader says the same again for the same block only while its table is the same', () => {
  const reads = reader();
  const once = '828684 be';
  reads.read(bytes('8286 8441 0161'));
  const first = reads.read(bytes(once));
  expect(reads.read(bytes(once))).toBe(first);
  expect(first?.headers[':authority']).toBe('a');
  reads.read(bytes('8286 8441 0162'));
  expect(reads.read(bytes(once))?.headers[':authority']).toBe('b');
});

test('header_reader forgets what does not fit into the table', () => {
  const reads = reader();
  const long = Buffer.alloc(3000, 'x').toString('hex');
  const value = (text: string): string => `7fb916${text}`;
  reads.read(bytes(`8286 8441 0161 4001 61${value(long)}`));
  expect(reads.read(bytes('828684 bfbe'))?.headers).toMatchObject({ ':authority': 'a' });
  // 3,000 bytes more: both are gone.
  reads.read(bytes(`828684 4001 62${value(long)}`));
  expect(Object.keys(reads.read(bytes('828684 be'))?.headers ?? {})).toContain('b');
  expect(reads.read(bytes('828684 bf'))).toBe(undefined);
});

describe('header_reader gives up a connection for', () => {
  for (const [what, ...blocks] of [
    ['an index of nothing', '80'],
    ['an index beyond the table', '828684 be'],
    ['a text that is cut off', '828684 4001 6105 61'],
    ['a number without an end', '828684 7fffffffffffff'],
    ['padding that is none', '828684 4001 6181 18'],
    ['a text that ends before its end', '828684 4001 6184 ffffffff'],
    ['a larger table than allowed', '3fe21f 828684'],
    ['a new size of the table after a header', '82 20 8684'],
  ] as const) {
    test(what, () => expect(heads(...blocks).at(-1)).toBe(undefined));
  }
});

describe('header_reader finds fault with', () => {
  const good = { ':method': 'POST', ':scheme': 'http', ':path': '/a' };
  for (const [what, headers] of [
    ['capital letters', { ...good, Name: 'x' }],
    ['a name of no letters', { ...good, '': 'x' }],
    ['a space in a name', { ...good, 'a b': 'x' }],
    ['a line break in a value', { ...good, a: 'x\r\ny' }],
    ['what HTTP/1.1 says of connections', { ...good, connection: 'close' }],
    ['another te than trailers', { ...good, te: 'gzip' }],
    ['a pseudo-header of answers', { ...good, ':status': '200' }],
    [
      'a pseudo-header behind others',
      { ':method': 'POST', a: 'x', ':scheme': 'http', ':path': '/' },
    ],
    ['a missing path', { ':method': 'POST', ':scheme': 'http' }],
  ] as const) {
    test(what, () => expect(reader().read(headerBlock(headers))?.problem).toBe('malformed'));
  }

  test('a pseudo-header that is said twice', () => {
    const block = Buffer.concat([headerBlock(good), headerBlock({ ':path': '/b' })]);
    expect(reader().read(block)?.problem).toBe('malformed');
  });

  test('more than it wants to hear, and goes on with the next', () => {
    const reads = reader({ listBytesMax: 200 });
    // The last pair is remembered all the same.
    const remembered = Buffer.concat([Buffer.from([0x40, 1, 0x62, 1]), Buffer.from('c')]);
    const long = headerBlock({ ...good, a: 'x'.repeat(200) });
    expect(reads.read(Buffer.concat([long, remembered]))?.problem).toBe('too_long');
    const next = Buffer.concat([headerBlock(good), bytes('be')]);
    expect({ ...reads.read(next)?.headers }).toEqual({ ...good, b: 'c' });
    expect(reader({ pairsMax: 3 }).read(headerBlock({ ...good, a: '1' }))?.problem).toBe(
      'too_long',
    );
  });
});

test('header_reader puts values of a name together, but hears a credential once', () => {
  const pairs = [
    { ':method': 'POST', ':scheme': 'http', ':path': '/', a: '1', authorization: 'x' },
    { a: '2', authorization: 'y', __proto__x: '3' },
  ];
  const head = reader().read(Buffer.concat(pairs.map(headerBlock)));
  expect(head?.headers).toMatchObject({ a: '1, 2', authorization: 'x', __proto__x: '3' });
});
