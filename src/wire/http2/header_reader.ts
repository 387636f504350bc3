// Headers of requests and of answers: HPACK (RFC 7541) and what HTTP/2 asks of them (RFC 9113, section 8).

import { huffmanDecoded } from './huffman.ts';

export type Headers = Readonly<Record<string, string>>;

/** `too_long` and `malformed` are the stream's fault, not the connection's: its table is as it should be. */
export type Head = {
  readonly headers: Headers;
  readonly problem: undefined | 'too_long' | 'malformed';
};

export type HeaderLimits = {
  /** Bytes of names and values, and 32 for each pair. */
  readonly listBytesMax: number;
  readonly pairsMax: number;
};

/** What peers may have remembered; the default, which we do not change. */
const tableBytesMax = 4096;
const pairBytes = 32;
/** Longer blocks are not kept for comparison. */
const knownBytesMax = 1024;

const staticNames = [
  ...[':authority', ':method', ':method', ':path', ':path', ':scheme', ':scheme'],
  ...Array.from({ length: 7 }, () => ':status'),
  ...['accept-charset', 'accept-encoding', 'accept-language', 'accept-ranges', 'accept'],
  ...['access-control-allow-origin', 'age', 'allow', 'authorization', 'cache-control'],
  ...['content-disposition', 'content-encoding', 'content-language', 'content-length'],
  ...['content-location', 'content-range', 'content-type', 'cookie', 'date', 'etag', 'expect'],
  ...['expires', 'from', 'host', 'if-match', 'if-modified-since', 'if-none-match', 'if-range'],
  ...['if-unmodified-since', 'last-modified', 'link', 'location', 'max-forwards'],
  ...['proxy-authenticate', 'proxy-authorization', 'range', 'referer', 'refresh', 'retry-after'],
  ...['server', 'set-cookie', 'strict-transport-security', 'transfer-encoding', 'user-agent'],
  ...['vary', 'via', 'www-authenticate'],
];
const staticValues = [
  ...['', 'GET', 'POST', '/', '/index.html', 'http', 'https'],
  ...['200', '204', '206', '304', '400', '404', '500', '', 'gzip, deflate'],
];

/** The names before all others, and those among them that have to be there. */
export type HeadRules = {
  readonly pseudoNames: readonly string[];
  readonly neededNames: readonly string[];
};
const requestRules: HeadRules = {
  pseudoNames: [':method', ':scheme', ':authority', ':path'],
  neededNames: [':method', ':scheme', ':path'],
};
/** Of an answer, and of what follows its bytes: that one has no status. */
export const answerRules: HeadRules = { pseudoNames: [':status'], neededNames: [] };
/** Of HTTP/1.1; here they are errors. */
const connectionNames = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);
/** A second value of these is not heard. */
const singleNames = new Set(['authorization', 'content-type', 'te', 'user-agent']);

class CompressionError extends Error {}

type Known = { readonly block: Buffer; readonly edition: number; readonly head: Head };

/** Reads the header blocks of one connection, in their order. */
export class HeaderReader {
  readonly #limits: HeaderLimits;
  readonly #rules: HeadRules;
  /** The table that the peer fills; the newest at the end. */
  readonly #names: string[] = [];
  readonly #values: string[] = [];
  #tableBytes = 0;
  #tableBytesMax = tableBytesMax;
  /** Changes with the table. */
  #edition = 0;
  /** The last blocks that changed nothing, one from either end of an answer: they say the same while the table does. */
  #known: Known | undefined;
  #knownBefore: Known | undefined;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(limits: HeaderLimits, rules = requestRules) {
    this.#limits = limits;
    this.#rules = rules;
  }

  /** Undefined: the block cannot be understood, nor can any after it. */
  read(block: Buffer): Head | undefined {
    const known = this.#knownAs(block);
    if (known !== undefined) return known.head;
    const edition = this.#edition;
    this.#block = block;
    this.#at = 0;
    try {
      const head = this.#decode();
      if (edition === this.#edition && block.length <= knownBytesMax) {
        this.#knownBefore = this.#known;
        this.#known = { block: Buffer.from(block), edition, head };
      }
      return head;
    } catch (error) {
      if (error instanceof CompressionError) return undefined;
      throw error;
    }
  }

  #knownAs(block: Buffer): Known | undefined {
    for (const known of [this.#known, this.#knownBefore]) {
      if (known?.edition === this.#edition && known.block.equals(block)) return known;
    }
    return undefined;
  }

  #decode(): Head {
    const { listBytesMax, pairsMax } = this.#limits;
    const pairs: string[] = [];
    let listBytes = 0;
    let mayResize = true;
    while (this.#at < this.#block.length) {
      const first = this.#block[this.#at]!;
      if (first >= 0x20 && first < 0x40) {
        if (!mayResize) throw new CompressionError();
        this.#resize(this.#number(5));
        continue;
      }
      mayResize = false;
      let name: string;
      let value: string;
      if (first >= 0x80) {
        const index = this.#number(7);
        name = this.#nameAt(index);
        value =
          index <= staticNames.length ? (staticValues[index - 1] ?? '') : this.#valueAt(index);
      } else {
        const index = this.#number(first >= 0x40 ? 6 : 4);
        name = index === 0 ? this.#text() : this.#nameAt(index);
        value = this.#text();
        if (first >= 0x40) this.#remember(name, value);
      }
      listBytes += name.length + value.length + pairBytes;
      // The rest is still read: it may belong to the table.
      if (listBytes <= listBytesMax && pairs.length < pairsMax * 2) pairs.push(name, value);
      else listBytes = Number.POSITIVE_INFINITY;
    }
    if (listBytes === Number.POSITIVE_INFINITY) return { headers: {}, problem: 'too_long' };
    return headOf(pairs, this.#rules);
  }

  /** An integer whose first byte has so many bits of it. */
  #number(bits: number): number {
    const mask = 2 ** bits - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      if (shift > 21) throw new CompressionError();
      const byte = this.#byte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  #byte(): number {
    const byte = this.#block[this.#at++];
    if (byte === undefined) throw new CompressionError();
    return byte;
  }

  #text(): string {
    const isHuffman = (this.#block[this.#at] ?? 0) >= 0x80;
    const length = this.#number(7);
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#block.length) throw new CompressionError();
    if (!isHuffman) return this.#block.latin1Slice(start, this.#at);
    const text = huffmanDecoded(this.#block, start, this.#at);
    if (text === undefined) throw new CompressionError();
    return text;
  }

  #nameAt(index: number): string {
    const name =
      index <= staticNames.length ? staticNames[index - 1] : this.#own(this.#names, index);
    if (name === undefined) throw new CompressionError();
    return name;
  }

  #valueAt(index: number): string {
    return this.#own(this.#values, index) ?? '';
  }

  #own(of: readonly string[], index: number): string | undefined {
    return of[of.length - (index - staticNames.length)];
  }

  #remember(name: string, value: string): void {
    this.#edition++;
    this.#names.push(name);
    this.#values.push(value);
    this.#tableBytes += name.length + value.length + pairBytes;
    this.#evict();
  }

  #resize(bytes: number): void {
    if (bytes > tableBytesMax) throw new CompressionError();
    this.#edition++;
    this.#tableBytesMax = bytes;
    this.#evict();
  }

  #evict(): void {
    while (this.#tableBytes > this.#tableBytesMax) {
      const name = this.#names.shift() as string;
      const value = this.#values.shift() as string;
      this.#tableBytes -= name.length + value.length + pairBytes;
    }
  }
}

function headOf(pairs: readonly string[], { pseudoNames, neededNames }: HeadRules): Head {
  const headers: Record<string, string> = Object.create(null);
  const head = (problem?: 'malformed'): Head => ({ headers, problem });
  let isRegular = false;
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i]!;
    const value = pairs[i + 1]!;
    const before = headers[name];
    if (name.startsWith(':')) {
      if (isRegular || before !== undefined || !pseudoNames.includes(name))
        return head('malformed');
    } else {
      isRegular = true;
      if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) return head('malformed');
      if (connectionNames.has(name) || (name === 'te' && value !== 'trailers')) {
        return head('malformed');
      }
    }
    if (/[\0\r\n]/.test(value)) return head('malformed');
    if (name === 'content-length' && !/^\d+$/.test(value)) return head('malformed');
    if (before === undefined) headers[name] = value;
    else if (!singleNames.has(name)) headers[name] = `${before}, ${value}`;
  }
  return head(neededNames.every((name) => headers[name]) ? undefined : 'malformed');
}
