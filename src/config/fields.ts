// The kinds of value that a configuration field can have, each read and checked in one place. A field's doc text is its
// `.describe()`; a default of a kind that is written otherwise than it is kept goes in as written: `.prefault('5s')`.

import { z } from 'zod';

const durationUnits: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of a Go-like duration (`1.5s`, `1h30m`, `500ms`, `0`); undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const parts = text.match(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)/g);
  if (parts === null || parts.join('') !== text) return undefined;
  let sum = 0;
  for (const part of parts) {
    const unit = part.replace(/^[\d.]+/, '');
    sum += Number.parseFloat(part) * (durationUnits[unit] ?? Number.NaN);
  }
  return sum;
}

const byteUnits: Record<string, number> = {
  '': 1,
  b: 1,
  k: 1000,
  kb: 1000,
  kib: 1024,
  ki: 1024,
  m: 1e6,
  mb: 1e6,
  mib: 1024 ** 2,
  mi: 1024 ** 2,
  g: 1e9,
  gb: 1e9,
  gib: 1024 ** 3,
  gi: 1024 ** 3,
  t: 1e12,
  tb: 1e12,
  tib: 1024 ** 4,
  ti: 1024 ** 4,
};

/** Bytes of a size (`64MiB`, `100kB`, `512`); undefined when it is none. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = byteUnits[match?.[2]?.toLowerCase() ?? '?'];
  return match === null || unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}

/** Node's timers take longer times for no time at all. It is nearly 25 days. */
const timerMsMax = 2 ** 31 - 1;

/**
 * A length of time; the value is milliseconds. Written as a Go duration; a bare 0 is allowed. What somebody waits for ends
 * at what a timer can do, so that 9999h is as good as never. `isAge`: nobody waits for it.
 */
export function duration({ isAge = false } = {}) {
  return z
    .union([z.string(), z.number()])
    .transform((value, context) => {
      const ms = parseDuration(String(value));
      if (ms === undefined) {
        context.addIssue({
          code: 'custom',
          message: `expected a duration such as 500ms, 5s or 1h30m, got ${JSON.stringify(value)}`,
        });
        return z.NEVER;
      }
      return isAge ? ms : Math.min(ms, timerMsMax);
    })
    .meta({ kind: 'duration' });
}

/** A number of bytes, written `64MiB`, `100kB` or as a plain number. */
export function bytes() {
  return z
    .union([z.string(), z.number().int().nonnegative()])
    .transform((value, context) => {
      const size = parseBytes(String(value));
      if (size === undefined) {
        context.addIssue({
          code: 'custom',
          message: `expected a size such as 64MiB, 100kB or 512, got ${JSON.stringify(value)}`,
        });
        return z.NEVER;
      }
      return size;
    })
    .meta({ kind: 'bytes' });
}

export type Endpoint =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/**
 * `host:port`, `[v6]:port`, `:port` (all interfaces), or `unix:/path`. With `defaultPort`, a bare host or IPv6 address
 * is enough; http:// and https:// in front are let pass by `otlp`, not here. Undefined when it is none of these.
 */
export function parseEndpoint(text: string, defaultPort?: number): Endpoint | undefined {
  const unix = /^unix:(?:\/\/)?(\/.+)$/.exec(text);
  if (unix?.[1] !== undefined) return { kind: 'unix', path: unix[1] };
  const bracketed = /^\[([0-9a-f:.%a-z]+)\](?::(\d+))?$/i.exec(text);
  const plain = /^([^:\s/[\]]*)(?::(\d+))?$/.exec(text);
  const bare = /^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text);
  const host = bracketed?.[1] ?? plain?.[1] ?? (bare ? text : undefined);
  const portText = bracketed?.[2] ?? plain?.[2];
  const port = portText === undefined ? defaultPort : Number(portText);
  if (host === undefined || port === undefined || port > 65535) return undefined;
  return { kind: 'tcp', host: host === '' ? '0.0.0.0' : host, port };
}

/** An address to listen on or to connect to. */
export function endpoint(defaultPort?: number) {
  return z
    .string()
    .transform((value, context) => {
      const parsed = parseEndpoint(value, defaultPort);
      if (parsed === undefined) {
        context.addIssue({
          code: 'custom',
          message: `expected host:port, [v6]:port or unix:/path, got ${JSON.stringify(value)}`,
        });
        return z.NEVER;
      }
      return parsed;
    })
    .meta({ kind: 'endpoint' });
}

/** An endpoint as text again. */
export function endpointText(value: Endpoint): string {
  if (value.kind === 'unix') return `unix:${value.path}`;
  return value.host.includes(':') ? `[${value.host}]:${value.port}` : `${value.host}:${value.port}`;
}

/** A text that is never printed: tokens, passwords. */
export function secret() {
  return z.string().meta({ kind: 'secret' });
}

const tlsVersion = () => z.enum(['1.2', '1.3']);
const versions = {
  min_version: tlsVersion().default('1.2').describe('The oldest TLS version that is accepted.'),
  max_version: tlsVersion().optional().describe('The newest TLS version; absent: the newest.'),
};
const versionsInOrder = (tls: { min_version: string; max_version?: string | undefined }) =>
  tls.max_version === undefined || tls.min_version <= tls.max_version;
const outOfOrder = { message: 'min_version cannot be greater than max_version' };

/** TLS of a listening socket; absent: plain text. */
export function tlsServer() {
  return z
    .strictObject({
      cert_file: z.string().describe("The server's certificate chain, PEM."),
      key_file: z.string().describe('Its private key, PEM.'),
      client_ca_file: z
        .string()
        .optional()
        .describe('CA of client certificates, PEM. Given: every client must show one (mTLS).'),
      ...versions,
      reload_interval: duration()
        .prefault('10s')
        .describe('How often the files are looked at again; a bad new file leaves the old in use.'),
    })
    .refine(versionsInOrder, outOfOrder);
}

/** TLS of an outgoing connection, in the Collector's words. */
export function tlsClient() {
  return z
    .strictObject({
      insecure: z.boolean().default(false).describe('true: no TLS at all.'),
      insecure_skip_verify: z
        .boolean()
        .default(false)
        .describe('true: TLS, but any certificate is accepted.'),
      ca_file: z
        .string()
        .optional()
        .describe('CA that signed the server, PEM; absent: the system.'),
      cert_file: z.string().optional().describe("This client's certificate, PEM (mTLS)."),
      key_file: z.string().optional().describe('Its private key, PEM.'),
      server_name_override: z
        .string()
        .optional()
        .describe('The name that the certificate must carry; absent: the host of the endpoint.'),
      ...versions,
    })
    .refine(versionsInOrder, outOfOrder)
    .refine((tls) => (tls.cert_file === undefined) === (tls.key_file === undefined), {
      message: 'cert_file and key_file belong together',
    });
}

export type TlsServer = z.output<ReturnType<typeof tlsServer>>;
export type TlsClient = z.output<ReturnType<typeof tlsClient>>;
