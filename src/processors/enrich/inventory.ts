// The inventory of an enrich processor: configuration, sources, life.

import { resolve } from 'node:path';
import { z } from 'zod';
import { duration } from '../../config/fields.ts';
import { FileSource } from '../../mesh/inventory/file_source.ts';
import { emptyInventory, type Inventory } from '../../mesh/inventory/inventory.ts';
import { KubernetesApi } from '../../mesh/inventory/kubernetes_api.ts';
import { KubernetesSource, kubernetesResources } from '../../mesh/inventory/kubernetes_source.ts';
import { OwnerStore } from '../../mesh/inventory/store.ts';
import type { Context } from '../../pipeline/component.ts';

const kubernetes = z.strictObject({
  server: z
    .string()
    .url()
    .optional()
    .describe('URL of the API; absent: the one of the cluster in which meshlog runs as a pod.'),
  token_file: z
    .string()
    .optional()
    .describe('File with the bearer token; absent: the service account of the pod.'),
  ca_file: z
    .string()
    .optional()
    .describe('CA of the API, PEM; absent: the service account of the pod.'),
  node: z
    .string()
    .min(1)
    .optional()
    .describe('Only the pods of this node, for a DaemonSet. Others are known by their services.'),
  resources: z
    .array(z.enum(kubernetesResources))
    .min(1)
    .default([...kubernetesResources])
    .describe('What is listed and watched; the service account needs get, list and watch on it.'),
  retry_min: duration().prefault('1s').describe('Pause after a first failure.'),
  retry_max: duration().prefault('30s').describe('Longest pause between tries.'),
});

export const inventoryConfig = z.strictObject({
  file: z
    .union([z.string(), z.array(z.string())])
    .optional()
    .describe(
      'YAML or JSON: own entries, Kubernetes objects, data planes of Kuma, workloads of Gloo Mesh or Istio.',
    ),
  reload_interval: duration()
    .prefault('10s')
    .describe('How often files are looked at; a bad new file leaves the old one in use.'),
  kubernetes: kubernetes.optional().describe('Pods, services and endpoint slices of a cluster.'),
  grace: duration()
    .prefault('5m')
    .describe('How long the owner of an address is known after it has gone: logs come late.'),
});

export type InventoryConfig = z.output<typeof inventoryConfig>;

export type OpenInventory = { readonly inventory: Inventory; stop(): Promise<void> };

/** Opens the sources. Throws when a file cannot be used; the API may be away. */
export function openInventory(
  config: InventoryConfig | undefined,
  context: Context,
  cluster: string | undefined,
): OpenInventory {
  if (config === undefined) return { inventory: emptyInventory, stop: async () => {} };
  const store = new OwnerStore(config.grace);
  const files = openFiles(config, store, context);
  const api = config.kubernetes && new KubernetesApi(apiOptions(config.kubernetes));
  const watches = api === undefined ? [] : openWatches(config, store, { api, context, cluster });
  const removeGauges = gauges(store, watches, context);
  const expiry = setInterval(() => store.expire(context.now()), Math.max(1000, config.grace / 4));
  expiry.unref();
  return {
    inventory: store,
    stop: async () => {
      clearInterval(expiry);
      for (const remove of removeGauges) remove();
      for (const file of files) file.close();
      await Promise.all(watches.map((watch) => watch.stop()));
      await api?.close();
      context.degraded.leave();
    },
  };
}

function openFiles(config: InventoryConfig, store: OwnerStore, context: Context): FileSource[] {
  const paths = config.file === undefined ? [] : [config.file].flat();
  const files = paths.map(
    (path) =>
      new FileSource({
        path: resolve(context.baseDirectory, path),
        store,
        log: context.log,
        failures: failureCounter(context, 'file'),
        now: () => context.now(),
      }),
  );
  for (const file of files) file.load();
  for (const file of files) file.watch(config.reload_interval);
  return files;
}

type Watching = { api: KubernetesApi; context: Context; cluster: string | undefined };

function openWatches(
  config: InventoryConfig,
  store: OwnerStore,
  { api, context, cluster }: Watching,
): KubernetesSource[] {
  const settings = config.kubernetes;
  if (settings === undefined) return [];
  const lists = context.metrics.counter(
    'meshlog_inventory_lists_total',
    'Times that the Kubernetes API was asked for all objects of a kind.',
    { processor: context.id },
  );
  const watches = settings.resources.map(
    (resource) =>
      new KubernetesSource(resource, {
        api,
        store,
        lists,
        degraded: context.degraded,
        failures: failureCounter(context, 'kubernetes'),
        cluster,
        node: settings.node,
        now: () => context.now(),
        random: () => context.random(),
        retryMinMs: settings.retry_min,
        retryMaxMs: settings.retry_max,
      }),
  );
  for (const watch of watches) watch.start();
  return watches;
}

function apiOptions(settings: NonNullable<InventoryConfig['kubernetes']>) {
  return {
    server: settings.server,
    tokenFile: settings.token_file,
    caFile: settings.ca_file,
  };
}

function failureCounter(context: Context, source: string) {
  return context.metrics.counter(
    'meshlog_inventory_failures_total',
    'Inventory files that could not be used, and failed requests to the Kubernetes API.',
    { processor: context.id, source },
  );
}

function gauges(
  store: OwnerStore,
  watches: readonly KubernetesSource[],
  { id, metrics }: Context,
): (() => void)[] {
  const labels = { processor: id };
  const addresses = metrics.gauge(
    'meshlog_inventory_addresses',
    'Addresses with a known owner.',
    labels,
    () => store.addresses,
  );
  if (watches.length === 0) return [addresses];
  const synced = metrics.gauge(
    'meshlog_inventory_synced',
    '1 when all objects of the Kubernetes API have been listed and are followed.',
    labels,
    () => (watches.every((watch) => watch.isSynced) ? 1 : 0),
  );
  return [addresses, synced];
}
