// What Kuma 2 lets a MeshAccessLog say, written down by us: there is no package with its schemas. The fields are those of
// its CRD, and no others: the API server drops what it does not know without a word. The rules between them are those of
// its admission webhook.

import { z } from 'zod';
import type { Manifest } from './kustomize.ts';

const pairs = z.array(z.strictObject({ key: z.string().min(1), value: z.string().min(1) })).min(1);

const format = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('Plain'),
    plain: z.string().min(1),
    omitEmptyValues: z.boolean().optional(),
  }),
  z.strictObject({
    type: z.literal('Json'),
    // The webhook puts each pair between quotes and wants JSON.
    json: pairs.refine((all) => all.every(isJson), 'is not a valid JSON object'),
    omitEmptyValues: z.boolean().optional(),
  }),
]);

function isJson({ key, value }: { key: string; value: string }): boolean {
  try {
    JSON.parse(`{"${key}": "${value}"}`);
    return true;
  } catch {
    return false;
  }
}

/** host:port, as kuma-dp dials it. */
const address = z.string().regex(/^[a-z0-9.-]+:\d+$/i);

const backend = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('Tcp'),
    tcp: z.strictObject({ address, format: format.optional() }),
  }),
  z.strictObject({
    type: z.literal('File'),
    file: z.strictObject({ path: z.string().startsWith('/'), format: format.optional() }),
  }),
  z.strictObject({
    type: z.literal('OpenTelemetry'),
    openTelemetry: z.strictObject({
      // Without a port it is 4317.
      endpoint: z.string().regex(/^[a-z0-9.-]+(:\d+)?$/i),
      attributes: pairs.optional(),
      body: z.unknown().optional(),
    }),
  }),
]);

const settings = z.strictObject({ backends: z.array(backend) });

const targetRef = <K extends string>(...kinds: K[]) =>
  z.strictObject({
    kind: z.enum(kinds),
    name: z.string().optional(),
    namespace: z.string().optional(),
    sectionName: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    tags: z.record(z.string(), z.string()).optional(),
    proxyTypes: z.array(z.enum(['Sidecar', 'Gateway'])).optional(),
  });

const policy = z.strictObject({
  apiVersion: z.literal('kuma.io/v1alpha1'),
  kind: z.literal('MeshAccessLog'),
  metadata: z.strictObject({
    name: z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/),
    // On a control plane policies for a whole mesh belong to its own namespace.
    namespace: z.literal('kuma-system'),
    labels: z.looseObject({ 'kuma.io/mesh': z.string() }),
  }),
  spec: z
    .strictObject({
      targetRef: targetRef('Mesh', 'MeshSubset', 'Dataplane').optional(),
      from: z.array(z.strictObject({ targetRef: targetRef('Mesh'), default: settings })).optional(),
      rules: z.array(z.strictObject({ default: settings })).optional(),
      to: z
        .array(
          z.strictObject({
            targetRef: targetRef(
              'Mesh',
              'MeshService',
              'MeshExternalService',
              'MeshMultiZoneService',
            ),
            default: settings,
          }),
        )
        .optional(),
    })
    .refine(
      ({ from, to, rules }) => [from, to, rules].some((list) => (list?.length ?? 0) > 0),
      "at least one of 'from', 'to' or 'rules' has to be defined",
    )
    .refine(
      ({ from, to, rules }) => rules === undefined || (from === undefined && to === undefined),
      "fields 'to' and 'from' must be empty when 'rules' is defined",
    ),
});

/** What is wrong with a MeshAccessLog; empty: nothing. */
export function kumaProblem(manifest: Manifest): string {
  if (manifest.kind !== 'MeshAccessLog') return `no rules are known for ${manifest.kind}`;
  const { error } = policy.safeParse(manifest);
  return error === undefined ? '' : z.prettifyError(error);
}
