// The rules for Kuma's policies are ours: that they see what Kuma refuses, and that every backend of the deployed
// policies speaks to something that listens, is shown here.

import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { kumaProblem } from '../support/kuma.ts';
import { build, type Manifest, readManifests } from '../support/kustomize.ts';
import { mountedConfig } from './pods.ts';

const folder = resolve(import.meta.dirname, '../../deploy/meshes/kuma');
const policies = readManifests(join(folder, 'mesh_access_log.yaml'));
const whole = JSON.stringify(policies);

test.each([
  ['a field that does not exist', '"path":"/dev/stdout"', '"path":"/dev/stdout","rotate":true'],
  ['a backend without its section', '"tcp":{', '"file":{"path":"/x"},"udp":{'],
  ['a type that does not exist', '"type":"File"', '"type":"Stdout"'],
  ['a relative path', '/dev/stdout', 'stdout'],
  ['an address without a port', 'meshlog-gateway.meshlog:5170', 'meshlog-gateway.meshlog'],
  ['a namespace of its own', '"namespace":"kuma-system"', '"namespace":"meshlog"'],
  ['a list that is misspelled', '"to":[', '"too":['],
  ['an attribute without a value', '"value":"%KUMA_MESH%"', '"valu":"%KUMA_MESH%"'],
  [
    'callers that are no mesh',
    '"from":[{"targetRef":{"kind":"Mesh"',
    '"from":[{"targetRef":{"kind":"MeshService"',
  ],
])("Kuma's rules refuse %s", (_, right, wrong) => {
  expect(whole).toContain(right);
  const changed = JSON.parse(whole.replace(right, wrong)) as Manifest[];
  expect(changed.map(kumaProblem).filter(Boolean)).toHaveLength(1);
  expect(policies.map(kumaProblem)).toEqual(policies.map(() => ''));
});

test('all three backends of Kuma are shown, and each finds a receiver of the mounted configuration', () => {
  const types = [...whole.matchAll(/"type":"(\w+)"/g)].map(([, type]) => type);
  expect(types.sort()).toEqual(['File', 'OpenTelemetry', 'Tcp']);
  const objects = build(folder);
  const [mounted] = objects.flatMap((object) => mountedConfig(object, objects) ?? []);
  const ports = [...whole.matchAll(/meshlog-gateway\.meshlog:(\d+)/g)].map(([, port]) => port);
  expect(ports).toEqual(['4317', '5170']);
  for (const port of ports) expect(mounted?.text).toContain(`endpoint: 0.0.0.0:${port}`);
});
