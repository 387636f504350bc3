// The walls of the house (src/README.md): who may import whom.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'src');

type File = { path: string; imports: string[] };

const files: File[] = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => {
    const text = readFileSync(join(source, name), 'utf8');
    const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, path]) =>
      relative(source, resolve(dirname(join(source, name)), path ?? '')),
    );
    return { path: name, imports };
  });

const room = (path: string): string => (path.includes('/') ? (path.split('/')[0] ?? '') : path);
const components = ['receivers', 'processors', 'exporters'];

/** What each room may use, besides itself. */
const doors: Record<string, string[]> = {
  config: [],
  telemetry: [],
  wire: [],
  pipeline: ['config', 'telemetry'],
  mesh: ['pipeline', 'access_log'],
  access_log: ['pipeline', 'config', 'mesh'],
  encoding: ['pipeline', 'access_log'],
  admin: ['telemetry', 'pipeline', 'wire'],
  receivers: ['pipeline', 'config', 'encoding', 'access_log', 'mesh', 'wire', 'telemetry'],
  processors: ['pipeline', 'config', 'encoding', 'access_log', 'mesh', 'wire', 'telemetry'],
  exporters: ['pipeline', 'config', 'encoding', 'access_log', 'mesh', 'wire', 'telemetry'],
};

/** receivers/tcp.ts and receivers/tcp/… are the component receivers/tcp. */
const component = (path: string): string =>
  path.split('/').slice(0, 2).join('/').replace(/\.ts$/, '');

describe('walls', () => {
  for (const { path, imports } of files) {
    const allowed = doors[room(path)];
    if (allowed === undefined) continue;
    test(`src/${path} imports only through its doors`, () => {
      const through = imports.filter((target) => {
        if (components.includes(room(path)) && room(target) === room(path)) {
          return component(target) !== component(path);
        }
        return room(target) !== room(path) && !allowed.includes(room(target));
      });
      expect(through).toEqual([]);
    });
  }

  test('only components.ts imports components', () => {
    const others = files.filter(
      ({ path, imports }) =>
        path !== 'components.ts' &&
        !components.includes(room(path)) &&
        imports.some((target) => components.includes(room(target))),
    );
    expect(others.map(({ path }) => path)).toEqual([]);
  });

  test('only main.ts exits the process', () => {
    const exits = files.filter(
      ({ path }) =>
        path !== 'main.ts' && /process\.exit\(/.test(readFileSync(join(source, path), 'utf8')),
    );
    expect(exits.map(({ path }) => path)).toEqual([]);
  });

  test('no module imports itself in a circle of values', () => {
    const graph = new Map(
      files.map(({ path }) => {
        const text = readFileSync(join(source, path), 'utf8').replace(
          /import type [^;]+;|export type \{[^;]+;/g,
          '',
        );
        const targets = [...text.matchAll(/from\s*'(\.[^']+)'/g)].map(([, target]) =>
          relative(source, resolve(dirname(join(source, path)), target ?? '')),
        );
        return [path, targets];
      }),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const walk = (path: string, way: string[]): void => {
      if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(' > '));
      if (way.includes(path) || done.has(path)) return;
      for (const target of graph.get(path) ?? []) walk(target, [...way, path]);
      done.add(path);
    };
    for (const path of graph.keys()) walk(path, []);
    expect(circles).toEqual([]);
  });
});
