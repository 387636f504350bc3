// Pods of manifests, as far as their parts have to fit together.

import type { Manifest } from '../support/kustomize.ts';

type Probe = { httpGet: { path: string; port: string } };

export type Container = {
  name: string;
  image: string;
  args?: string[];
  terminationMessagePolicy?: string;
  env?: { name: string; value?: string }[];
  ports?: { name: string; containerPort: number }[];
  volumeMounts?: { name: string; mountPath: string }[];
  startupProbe?: Probe;
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  resources?: { limits?: Record<string, string>; requests?: Record<string, string> };
  securityContext?: object;
};

export type PodTemplate = {
  metadata: { labels: Record<string, string> };
  spec: {
    containers: Container[];
    initContainers?: Container[];
    terminationGracePeriodSeconds?: number;
    volumes?: {
      name: string;
      configMap?: { name: string };
      emptyDir?: { sizeLimit?: string };
    }[];
  };
};

/** The pods that an object makes; undefined: none. */
export function templateOf(object: Manifest): PodTemplate | undefined {
  return (object['spec'] as { template?: PodTemplate } | undefined)?.template;
}

export type Mounted = {
  template: PodTemplate;
  container: Container;
  text: string;
  directory: string;
};

/** The container that runs meshlog with a configuration, and that configuration. */
export function mountedConfig(object: Manifest, objects: readonly Manifest[]): Mounted | undefined {
  const template = templateOf(object);
  const containers = [
    ...(template?.spec.containers ?? []),
    ...(template?.spec.initContainers ?? []),
  ];
  const container = containers.find(({ args }) => args?.[0] === 'run');
  if (template === undefined || container === undefined) return undefined;
  for (const { name, mountPath } of container.volumeMounts ?? []) {
    const volume = template.spec.volumes?.find((one) => one.name === name);
    const map = objects.find(
      ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === volume?.configMap?.name,
    );
    const text = (map?.['data'] as Record<string, string> | undefined)?.['config.yaml'];
    if (text !== undefined) return { template, container, text, directory: mountPath };
  }
  return undefined;
}
