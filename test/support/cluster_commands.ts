// Commands of the documentation that need a cluster or an engine, as far as they can be judged without: the files, objects,
// ports and places that they name exist.

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stages } from './image.ts';
import { build, type Manifest } from './kustomize.ts';

const root = resolve(import.meta.dirname, '../..');
const kinds: Readonly<Record<string, string>> = {
  ds: 'DaemonSet',
  deploy: 'Deployment',
  svc: 'Service',
};

const objects: readonly Manifest[] = ['daemonset', 'gateway', 'meshes/kuma'].flatMap((folder) =>
  build(join(root, 'deploy', folder)),
);

/** Where the image has its configuration and its volume. */
const places = (stages.at(-1)?.steps ?? []).flatMap(({ name, words }) =>
  name === 'CMD' ? words.slice(-1) : name === 'VOLUME' ? words : [],
);

/** What is wrong with a command; empty: nothing that could be seen. */
export function commandProblem(line: string): string {
  const words = line.split(/\s+/);
  const after = (flag: string): string | undefined => words[words.indexOf(flag) + 1];
  const file = words.includes('-f') ? after('-f') : undefined;
  if (file !== undefined && !existsSync(join(root, file))) return `there is no ${file}`;
  const folder = words.includes('-k') ? after('-k') : undefined;
  if (folder !== undefined && !existsSync(join(root, folder, 'kustomization.yaml'))) {
    return `${folder} is no kustomization`;
  }
  const named = words.find((word) => /^(ds|deploy|svc)\/meshlog/.test(word));
  const object = named === undefined ? undefined : objectNamed(named);
  if (named !== undefined && object === undefined) return `there is no ${named}`;
  if (object !== undefined && object.metadata.namespace !== after('-n')) {
    return `${named} is not in the namespace ${after('-n')}`;
  }
  const port = words.includes('port-forward') ? Number(words.at(-1)) : undefined;
  if (port !== undefined && !JSON.stringify(object).match(new RegExp(`[pP]ort":${port}\\b`))) {
    return `${named} has no port ${port}`;
  }
  for (const [index, word] of words.entries()) {
    const place = word === '-v' ? words[index + 1]?.split(':')[1] : undefined;
    if (place !== undefined && !places.includes(place)) return `the image has no ${place}`;
  }
  return '';
}

function objectNamed(word: string): Manifest | undefined {
  const [kind = '', name] = word.split('/');
  return objects.findLast((one) => one.kind === kinds[kind] && one.metadata.name === name);
}
