// The object rules of the Kubernetes API and of Istio: their own schemas, and their types, which know no other fields.
// Those of Kuma are ours (kuma.ts).

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { kumaProblem } from './kuma.ts';
import type { Manifest } from './kustomize.ts';

const root = resolve(import.meta.dirname, '../..');

/** The module that knows objects of this kind; undefined: there is none. */
function moduleOf({ apiVersion }: Manifest): string | undefined {
  if (apiVersion.startsWith('kuma.io/')) return undefined;
  if (apiVersion.includes('istio.io/')) return `@kubernetes-models/istio/${apiVersion}`;
  return `kubernetes-models/${apiVersion}`;
}

type Model = new (data: object) => { validate(): void };

/** What the API's schema says about an object; empty: nothing. */
export async function schemaProblem(manifest: Manifest): Promise<string> {
  const module = moduleOf(manifest);
  if (module === undefined) return kumaProblem(manifest);
  const models = (await import(module)) as Record<string, Model>;
  const model = models[manifest.kind];
  if (model === undefined) return `${manifest.apiVersion} has no ${manifest.kind}`;
  try {
    new model(manifest).validate();
    return '';
  } catch (error) {
    return String(error);
  }
}

/** What the compiler says about the objects as literals of the API's types: unknown fields above all. */
export function typeProblems(manifests: readonly Manifest[]): string {
  const known = manifests.filter((manifest) => moduleOf(manifest) !== undefined);
  const source = known.map((manifest, index) => {
    const { apiVersion: _, kind, ...rest } = manifest;
    return `import { type I${kind} as T${index} } from '${moduleOf(manifest)}';
export const object${index}: T${index} = ${JSON.stringify({ apiVersion: manifest.apiVersion, kind, ...rest }, null, 1)};`;
  });
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'manifests-'));
  try {
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    writeFileSync(join(folder, 'objects.ts'), `${source.join('\n')}\n`);
    const compilerOptions = {
      noEmit: true,
      strict: true,
      skipLibCheck: true,
      module: 'nodenext',
      types: [],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], {
      cwd: folder,
      encoding: 'utf8',
      stdio: 'pipe',
    });
    return '';
  } catch (error) {
    return (error as { stdout: string }).stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
