// docs/delivery.md promises nothing without a test.

import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');

/** What tests and groups of tests are called; a variable part is `*`. */
const titles: readonly string[] = readdirSync(join(root, 'test'), {
  recursive: true,
  encoding: 'utf8',
})
  .filter((name) => name.endsWith('.test.ts') && name !== 'delivery.test.ts')
  .map((name) => readFileSync(join(root, 'test', name), 'utf8').replace(/\$\{[^}]*\}/g, '*'))
  .flatMap((text) => [
    ...text.matchAll(
      /\b(?:test|describe)(?:\.skipIf\([^)]*\))?\(\s*(?:'((?:[^'\\]|\\.)*)'|"([^"]*)"|`([^`]*)`)/g,
    ),
  ])
  .map(([, single, double, template]) => (single ?? double ?? template ?? '').replace(/\\'/g, "'"));

/** Whether a test is called so, or has this in its name; where a name has a variable part, what comes before it counts. */
function exists(wanted: string): boolean {
  return titles.some((title) => {
    if (title.includes(wanted)) return true;
    const [start = ''] = title.split('*');
    return start.length >= 20 && start !== title && wanted.startsWith(start);
  });
}

type Row = readonly string[];

/** The rows of the tables of the page, without their heads; cells trimmed. */
function tables(): Row[][] {
  const found: Row[][] = [];
  let isTable = false;
  for (const line of readFileSync(join(root, 'docs/delivery.md'), 'utf8').split('\n')) {
    if (line.startsWith('|')) {
      if (!isTable) found.push([]);
      const cells = line.split('|').slice(1, -1);
      found.at(-1)?.push(cells.map((cell) => cell.trim()));
    }
    isTable = line.startsWith('|');
  }
  return found.map((rows) => rows.slice(2));
}

/** The tests that a cell names: what stands in backquotes and has a space. */
const named = (cell: string): string[] =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? '').filter((name) => /\s/.test(name));

/** Scenarios that other log shippers test, or have failed at. */
const scenarios = [
  ...['F1', 'F2', 'F3', 'F5', 'F6', 'F7', 'F9', 'F10', 'F12', 'F13', 'F14', 'F16', 'F17', 'F18'],
  ...['T1', 'T3', 'T4', 'T5', 'T6', 'T8', 'T9', 'T10'],
  ...['G1', 'G2', 'G3', 'G4', 'G5', 'G7'],
  ...['B1', 'B2', 'B3', 'B6', 'B7', 'B8', 'B9', 'B10', 'B11', 'B12', 'B13', 'B14'],
  ...['P1', 'P4', 'P5', 'P7', 'P8', 'P9'],
];

describe('docs/delivery.md', () => {
  const [promises = [], outcomes = [], list = []] = tables();

  test('names a test in every cell, and each of them exists', () => {
    const cells = [
      ...promises.flatMap(([row = '', ...rest]) => rest.map((cell) => ({ row, cell }))),
      ...[...outcomes, ...list].map((cells) => ({ row: cells[0] ?? '', cell: cells.at(-1) ?? '' })),
    ];
    expect(cells.length).toBeGreaterThan(80);
    expect(cells.filter(({ cell }) => named(cell).length === 0)).toEqual([]);
    const missing = cells.flatMap(({ cell }) => named(cell)).filter((name) => !exists(name));
    expect([...new Set(missing)]).toEqual([]);
  });

  test('has every receiver and queue, and what may happen to them', () => {
    expect(promises.map(([row]) => row)).toEqual([
      'file, memory',
      'file, disk',
      'otlp, memory',
      'otlp, disk',
      'tcp, envoy_als, memory',
      'tcp, envoy_als, disk',
      'stdin, any',
    ]);
    expect(new Set(promises.map((row) => row.length))).toEqual(new Set([6]));
  });

  test('has every scenario', () => {
    const listed = new Set(list.map(([row = '']) => row.split(' ')[0]));
    expect(scenarios.filter((name) => !listed.has(name))).toEqual([]);
  });

  test('would notice a test that is not there', () => {
    expect(exists('daemon hands a disk queue over')).toBe(true);
    expect(exists('daemon hands a disk queue over to nobody')).toBe(false);
    expect(exists('file follows a renamed file and its late lines (F1)')).toBe(true);
    expect(exists('file follows a renamed file by intuition')).toBe(false);
  });
});
