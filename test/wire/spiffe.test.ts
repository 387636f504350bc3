import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { spiffeAllowed, spiffeId, spiffePattern } from '../../src/wire/spiffe.ts';
import { authority } from '../support/tls.ts';

const root = authority();
const idOf = (names: string[]): string | undefined => {
  const certificate = new X509Certificate(root.issue(names).cert);
  return spiffeId({ subjectaltname: certificate.subjectAltName ?? '' });
};

describe('the SPIFFE ID of a certificate', () => {
  const id = 'spiffe://cluster.local/ns/shop/sa/cart';

  test('is its URI name', () => {
    expect(idOf([`URI:${id}`])).toBe(id);
    expect(idOf(['DNS:cart.shop.svc', `URI:${id}`, 'IP:10.0.0.1'])).toBe(id);
  });

  test('is missing without one, with another scheme, or with two', () => {
    expect(spiffeId(undefined)).toBeUndefined();
    expect(spiffeId({ subjectaltname: '' })).toBeUndefined();
    expect(idOf(['DNS:cart.shop.svc'])).toBeUndefined();
    expect(idOf(['URI:https://cluster.local/ns/shop'])).toBeUndefined();
    expect(idOf([`URI:${id}`, 'URI:spiffe://cluster.local/other'])).toBeUndefined();
  });

  test('cannot be smuggled into another name', () => {
    expect(idOf([`DNS:a, URI:${id}`])).toBeUndefined();
    expect(idOf([`DNS:a", URI:${id}`])).toBeUndefined();
    expect(idOf([`DNS:a\\", URI:${id}`])).toBeUndefined();
    expect(idOf([`URI:x, URI:${id}`])).toBeUndefined();
    expect(idOf([`DNS:URI:${id}`])).toBeUndefined();
  });
});

describe('an allow-list', () => {
  for (const [entry, id, allowed] of [
    ['spiffe://a/ns/b/sa/c', 'spiffe://a/ns/b/sa/c', true],
    ['spiffe://a/ns/b/sa/c', 'spiffe://a/ns/b/sa/cc', false],
    ['spiffe://a/ns/b/*', 'spiffe://a/ns/b/sa/c', true],
    ['spiffe://a/ns/b/*', 'spiffe://a/ns/bb/sa/c', false],
    ['spiffe://a/*', 'spiffe://ab/x', false],
  ] as const) {
    test(`with ${entry} ${allowed ? 'has' : 'has not'} ${id}`, () => {
      expect(spiffeAllowed(id, ['spiffe://z/z', entry])).toBe(allowed);
    });
  }

  test('has nobody without identity', () =>
    expect(spiffeAllowed(undefined, ['spiffe://a/*'])).toBe(false));

  test('has entries of a certain form', () => {
    for (const good of ['spiffe://a', 'spiffe://a.b/c', 'spiffe://a/*', 'spiffe://a/b_c/*']) {
      expect(good).toMatch(spiffePattern);
    }
    for (const bad of ['a', 'http://a', 'spiffe://', 'spiffe://A', 'spiffe://a/b*', 'spiffe://*']) {
      expect(bad).not.toMatch(spiffePattern);
    }
  });
});
