// The part of kustomize that deploy/ uses: resources, components, generated config maps, strategic merge patches, images.
// test/deploy/kustomize.test.ts holds it against the real one.

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

export type Json = { [key: string]: Json } & { [index: number]: Json };

export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Record<string, string>;
  };
} & { [key: string]: Json };

type Kustomization = {
  namespace?: string;
  resources?: string[];
  components?: string[];
  configMapGenerator?: { name: string; namespace?: string; behavior?: string; files: string[] }[];
  patches?: { path: string; target?: { kind?: string; labelSelector?: string } }[];
  images?: { name: string; newName?: string; newTag?: string }[];
};

/** All documents of a manifest file. */
export function readManifests(path: string): Manifest[] {
  return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    if (document.errors.length > 0) throw new Error(`${path}: ${String(document.errors[0])}`);
    return document.toJS() as Manifest;
  });
}

/** What `kubectl apply -k` would apply; a component is applied to `onto`. */
export function build(folder: string, onto: readonly Manifest[] = []): Manifest[] {
  const file = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8')) as Kustomization;
  let objects: Manifest[] = [...onto];
  for (const resource of file.resources ?? []) {
    const path = join(folder, resource);
    objects.push(...(statSync(path).isDirectory() ? build(path) : readManifests(path)));
  }
  for (const component of file.components ?? []) objects = build(join(folder, component), objects);
  for (const generator of file.configMapGenerator ?? []) {
    const made = configMap(folder, generator);
    const isSame = ({ kind, metadata }: Manifest): boolean =>
      kind === 'ConfigMap' && metadata.name === generator.name;
    if (generator.behavior === 'replace' && !objects.some(isSame)) {
      throw new Error(`${folder}: no config map ${generator.name} to replace`);
    }
    objects = [...objects.filter((object) => !isSame(object)), made];
  }
  for (const { path, target } of file.patches ?? []) {
    for (const patch of readManifests(join(folder, path))) {
      let hits = 0;
      objects = objects.map((object): Manifest => {
        if (!isTarget(object, patch, target)) return object;
        hits++;
        const result = merged(object, patch, '') as Manifest;
        // A patch for whatever fits its target has a name of no meaning.
        return target === undefined
          ? result
          : ({ ...result, metadata: object.metadata } as Manifest);
      });
      if (hits === 0) throw new Error(`${folder}: ${path} fits no object`);
    }
  }
  objects = objects.map((object) => withImages(object, file.images ?? []));
  const clusterWide = ['Namespace', 'ClusterRole', 'ClusterRoleBinding'];
  return objects.map((object) => {
    const { namespace } = file;
    if (namespace === undefined || clusterWide.includes(object.kind)) return object;
    return { ...object, metadata: { ...object.metadata, namespace } } as Manifest;
  });
}

/** An object with the images of its pods renamed. */
function withImages(object: Manifest, images: NonNullable<Kustomization['images']>): Manifest {
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit);
    if (!isMap(value)) return value;
    const entries = Object.entries(value).map(([key, inner]): [string, unknown] => {
      const image = key === 'image' ? images.find(({ name }) => name === inner) : undefined;
      if (image === undefined) return [key, visit(inner)];
      const { name, newName = name, newTag } = image;
      return [key, newTag === undefined ? newName : `${newName}:${newTag}`];
    });
    return Object.fromEntries(entries);
  };
  return visit(object) as Manifest;
}

function configMap(
  folder: string,
  { name, namespace, files }: NonNullable<Kustomization['configMapGenerator']>[number],
): Manifest {
  const data = Object.fromEntries(
    files.map((file) => [file, readFileSync(join(folder, file), 'utf8')]),
  );
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data } as unknown as Manifest;
}

function isTarget(
  object: Manifest,
  patch: Manifest,
  target: { kind?: string; labelSelector?: string } | undefined,
): boolean {
  if (target === undefined) {
    return object.kind === patch.kind && object.metadata.name === patch.metadata.name;
  }
  const [key = '', value] = target.labelSelector?.split('=') ?? [];
  return object.kind === target.kind && object.metadata.labels?.[key] === value;
}

/** By which field the API merges the items of a list; other lists are replaced. */
const mergeKeys: Readonly<Record<string, readonly string[]>> = {
  containers: ['name'],
  initContainers: ['name'],
  volumes: ['name'],
  env: ['name'],
  volumeMounts: ['mountPath'],
  ports: ['containerPort', 'port'],
};

function merged(base: unknown, patch: unknown, field: string): unknown {
  if (Array.isArray(base) && Array.isArray(patch)) {
    const keys = mergeKeys[field];
    if (keys === undefined) return patch;
    const keyOf = (item: Json): unknown => keys.map((key) => item[key]).find((one) => one);
    const items = base.map((item: Json) => {
      const other = patch.find((one: Json) => keyOf(one) === keyOf(item));
      return other === undefined ? item : merged(item, other, '');
    });
    const known = new Set(base.map(keyOf));
    // What is new comes first, as kustomize has it.
    return [...patch.filter((item: Json) => !known.has(keyOf(item))), ...items];
  }
  if (!isMap(base) || !isMap(patch)) return patch;
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    const present = Object.hasOwn(base, key) ? base[key] : undefined;
    result[key] = present === undefined ? value : merged(present, value, key);
  }
  return result;
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
