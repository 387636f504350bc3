// Style that a machine can check, so that reviews are about meaning.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const tracked = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter(Boolean);
const text = (path: string): string => readFileSync(join(root, path), 'utf8');
const sources = tracked.filter((path) => /^(src|bench)\/.*\.ts$/.test(path));

/** Files that are one long table: splitting them would hide it. */
const tables = ['src/access_log/fields.ts'];

test('source files stay below 400 lines', () => {
  const long = sources.filter(
    (path) => !tables.includes(path) && text(path).split('\n').length > 400,
  );
  expect(long).toEqual([]);
});

test('names say something', () => {
  const empty = sources.filter((path) =>
    /(^|\/)(utils?|helpers?|common|misc|index|types)\.ts$/.test(path),
  );
  expect(empty).toEqual([]);
});

test('no default exports and no barrels in the source', () => {
  const found = sources.filter((path) => /^export (default|\* from)/m.test(text(path)));
  expect(found).toEqual([]);
});

test('nothing is left unfinished', () => {
  const words = new RegExp(['TO', 'DO|FIX', 'ME|XX', 'X'].join(''));
  const found = tracked.filter((path) => /\.(ts|md|yaml)$/.test(path) && words.test(text(path)));
  expect(found).toEqual([]);
});

test('no test is skipped or focused', () => {
  const call = new RegExp(
    `\\b(it|test|describe)\\.(${['sk', 'ip|on', 'ly|to', 'do'].join('')})\\b`,
  );
  const found = tracked.filter(
    (path) => path.startsWith('test/') && path.endsWith('.ts') && call.test(text(path)),
  );
  expect(found).toEqual([]);
});

test('the lock file names no host and package.json pins exact versions', () => {
  expect(text('package-lock.json')).not.toMatch(/"resolved"|https?:\/\/[^"]*\.tgz/);
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
    text('package.json'),
  ) as Record<string, Record<string, string>>;
  const versions = Object.values({ ...dependencies, ...devDependencies, ...optionalDependencies });
  expect(versions.filter((version) => !/^(npm:.+@)?\d+\.\d+\.\d+$/.test(version))).toEqual([]);
});

test('every dependency has its line in src/README.md', () => {
  const { dependencies, devDependencies } = JSON.parse(text('package.json')) as Record<
    string,
    Record<string, string>
  >;
  const readme = text('src/README.md');
  const missing = Object.keys({ ...dependencies, ...devDependencies }).filter(
    (name) => !readme.includes(`\`${name}\``),
  );
  expect(missing).toEqual([]);
});
