// The image, as far as it can be judged without building it. `npm run test:image` carries its steps out.

import { existsSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { folderWith, meshlog } from './cli/command.ts';
import { copyOf, inContext, readDockerfile } from './support/dockerfile.ts';

const root = resolve(import.meta.dirname, '..');
const text = (path: string): string => readFileSync(join(root, path), 'utf8');
const stages = readDockerfile(text('Dockerfile'));
const last = stages.at(-1)!;
const ignored = text('.dockerignore');
const stepsNamed = (name: string) => last.steps.filter((step) => step.name === name);
const manifest: {
  engines: { node: string };
  dependencies: Record<string, string>;
} = JSON.parse(text('package.json'));

test('every file that the Dockerfile copies exists and reaches the build context', () => {
  const copies = stages.flatMap(({ steps }) => steps.filter(({ name }) => name === 'COPY'));
  expect(copies.length).toBeGreaterThan(4);
  for (const copy of copies.map(copyOf)) {
    if (copy.from !== undefined) {
      expect(stages.map(({ name }) => name)).toContain(copy.from);
      continue;
    }
    for (const source of copy.sources) {
      expect(existsSync(join(root, source)), source).toBe(true);
      expect(inContext(source, ignored), `${source} is hidden by .dockerignore`).toBe(true);
    }
  }
});

test('the build context holds no more than what is copied', () => {
  for (const path of ['.git/config', 'node_modules/zod/package.json', 'test/image.test.ts', 'dist'])
    expect(inContext(path, ignored), path).toBe(false);
});

test('the image runs Node as package.json asks, as a user without rights, as process 1 itself', () => {
  expect(last.image).toMatch(/^node:24/);
  expect(manifest.engines.node).toBe('>=24');
  expect(stepsNamed('USER').map(({ text }) => text)).toEqual(['1000:1000']);
  const [entry] = stepsNamed('ENTRYPOINT');
  // The JSON form: no shell stands between the runtime's signals and the daemon.
  expect(entry?.text.startsWith('[')).toBe(true);
  expect(entry?.words.slice(0, 1)).toEqual(['node']);
  expect(stepsNamed('CMD')[0]?.words).toEqual(['run', '--config', '/etc/meshlog/config.yaml']);
});

test('configuration and state have one documented place each', () => {
  expect(stepsNamed('VOLUME').map(({ text }) => text)).toEqual(['/var/lib/meshlog']);
  const readme = text('README.md');
  for (const path of ['/etc/meshlog/config.yaml', '/var/lib/meshlog']) {
    expect(readme).toContain(path);
  }
});

test('the health check asks /readyz where the admin port is by default', () => {
  const [check] = stepsNamed('HEALTHCHECK');
  expect(check?.text).toContain("fetch('http://127.0.0.1:8888/readyz')");
  expect(meshlog(['docs', 'service']).stdout).toMatch(/endpoint +endpoint = 127\.0\.0\.1:8888/);
});

test('what the sources import at run time is installed without dev and optional packages', () => {
  const lock = JSON.parse(text('package-lock.json')) as {
    packages: Record<string, { dev?: boolean; optional?: boolean }>;
  };
  const missing = imported().filter((name) => {
    const entry = lock.packages[`node_modules/${name}`];
    return entry === undefined || entry.dev === true || entry.optional === true;
  });
  expect(missing).toEqual([]);
});

/** The packages that files under src import, type imports aside. */
function imported(): string[] {
  const found = new Set<string>();
  for (const { name } of sourceFiles()) {
    const source = text(name).replace(/^import type [^;]*;/gm, '');
    const specifiers = [
      ...source.matchAll(/^(?:import|\} from)[^'\n]*'([^'.][^']*)';$/gm),
      ...source.matchAll(/\bimport\('([^'.][^']*)'\)/g),
    ];
    for (const [, specifier = ''] of specifiers) {
      const parts = specifier.split('/');
      const packageName = parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
      if (!isBuiltin(packageName)) found.add(packageName);
    }
  }
  return [...found];
}

function sourceFiles(): { name: string }[] {
  const { globSync } = process.getBuiltinModule('node:fs');
  return globSync('src/**/*.ts', { cwd: root }).map((name) => ({ name }));
}

test('a bad mounted configuration ends the container with 78 and the message as its last lines', () => {
  const directory = folderWith({
    'config.yaml':
      'receivers:\n  tcp: { endpont: 0.0.0.0:5170 }\nexporters: { nop: }\nservice: { pipelines: { logs: { receivers: [tcp], exporters: [nop] } } }\n',
  });
  const { code, stdout, stderr } = meshlog(['run', '--config', 'config.yaml'], directory);
  expect(code).toBe(78);
  expect(stdout).toBe('');
  expect(stderr).toContain(
    'config.yaml:2:10: receivers.tcp.endpont: unknown field; did you mean "endpoint"?',
  );
});

test('npm ci finds everything that any package asks for in the lock file', () => {
  // npm leaves out optional packages of other platforms that it could not fetch, and then refuses its own file.
  type Entry = {
    dependencies?: Record<string, string>;
    optionalDependencies?: Record<string, string>;
  };
  const { packages } = JSON.parse(text('package-lock.json')) as { packages: Record<string, Entry> };
  const isThere = (asking: string, name: string): boolean => {
    for (let at = asking; ; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules/') - 1))) {
      if (`${at === '' ? '' : `${at}/`}node_modules/${name}` in packages) return true;
      if (at === '') return false;
    }
  };
  const missing = Object.entries(packages).flatMap(([path, entry]) =>
    Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })
      .filter((name) => !isThere(path, name))
      .map((name) => `${name}, asked for by ${path}`),
  );
  expect(missing).toEqual([]);
});
