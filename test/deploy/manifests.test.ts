// deploy/ without a cluster: the API's object rules, and whether manifests and mounted configurations say the same.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { catalogue } from '../../src/components.ts';
import type { Config, Instance } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { schemaProblem, typeProblems } from '../support/kubernetes.ts';
import { build, type Manifest, readManifests } from '../support/kustomize.ts';
import { application } from './application.ts';
import { type Container, mountedConfig, type PodTemplate, templateOf } from './pods.ts';

const deploy = resolve(import.meta.dirname, '../../deploy');

const folders: [string, Manifest[]][] = [
  'daemonset',
  'gateway',
  'meshes/istio',
  'meshes/gloo_mesh',
  'meshes/kuma',
  'meshes/hango',
].map((name) => [name, build(join(deploy, name))]);
folders.push(['sidecar', build(join(deploy, 'sidecar'), [application])]);

test('every folder has a README of one screen and is checked here', () => {
  const found = globSync('**/kustomization.yaml', { cwd: deploy }).map((path) => dirname(path));
  expect(found.sort()).toEqual([...folders.map(([name]) => name), 'namespace'].sort());
  for (const [name] of folders) {
    const lines = readFileSync(join(deploy, name, 'README.md'), 'utf8').split('\n');
    expect(lines.length, `${name}/README.md`).toBeLessThanOrEqual(60);
  }
});

test('every manifest in the tree belongs to a kustomization or is named in its README', () => {
  for (const path of globSync('**/*.{yaml,mjs}', { cwd: deploy })) {
    const folder = join(deploy, dirname(path));
    const name = path.slice(dirname(path).length + 1);
    const texts = ['kustomization.yaml', 'README.md']
      .map((file) => join(folder, file))
      .filter((file) => existsSync(file))
      .map((file) => readFileSync(file, 'utf8'));
    expect(name === 'kustomization.yaml' || texts.some((text) => text.includes(name)), path).toBe(
      true,
    );
  }
});

test('objects have no field that the types of the API do not know', () => {
  expect(typeProblems(folders.flatMap(([, objects]) => objects))).toBe('');
});

describe.each(folders)('%s', (name, objects) => {
  test.each(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object] as const))(
    "%s obeys the API's schema",
    async (_, object) => {
      expect(await schemaProblem(object)).toBe('');
    },
  );

  test('names, labels and ports fit together', () => {
    const pods = objects.flatMap((object) => templateOf(object) ?? []);
    for (const object of objects) {
      const of = `${object.kind} ${object.metadata.name}`;
      const spec = object['spec'] as never as Spec | undefined;
      const selector = spec?.selector?.matchLabels ?? (object.kind === 'Service' && spec?.selector);
      if (selector) {
        const fitting = pods.filter(({ metadata }) => includes(metadata.labels, selector));
        expect(fitting.length, `${of} selects pods`).toBeGreaterThan(0);
      }
      if (object.kind === 'Service') {
        const names = pods.flatMap(({ spec }) =>
          spec.containers.flatMap(({ ports = [] }) => ports.map((port) => port.name)),
        );
        for (const { targetPort } of spec?.ports ?? []) expect(names, of).toContain(targetPort);
      }
      if (object.kind === 'HorizontalPodAutoscaler') {
        const { kind, name } = spec!.scaleTargetRef!;
        expect(
          objects.some((o) => o.kind === kind && o.metadata.name === name),
          of,
        ).toBe(true);
        const target = objects.find((o) => o.kind === kind)!;
        expect(target['spec']).not.toHaveProperty('replicas');
      }
    }
  });

  test('containers have the volumes, ports, limits and rights that they ask for', () => {
    for (const template of objects.flatMap((object) => templateOf(object) ?? [])) {
      const { spec } = template;
      const volumes = (spec.volumes ?? []).map((volume) => volume.name);
      expect(new Set(volumes).size).toBe(volumes.length);
      for (const container of ours(template)) {
        for (const mount of container.volumeMounts ?? []) expect(volumes).toContain(mount.name);
        const used = (container.volumeMounts ?? []).map((mount) => mount.mountPath);
        expect(new Set(used).size).toBe(used.length);
        const ports = (container.ports ?? []).map((port) => port.name);
        for (const probe of probesOf(container)) {
          expect(ports).toContain(probe.httpGet.port);
          expect(['/healthz', '/readyz']).toContain(probe.httpGet.path);
        }
        expect(container.terminationMessagePolicy).toBe('FallbackToLogsOnError');
        expect(container.resources?.limits?.['memory']).toMatch(/^\d+Mi$/);
        expect(container.resources?.requests).toHaveProperty('cpu');
        expect(container.securityContext).toMatchObject({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
      }
    }
  });

  test('mounted configurations are right and say what the manifest says', () => {
    const mounted = objects.flatMap((object) => mountedConfig(object, objects) ?? []);
    expect(mounted.length).toBe(1);
    for (const { template, container, text, directory } of mounted) {
      const config = load(text, container);
      expect(container.args?.slice(-1)).toEqual([join(directory, 'config.yaml')]);
      const ports = (container.ports ?? []).map((port) => port.containerPort);
      for (const [address, port] of listening(config)) {
        // What the pod alone can reach needs no port of the container.
        if (!address.startsWith('127.')) expect(ports, `${address}:${port}`).toContain(port);
      }
      for (const port of ports) {
        expect(listening(config).map(([, number]) => number)).toContain(port);
      }
      const mounts = container.volumeMounts ?? [];
      const state = config.service.state_directory;
      expect(mounts.find(({ mountPath }) => mountPath === state)).toBeDefined();
      for (const include of includesOf(config)) {
        const mount = mounts.find(({ mountPath }) => include.startsWith(`${mountPath}/`));
        expect(mount, include).toBeDefined();
      }
      const grace = template.spec.terminationGracePeriodSeconds ?? 30;
      expect(grace * 1000).toBeGreaterThan(Number(config.service.grace_period));
      const volume = template.spec.volumes?.find(
        (one) => one.name === mounts.find(({ mountPath }) => mountPath === state)?.name,
      );
      const limit = volume?.emptyDir?.sizeLimit;
      if (limit !== undefined) expect(bytesOf(limit)).toBeGreaterThan(diskQueueBytes(config));
    }
  });

  test('memory limits leave room above the most that a role takes with every sink dead', () => {
    const [mounted] = objects.flatMap((object) => mountedConfig(object, objects) ?? []);
    const { service, receivers } = load(mounted!.text, mounted!.container);
    // test/crash/memory.test.ts holds the daemon to these.
    const isGateway = receivers.some(({ type }) => type === 'envoy_als' || type === 'otlp');
    const mostBytes = Number(service.memory_budget) + (isGateway ? 200 : 140) * 2 ** 20;
    const { limits, requests } = mounted!.container.resources ?? {};
    expect(bytesOf(limits?.['memory'] ?? '')).toBeGreaterThanOrEqual(1.5 * mostBytes);
    expect(bytesOf(limits?.['memory'] ?? '')).toBeLessThanOrEqual(2 * mostBytes);
    const rate = name === 'sidecar' ? '1,000' : '10,000';
    const row = new RegExp(`^\\| ${rate} \\|.*\\| (\\d+) \\|$`, 'm');
    const [, measuredMib] = row.exec(readFileSync(join(deploy, 'README.md'), 'utf8')) ?? [];
    expect(bytesOf(requests?.['memory'] ?? '')).toBeGreaterThan(Number(measuredMib) * 2 ** 20);
  });

  test('what is sent inside the cluster goes to a service of the gateways', () => {
    const [, gateway] = folders.find(([folder]) => folder === 'gateway')!;
    const services = [...objects, ...gateway].filter(({ kind }) => kind === 'Service');
    for (const [host, port] of targetsOf(join(deploy, name))) {
      const [service = '', namespace] = host.split('.');
      const found = services.filter(
        ({ metadata }) => metadata.name === service && metadata.namespace === namespace,
      );
      const ports = found.flatMap((one) => (one['spec'] as never as Spec).ports ?? []);
      expect(
        ports.map((one) => one.port),
        `${host}:${port}`,
      ).toContain(port);
    }
  });
});

type Spec = {
  selector?: { matchLabels?: Record<string, string> } & Record<string, string>;
  ports?: { port: number; targetPort: string }[];
  scaleTargetRef?: { kind: string; name: string };
};

const includes = (labels: Record<string, string> = {}, selector: object): boolean =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

/** The containers that meshlog brings: not those of the application that gets a sidecar. */
function ours({ spec }: PodTemplate): Container[] {
  return [...spec.containers, ...(spec.initContainers ?? [])].filter(({ image }) =>
    image.startsWith('meshlog'),
  );
}

const probesOf = ({ startupProbe, livenessProbe, readinessProbe }: Container) =>
  [startupProbe, livenessProbe, readinessProbe].filter((probe) => probe !== undefined);

function load(text: string, container: Container): Config {
  // A variable of the container, or one that Kubernetes fills in: whatever it is, it is there.
  const env = Object.fromEntries(
    (container.env ?? []).map(({ name, value }) => [name, value ?? 'filled-in']),
  );
  const { config, problems, warnings } = loadConfig(
    [{ file: 'config.yaml', text, directory: '/etc/meshlog' }],
    catalogue,
    env,
  );
  expect(problems.map(({ message }) => message)).toEqual([]);
  // A variable that is not set is a warning.
  expect(warnings.map(({ message }) => message).filter((one) => /variable/.test(one))).toEqual([]);
  return config!;
}

/** Every address and port that the configuration opens. */
function listening(config: Config): [string, number][] {
  const found: [string, number][] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { host, port } = value as { host?: unknown; port?: unknown };
    if (typeof host === 'string' && typeof port === 'number') found.push([host, port]);
    else for (const inner of Object.values(value)) visit(inner);
  };
  for (const { config: settings } of config.receivers) visit(settings);
  visit(config.service.admin);
  return found;
}

const includesOf = (config: Config): string[] =>
  config.receivers.flatMap((instance: Instance) =>
    instance.type === 'file' ? (instance.config as { include: string[] }).include : [],
  );

function diskQueueBytes(config: Config): number {
  const queues = config.exporters.map(
    ({ config: settings }) => (settings as { queue: { type: string; size: number } }).queue,
  );
  return queues
    .filter(({ type }) => type === 'disk')
    .reduce((sum, { size }) => sum + Number(size), 0);
}

const units: Readonly<Record<string, number>> = { Mi: 2 ** 20, Gi: 2 ** 30 };
const bytesOf = (text: string): number =>
  Number.parseInt(text, 10) * (units[text.replace(/\d+/, '')] ?? Number.NaN);

/** host:port of the gateways, wherever a file of the folder names one. */
function targetsOf(folder: string): [string, number][] {
  return globSync('*.yaml', { cwd: folder }).flatMap((name) => {
    const text = readFileSync(join(folder, name), 'utf8');
    const addresses = [...text.matchAll(/(meshlog-gateway[\w.-]*):(\d+)/g)];
    const services = [...text.matchAll(/service: (meshlog-gateway[\w.-]*)\s+port: (\d+)/g)];
    return [...addresses, ...services].map(([, host = '', port]): [string, number] => [
      host,
      Number(port),
    ]);
  });
}

test('the test of targets sees them', () => {
  expect(targetsOf(join(deploy, 'meshes/istio')).length).toBeGreaterThan(2);
  expect(targetsOf(join(deploy, 'daemonset')).length).toBe(1);
});

test('the Telemetry of Istio names providers that its values define', () => {
  const { meshConfig } = parse(readFileSync(join(deploy, 'meshes/istio/values.yaml'), 'utf8')) as {
    meshConfig: { extensionProviders: { name: string }[] };
  };
  const [telemetry] = readManifests(join(deploy, 'meshes/istio/telemetry.yaml'));
  const { accessLogging } = telemetry!['spec'] as never as {
    accessLogging: { providers: { name: string }[] }[];
  };
  const names = meshConfig.extensionProviders.map((provider) => provider.name);
  const used = accessLogging.flatMap(({ providers }) => providers.map((provider) => provider.name));
  expect(used.length).toBeGreaterThan(0);
  for (const name of used) expect(names).toContain(name);
});
