// Takes out what must not leave: credentials, cookies, secrets in queries, parts of addresses, whatever patterns find.

import { z } from 'zod';
import { Matcher } from '../../access_log/filter/regex/matcher.ts';
import { RegexError } from '../../access_log/filter/regex/syntax.ts';
import { Names } from '../../mesh/names.ts';
import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, Dictionary } from '../../pipeline/column.ts';
import { type Context, type Processor, processor } from '../../pipeline/component.ts';
import { truncateAddresses } from './addresses.ts';
import { hideLines } from './own_body.ts';
import { Patterns } from './patterns.ts';
import { redactQuery } from './query.ts';
import { Rewriter } from './rewriter.ts';

const secretHeaders = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'x-auth-token',
  'x-amz-security-token',
  'x-csrf-token',
];

const secretParameters = [
  'access_token',
  'api_key',
  'apikey',
  'auth',
  'client_secret',
  'code',
  'id_token',
  'jwt',
  'key',
  'password',
  'passwd',
  'pwd',
  'refresh_token',
  'secret',
  'session',
  'sig',
  'signature',
  'token',
  'x-amz-credential',
  'x-amz-security-token',
  'x-amz-signature',
];

const addressFields = [
  'source.address',
  'source.direct_address',
  'request.headers.x-forwarded-for',
  'request.headers.x-real-ip',
  'request.headers.x-envoy-external-address',
];

const queryFields = ['request.path', 'request.referer', 'request.headers.x-envoy-original-path'];

/** Expressions that can be named; RE2's syntax. */
const presets: Readonly<Record<string, string>> = {
  email: '[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)*\\.[A-Za-z]{2,24}',
  jwt: '\\bey[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]*',
  bearer: '(?i)\\b(?:bearer|basic) [A-Za-z0-9._~+/=-]{8,}',
  payment_card: '\\b[3-6]\\d{3}[ -]?\\d{4}[ -]?\\d{4}[ -]?\\d{3,4}\\b',
};

const pattern = z
  .union([
    z.enum(Object.keys(presets) as [string, ...string[]]),
    z.strictObject({ regex: z.string() }),
  ])
  .superRefine((value, context) => {
    if (typeof value === 'string') return;
    try {
      new Matcher(value.regex, 'prefix');
    } catch (error) {
      if (!(error instanceof RegexError)) throw error;
      const params = { offset: error.offset };
      context.addIssue({
        code: 'custom',
        path: ['regex'],
        message: `bad regular expression: ${error.message}`,
        params,
      });
    }
  });

const config = z.strictObject({
  headers: z
    .array(z.string().toLowerCase())
    .default(secretHeaders)
    .describe('Headers of requests and responses, and trailers, whose values are replaced.'),
  query: z
    .union([z.enum(['all', 'none']), z.array(z.string().toLowerCase())])
    .default(secretParameters)
    .describe('Parameters whose values are replaced in paths and referers: names, all, or none.'),
  addresses: z
    .enum(['keep', 'truncate'])
    .default('keep')
    .describe('truncate: only the network part of client addresses stays, the rest becomes 0.'),
  address_fields: z
    .array(z.string())
    .default(addressFields)
    .describe('The fields that are truncated.'),
  ipv4_prefix: z
    .number()
    .int()
    .min(0)
    .max(32)
    .default(24)
    .describe('Bits of an IPv4 address that stay.'),
  ipv6_prefix: z
    .number()
    .int()
    .min(0)
    .max(128)
    .default(48)
    .describe('Bits of an IPv6 address that stay.'),
  patterns: z
    .array(pattern)
    .default([])
    .describe(
      `What is replaced wherever it stands, in fields and bodies: ${Object.keys(presets).join(', ')}, or { regex: ... }.`,
    ),
  replacement: z.string().default('****').describe('What stands in place of what was taken out.'),
});

type Settings = z.output<typeof config>;

export const redact = processor({
  name: 'redact',
  summary: 'Takes credentials, cookies, secrets in queries and other personal data out of records.',
  config,
  example: `redact:
  addresses: truncate
  patterns: [email, jwt]`,
  notes: `Behind it no exporter sends the original line: format "original" writes the redacted record as JSON. A disk queue
may keep the bytes that were read until they are delivered. Counts meshlog_redacted_values_total.`,
  create,
});

function create(settings: Settings, context: Context): Processor {
  const redactor = new Redactor(settings);
  const redacted = context.metrics.counter(
    'meshlog_redacted_values_total',
    'Values of which something was taken out.',
    { processor: context.id },
  );
  return {
    process: (batch) => {
      redacted.add(redactor.process(batch));
      return batch;
    },
  };
}

class Redactor {
  readonly #settings: Settings;
  readonly #secret = new Dictionary();
  readonly #secretCode: number;
  readonly #names = new Names();
  readonly #queries: Rewriter | undefined;
  readonly #addresses: Rewriter | undefined;
  readonly #patterns: Patterns | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
    const { query, replacement } = settings;
    this.#secretCode = this.#secret.code(replacement);
    const parameters = typeof query === 'string' ? query : new Set(query);
    if (parameters !== 'none') {
      const rewrite = (text: string) => redactQuery(text, parameters, replacement);
      this.#queries = new Rewriter(this.#names, rewrite, 63);
    }
    if (settings.addresses === 'truncate') {
      const bits = { ipv4: settings.ipv4_prefix, ipv6: settings.ipv6_prefix };
      this.#addresses = new Rewriter(this.#names, (text) => truncateAddresses(text, bits));
    }
    const sources = settings.patterns.map((one) =>
      typeof one === 'string' ? presets[one]! : one.regex,
    );
    if (sources.length > 0) this.#patterns = new Patterns(sources, replacement);
  }

  /** The number of values that were changed. */
  process(batch: Batch): number {
    if (this.#names.renew()) {
      this.#queries?.clear();
      this.#addresses?.clear();
    }
    hideLines(batch);
    let changed = this.#headers(batch);
    for (const name of queryFields) changed += this.#queries?.apply(batch, name) ?? 0;
    changed += this.#queries?.applyToBody(batch) ?? 0;
    for (const name of this.#settings.address_fields) {
      changed += this.#addresses?.apply(batch, name) ?? 0;
    }
    return changed + (this.#patterns?.apply(batch) ?? 0);
  }

  #headers(batch: Batch): number {
    let changed = 0;
    for (const header of this.#settings.headers) {
      for (const prefix of ['request.headers.', 'response.headers.', 'response.trailers.']) {
        const name = prefix + header;
        const found = batch.column(name);
        if (found === undefined) continue;
        const column = batch.ownColumn(name);
        for (let i = 0; i < batch.count; i++) {
          const row = batch.selection[i]!;
          if (column.kind[row] === ABSENT) continue;
          column.setCode(row, this.#secretCode);
          changed++;
        }
        column.dictionary = this.#secret;
      }
    }
    return changed;
  }
}
