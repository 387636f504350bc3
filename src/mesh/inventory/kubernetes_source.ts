// Pods, services and endpoint slices of a cluster, kept up to date: list, watch from there, list again when the watch
// has lost its place.

import { setTimeout } from 'node:timers/promises';
import type { Context, Counter } from '../../pipeline/component.ts';
import { errorChain } from '../../pipeline/errors.ts';
import { type Struct, structAt, textAt } from '../struct.ts';
import type { Claim } from './claim.ts';
import { ApiError, type KubernetesApi, type Query } from './kubernetes_api.ts';
import { claimOfPod, claimOfService, claimsOfSlice } from './kubernetes_objects.ts';
import type { OwnerStore } from './store.ts';

export const kubernetesResources = ['pods', 'services', 'endpoint_slices'] as const;
export type KubernetesResource = (typeof kubernetesResources)[number];

type Kind = {
  readonly path: string;
  /** Whether objects can be asked for by node. */
  readonly hasNode: boolean;
  readonly claimsOf: (object: Struct, cluster: string | undefined) => readonly Claim[];
};

const kinds: Readonly<Record<KubernetesResource, Kind>> = {
  pods: {
    path: '/api/v1/pods',
    hasNode: true,
    claimsOf: (pod, cluster) => listOf(claimOfPod(pod, cluster)),
  },
  services: {
    path: '/api/v1/services',
    hasNode: false,
    claimsOf: (service, cluster) => listOf(claimOfService(service, cluster)),
  },
  endpoint_slices: {
    path: '/apis/discovery.k8s.io/v1/endpointslices',
    hasNode: false,
    claimsOf: claimsOfSlice,
  },
};

const listOf = (claim: Claim | undefined): readonly Claim[] => (claim === undefined ? [] : [claim]);

export type KubernetesSourceOptions = {
  readonly api: KubernetesApi;
  readonly store: OwnerStore;
  readonly degraded: Context['degraded'];
  readonly failures: Counter;
  readonly lists: Counter;
  readonly cluster: string | undefined;
  /** Only pods of this node. Services and their endpoints are read for the whole cluster all the same. */
  readonly node: string | undefined;
  readonly now: () => number;
  readonly random: () => number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
};

/** One kind of object, listed and watched. */
export class KubernetesSource {
  readonly #options: KubernetesSourceOptions;
  readonly #kind: Kind;
  readonly #consequence: string;
  readonly #prefix: string;
  readonly #query: Query;
  readonly #stop = new AbortController();
  /** The claims of each object: a slice has several. */
  readonly #keysOf = new Map<string, readonly string[]>();
  #done: Promise<void> | undefined = undefined;
  #version = '';
  #isSynced = false;

  constructor(resource: KubernetesResource, options: KubernetesSourceOptions) {
    this.#options = options;
    this.#kind = kinds[resource];
    this.#consequence = `inventory: cannot follow ${resource}, records lack what only they tell`;
    this.#prefix = `kubernetes/${resource}/`;
    const byNode = options.node !== undefined && this.#kind.hasNode;
    this.#query = byNode ? { fieldSelector: `spec.nodeName=${options.node}` } : {};
  }

  /** Whether the objects have been listed and nothing is known to be missing. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  start(): void {
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      try {
        if (this.#version === '') await this.#list();
        this.#recovered();
        const events = await this.#watch();
        // A server that ends every watch at once must not be asked without a pause.
        failures = events > 0 ? 0 : failures + 1;
        if (failures > 1) await this.#pause(failures);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        failures++;
        this.#failed(error);
        await this.#pause(failures);
      }
    }
  }

  async #list(): Promise<void> {
    const { api, store, lists, now } = this.#options;
    const stays = new Set<string>();
    this.#version = await api.list(this.#kind.path, this.#query, this.#stop.signal, (object) => {
      for (const key of this.#put(object)) stays.add(key);
    });
    store.retain(this.#prefix, stays, now());
    for (const [object, keys] of this.#keysOf) {
      if (!keys.some((key) => stays.has(key))) this.#keysOf.delete(object);
    }
    lists.add(1);
    if (this.#version === '') throw new Error('the list has no resource version');
  }

  /** Follows the changes until the server ends the watch; returns how many there were. */
  async #watch(): Promise<number> {
    const { api } = this.#options;
    const query = { ...this.#query, resourceVersion: this.#version };
    let events = 0;
    for await (const { type, object } of api.watch(this.#kind.path, query, this.#stop.signal)) {
      events++;
      if (type === 'ADDED' || type === 'MODIFIED') this.#put(object);
      else if (type === 'DELETED') this.#remove(object);
      this.#version = textAt(structAt(object, 'metadata'), 'resourceVersion') ?? this.#version;
    }
    return events;
  }

  /** Takes over what an object claims. Returns the keys of its claims. */
  #put(object: Struct): readonly string[] {
    const { store, cluster, now } = this.#options;
    const name = this.#keyOf(object);
    const claims = this.#kind.claimsOf(object, cluster);
    const keys = claims.map((claim, index) =>
      index === 0 ? name : `${name}#${claim.pod ?? index}`,
    );
    for (const key of this.#keysOf.get(name) ?? []) {
      if (!keys.includes(key)) store.delete(key, now());
    }
    claims.forEach((claim, index) => {
      store.set(keys[index]!, claim, now());
    });
    if (keys.length === 0) this.#keysOf.delete(name);
    else this.#keysOf.set(name, keys);
    return keys;
  }

  #remove(object: Struct): void {
    const { store, now } = this.#options;
    const name = this.#keyOf(object);
    for (const key of this.#keysOf.get(name) ?? []) store.delete(key, now());
    this.#keysOf.delete(name);
  }

  #keyOf(object: Struct): string {
    const metadata = structAt(object, 'metadata');
    return `${this.#prefix}${textAt(metadata, 'namespace')}/${textAt(metadata, 'name')}`;
  }

  #failed(error: unknown): void {
    const { degraded, failures } = this.#options;
    failures.add(1);
    // 410: what has happened since is lost, so that only a new list helps.
    if (error instanceof ApiError && error.status === 410) {
      this.#version = '';
      return;
    }
    if (error instanceof SyntaxError) this.#version = '';
    this.#isSynced = this.#isSynced && this.#version !== '';
    const hint =
      error instanceof ApiError && error.status === 403
        ? '; its service account needs get, list and watch on them'
        : '';
    degraded.begin(this.#consequence, `${errorChain(error)}${hint}`);
  }

  #recovered(): void {
    this.#isSynced = true;
    this.#options.degraded.end(this.#consequence);
  }

  async #pause(failures: number): Promise<void> {
    const { retryMinMs, retryMaxMs, random } = this.#options;
    const full = Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(failures - 1, 16));
    const ms = full * (0.5 + random() / 2);
    await setTimeout(ms, undefined, { signal: this.#stop.signal, ref: false }).catch(() => {});
  }
}
