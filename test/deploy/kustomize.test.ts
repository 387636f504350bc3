// Our small kustomize against the real one, where kubectl brings it along: what the other tests look at is what
// `kubectl apply -k` would apply.

import { execFileSync, spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { build, type Manifest } from '../support/kustomize.ts';
import { application } from './application.ts';

const deploy = resolve(import.meta.dirname, '../../deploy');
const found = spawnSync('kubectl', ['version', '--client'], { encoding: 'utf8' });
const skipped = found.status === 0 ? '' : ' (SKIPPED HERE: there is no kubectl)';

/** What kubectl makes of a folder, by kind, namespace and name. */
function real(folder: string): Record<string, Manifest> {
  const text = execFileSync('kubectl', ['kustomize', folder], { encoding: 'utf8' });
  return byName(parseAllDocuments(text).map((document) => document.toJS() as Manifest));
}

function byName(manifests: readonly Manifest[]): Record<string, Manifest> {
  const entries = manifests.map((manifest): [string, Manifest] => {
    const { namespace = '', name } = manifest.metadata;
    return [`${manifest.kind} ${namespace}/${name}`, manifest];
  });
  expect(new Set(entries.map(([name]) => name)).size).toBe(entries.length);
  return Object.fromEntries(entries);
}

const folders = globSync('**/kustomization.yaml', { cwd: deploy })
  .map((path) => dirname(path))
  .filter((folder) => folder !== 'sidecar')
  .sort();

test.skipIf(skipped !== '').each(folders)(
  `kubectl builds deploy/%s to the very objects that are checked${skipped}`,
  (folder) => {
    expect(byName(build(join(deploy, folder)))).toEqual(real(join(deploy, folder)));
  },
);

test.skipIf(skipped !== '')(`kubectl adds the sidecar as it is checked${skipped}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'meshlog-kustomize-'));
  try {
    writeFileSync(join(folder, 'deployment.yaml'), stringify(application));
    const components = [relative(folder, join(deploy, 'sidecar'))];
    writeFileSync(
      join(folder, 'kustomization.yaml'),
      stringify({ resources: ['deployment.yaml'], components }),
    );
    expect(byName(build(join(deploy, 'sidecar'), [application]))).toEqual(real(folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
