import fc from 'fast-check';
import { expect, test } from 'vitest';
import { explain, type Failure } from '../../src/access_log/explain.ts';
import { adviceOf } from '../../src/access_log/flag_advice.ts';
import { flagTable } from '../../src/access_log/flags.ts';

const failure = (fields: Partial<Failure>): Failure => ({
  code: 503,
  flags: [],
  details: undefined,
  reason: undefined,
  upstream: undefined,
  ...fields,
});

// biome-ignore format: a table reads best with one row a line.
const sentences: readonly (readonly [string, Partial<Failure>, string])[] = [
  ['a refused connection', { flags: ['UF', 'URX'], reason: 'delayed_connect_error:_111', upstream: 'ratings:9080' },
    'upstream connection failed, retries used up: delayed_connect_error:_111 (connection refused: nothing listens on ratings:9080)'],
  ['a missing certificate', { flags: ['UF'], reason: 'TLS error: Secret is not supplied by SDS' },
    'upstream connection failed: TLS error: Secret is not supplied by SDS (the proxy has no certificate yet: look whether the certificate files or the secret that the DestinationRule names exist, and whether the control plane is reachable)'],
  ['an expired certificate', { flags: ['UF'], reason: 'TLS_error:|268435581:SSL routines:OPENSSL_internal:SSLV3_ALERT_CERTIFICATE_EXPIRED' },
    'upstream connection failed: TLS_error:|268435581:SSL routines:OPENSSL_internal:SSLV3_ALERT_CERTIFICATE_EXPIRED (a certificate has expired: look at its validity, at certificate rotation and at the clocks of both sides)'],
  ['no healthy endpoint', { flags: ['UH'], details: 'no_healthy_upstream', upstream: 'reviews:9080' },
    'no healthy upstream: look at readiness of reviews:9080, at outlier detection and at subset labels'],
  ['a missing route', { code: 404, flags: ['NR'], details: 'route_not_found' },
    'no route matched: look at hosts and matches of the routes'],
  ['a denied request', { code: 403, details: 'rbac_access_denied_matched_policy[ns[foo]-policy[httpbin]-rule[0]]' },
    'rbac_access_denied_matched_policy[ns[foo]-policy[httpbin]-rule[0]] (a policy denied the request: look at the AuthorizationPolicy in brackets and at the identity of the caller)'],
  ['a client that went away', { code: 0, flags: ['DC'], details: 'downstream_remote_disconnect' },
    'client closed the connection: look at the timeout of the client'],
  ['an error of the service itself', { code: 500, details: 'via_upstream', upstream: 'ratings:9080' },
    'ratings:9080 itself gave this answer: look at its logs'],
  ['a timeout, with nothing but the flag', { code: 504, flags: ['UT'] },
    'upstream request timed out: look at request.duration against the timeout of the route'],
  ['a flag of an extension', { flags: ['XYZ'] }, 'XYZ'],
];

for (const [what, fields, sentence] of sentences) {
  test(`explain has a sentence for ${what}`, () => {
    expect(explain(failure(fields))).toBe(sentence);
  });
}

test('explain is silent when the record says nothing', () => {
  expect(explain(failure({}))).toBeUndefined();
  expect(explain(failure({ code: 404, details: 'something_new' }))).toBeUndefined();
});

test('explain has advice on every flag', () => {
  for (const { short } of flagTable) expect(adviceOf(short), short).toBeDefined();
});

test('explain never throws and cuts long evidence', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.string({ maxLength: 4000 }),
      fc.string(),
      (flag, reason, details) => {
        const text = explain(failure({ flags: [flag], reason, details }));
        expect(text?.length ?? 0).toBeLessThan(1000 + flag.length);
      },
    ),
  );
});
