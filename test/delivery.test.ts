// docs/delivery.md promises nothing without a test.

import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');

test('every test that docs/delivery.md names exists', () => {
  const sources = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && name !== 'delivery.test.ts')
    .map((name) => readFileSync(join(root, 'test', name), 'utf8'))
    .join('\n');
  // Names with a variable part are looked for without it.
  const names = sources.replace(/\$\{[^}]*\}/g, '*');
  const rows = readFileSync(join(root, 'docs/delivery.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('|'));
  const named = rows
    .flatMap((row) => [...row.matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? ''))
    .filter((name) => name.includes(' '));
  expect(named.length).toBeGreaterThan(50);
  const missing = named.filter((name) => !has(names, name));
  expect([...new Set(missing)]).toEqual([]);
});

/** Whether a test name has this in it; of a name with a variable part (`*`) what comes before that counts. */
function has(names: string, wanted: string): boolean {
  if (names.includes(wanted)) return true;
  return [...names.matchAll(/test\(\s*`([^`*]{20,})\*/g)].some(([, start = '']) =>
    wanted.startsWith(start),
  );
}
