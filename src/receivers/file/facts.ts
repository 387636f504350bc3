// What the path of a file says about where its records come from.

import { readlinkSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import type { Attributes } from '../../pipeline/record.ts';

// /var/log/pods/<namespace>_<pod>_<uid>/<container>/<restarts>.log, also rotated (0.log.20250219-233547, .gz).
const podPath = /\/([^_/]+)_([^_/]+)_([^_/]+)\/([^/._][^/]*)\/(\d+)\.log(?:\.[\w-]+(?:\.gz)?)?$/;
// /var/log/containers/<pod>_<namespace>_<container>-<container id>.log, a link to the above.
const containerPath = /\/([^_/]+)_([^_/]+)_([^/]+)-([0-9a-f]{64})\.log$/;
// /var/lib/docker/containers/<container id>/<container id>-json.log, what both may link to.
const dockerPath = /\/([0-9a-f]{64})\/\1-json\.log(?:\.\d+(?:\.gz)?)?$/;

const linksMax = 8;

/** Resource facts in the path or in what it links to; the nearer name wins. */
export function resourceOfPath(path: string): Attributes {
  let facts: Attributes = {};
  let at: string | undefined = path;
  for (let i = 0; i < linksMax && at !== undefined; i++) {
    facts = { ...resourceInName(at), ...facts };
    at = linkTarget(at);
  }
  return facts;
}

/** Resource facts in one path, links not followed. */
export function resourceInName(path: string): Attributes {
  const pod = podPath.exec(path);
  if (pod !== null) {
    const [, namespace = '', name = '', uid = '', container = '', restarts = ''] = pod;
    return {
      'k8s.namespace.name': namespace,
      'k8s.pod.name': name,
      'k8s.pod.uid': uid,
      'k8s.container.name': container,
      'k8s.container.restart_count': restarts,
    };
  }
  const linked = containerPath.exec(path);
  if (linked !== null) {
    const [, name = '', namespace = '', container = '', id = ''] = linked;
    return {
      'k8s.namespace.name': namespace,
      'k8s.pod.name': name,
      'k8s.container.name': container,
      'container.id': id,
    };
  }
  const docker = dockerPath.exec(path);
  return docker === null ? {} : { 'container.id': docker[1] ?? '' };
}

function linkTarget(path: string): string | undefined {
  try {
    return resolve(dirname(path), readlinkSync(path));
  } catch {
    return undefined;
  }
}

/** Attributes that every record of the file has. */
export function attributesOfPath(
  path: string,
  options: { include_file_name: boolean; include_file_path: boolean },
): Attributes {
  return {
    ...(options.include_file_name ? { 'log.file.name': basename(path) } : {}),
    ...(options.include_file_path ? { 'log.file.path': path } : {}),
  };
}
