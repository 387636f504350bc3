// Which field a header is, and what its values look like. Headers with a row of their own in the vocabulary use it;
// every other one is `request.headers.<lower-case name>` and so on.

import type { Alphabet } from './operators.ts';

/** What a value mostly looks like: an anchor where free text around it is ambiguous. */
export type Shape = 'none' | 'uuid' | 'ip_list' | 'number' | 'hex';

type HeaderRow = { readonly field?: string; readonly alphabet?: Alphabet; readonly shape?: Shape };

const requestHeaders: Readonly<Record<string, HeaderRow>> = {
  ':method': { field: 'request.method', alphabet: 'method' },
  ':path': { field: 'request.path', alphabet: 'path' },
  ':authority': { field: 'request.host', alphabet: 'authority' },
  host: { field: 'request.host', alphabet: 'authority' },
  ':scheme': { field: 'request.scheme', alphabet: 'method' },
  'user-agent': { field: 'request.useragent' },
  referer: { field: 'request.referer' },
  'x-request-id': { field: 'request.id', shape: 'uuid' },
  'x-forwarded-for': { shape: 'ip_list' },
  'x-envoy-external-address': { shape: 'ip_list' },
  'x-envoy-original-path': { alphabet: 'path' },
  'x-envoy-original-method': { alphabet: 'method' },
  'x-envoy-attempt-count': { alphabet: 'token', shape: 'number' },
  'x-b3-traceid': { shape: 'hex' },
  'x-b3-spanid': { shape: 'hex' },
  'x-datadog-trace-id': { shape: 'number' },
  traceparent: { shape: 'hex' },
  'content-length': { shape: 'number' },
};

const responseHeaders: Readonly<Record<string, HeaderRow>> = {
  ':status': { field: 'response.code', alphabet: 'duration' },
  'x-envoy-upstream-service-time': { alphabet: 'token', shape: 'number' },
  'content-length': { shape: 'number' },
};

const responseTrailers: Readonly<Record<string, HeaderRow>> = {
  'grpc-status': { shape: 'number' },
};

const tables: Readonly<Record<string, Readonly<Record<string, HeaderRow>>>> = {
  'request.headers.': requestHeaders,
  'response.headers.': responseHeaders,
  'response.trailers.': responseTrailers,
};

/** The field of a lower-case header name under a prefix (`request.headers.`). */
export function headerField(prefix: string, name: string): string {
  return tables[prefix]?.[name]?.field ?? prefix + name;
}

/** Whether the vocabulary has a row for the header itself. */
export function hasOwnField(prefix: string, name: string): boolean {
  return tables[prefix]?.[name]?.field !== undefined;
}

/** The bytes that a header's values hold. */
export function headerAlphabet(prefix: string, name: string): Alphabet {
  return tables[prefix]?.[name]?.alphabet ?? 'free';
}

export function headerShape(prefix: string, name: string): Shape {
  return tables[prefix]?.[name]?.shape ?? 'none';
}
