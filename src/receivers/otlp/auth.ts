// Who may send.

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { OtlpReceiverConfig } from './otlp.ts';

/** Whether a request with these headers may be taken. */
export type Authorize = (headers: IncomingHttpHeaders) => boolean;

export function authorizer(auth: OtlpReceiverConfig['auth']): Authorize {
  const wanted: [name: string, digest: Buffer][] = Object.entries(auth?.headers ?? {}).map(
    ([name, value]) => [name.toLowerCase(), digestOf(value)],
  );
  if (auth?.bearer_token !== undefined) {
    wanted.push(['authorization', digestOf(`Bearer ${auth.bearer_token}`)]);
  }
  if (wanted.length === 0) return () => true;
  return (headers) => {
    // All are compared, each in constant time: how long it takes says nothing.
    let good = true;
    for (const [name, digest] of wanted) {
      const value = String(headers[name] ?? '').replace(/^bearer /i, 'Bearer ');
      if (!timingSafeEqual(digestOf(value), digest)) good = false;
    }
    return good;
  };
}

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();
