// A Kubernetes API server in this process: lists in pages, watches with bookmarks, and the failures of the real one.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Metadata = {
  name: string;
  namespace: string;
  resourceVersion?: string;
  [key: string]: unknown;
};
export type ApiObject = { metadata: Metadata; [key: string]: unknown };

type Watch = { path: string; node: string | undefined; response: ServerResponse };

export class FakeApi {
  readonly token = 'secret-token';
  /** Requests as `list /api/v1/pods` and `watch /api/v1/pods`, in order. */
  readonly requests: string[] = [];
  /** Answers to give instead of the next ones. */
  readonly failNext: number[] = [];
  pageItems = 2;
  url = '';
  #server: Server | undefined;
  #version = 100;
  /** Versions before this are forgotten: a watch from there gets 410. */
  #oldest = 0;
  readonly #objects = new Map<string, Map<string, ApiObject>>();
  readonly #log: { path: string; version: number; type: string; object: ApiObject }[] = [];
  readonly #watches = new Set<Watch>();

  async start(): Promise<void> {
    this.#server = createServer((request, response) => this.#answer(request, response));
    await new Promise<void>((resolve) => this.#server?.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.dropWatches();
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  put(path: string, object: ApiObject): void {
    const objects = this.#objectsAt(path);
    const key = `${object.metadata.namespace}/${object.metadata.name}`;
    const type = objects.has(key) ? 'MODIFIED' : 'ADDED';
    this.#change(path, type, object, () => objects.set(key, object));
  }

  delete(path: string, namespace: string, name: string): void {
    const objects = this.#objectsAt(path);
    const object = objects.get(`${namespace}/${name}`);
    if (object === undefined) throw new Error(`no ${namespace}/${name}`);
    this.#change(path, 'DELETED', object, () => objects.delete(`${namespace}/${name}`));
  }

  /** Tells every watch the present version without an event. */
  bookmark(): void {
    for (const { response } of this.#watches) {
      const object = { metadata: { resourceVersion: String(this.#version) } };
      response.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
    }
  }

  /** Forgets the past: who watches from an earlier version has to list again. `how`: by status or within the stream. */
  compact(): void {
    this.#oldest = ++this.#version;
  }

  /** Ends watches in the middle, as a load balancer does. */
  dropWatches(): void {
    for (const { response } of this.#watches) response.destroy();
    this.#watches.clear();
  }

  /** Says 410 inside running watches, as the real one does when it compacts. */
  expireWatches(): void {
    this.compact();
    for (const { response } of this.#watches) {
      const object = { kind: 'Status', code: 410, message: 'too old resource version' };
      response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
    }
    this.#watches.clear();
  }

  writeToWatches(text: string): void {
    for (const { response } of this.#watches) response.write(text);
  }

  get watching(): number {
    return this.#watches.size;
  }

  #objectsAt(path: string): Map<string, ApiObject> {
    let objects = this.#objects.get(path);
    if (objects === undefined) {
      objects = new Map();
      this.#objects.set(path, objects);
    }
    return objects;
  }

  #change(path: string, type: string, object: ApiObject, apply: () => void): void {
    const version = ++this.#version;
    object.metadata.resourceVersion = String(version);
    apply();
    this.#log.push({ path, version, type, object: structuredClone(object) });
    for (const watch of this.#watches) {
      if (watch.path === path && isOnNode(object, watch.node)) {
        // In two writes: a reader must not take chunks for lines.
        const line = `${JSON.stringify({ type, object })}\n`;
        watch.response.write(line.slice(0, 10));
        watch.response.write(line.slice(10));
      }
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url);
    const isWatch = url.searchParams.get('watch') === '1';
    this.requests.push(`${isWatch ? 'watch' : 'list'} ${url.pathname}`);
    const status = this.failNext.shift();
    if (status !== undefined) return refuse(response, status);
    if (request.headers.authorization !== `Bearer ${this.token}`) return refuse(response, 401);
    const node = url.searchParams.get('fieldSelector')?.replace('spec.nodeName=', '');
    if (isWatch) this.#watch(url, node, response);
    else this.#list(url, node, response);
  }

  #list(url: URL, node: string | undefined, response: ServerResponse): void {
    const all = [...this.#objectsAt(url.pathname).values()].filter((one) => isOnNode(one, node));
    const from = Number(url.searchParams.get('continue') ?? 0);
    const items = all.slice(from, from + this.pageItems);
    const next = from + this.pageItems < all.length ? String(from + this.pageItems) : undefined;
    const metadata = { resourceVersion: String(this.#version), continue: next };
    response.end(JSON.stringify({ kind: 'List', metadata, items }));
  }

  #watch(url: URL, node: string | undefined, response: ServerResponse): void {
    const since = Number(url.searchParams.get('resourceVersion'));
    if (since < this.#oldest) return refuse(response, 410);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const { path, version, type, object } of this.#log) {
      if (path !== url.pathname || version <= since || !isOnNode(object, node)) continue;
      response.write(`${JSON.stringify({ type, object })}\n`);
    }
    const watch = { path: url.pathname, node, response };
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
  }
}

function isOnNode(object: ApiObject, node: string | undefined): boolean {
  return node === undefined || (object['spec'] as { nodeName?: string })?.nodeName === node;
}

function refuse(response: ServerResponse, status: number): void {
  response.statusCode = status;
  response.end(JSON.stringify({ kind: 'Status', code: status, message: `refused with ${status}` }));
}

/** A pod as the API gives it, as far as anybody here reads it. */
export function pod(
  name: string,
  fields: { ip?: string; node?: string; service?: string; phase?: string; hostPort?: number } = {},
): ApiObject {
  const workload = name.replace(/-[^-]+-[^-]+$/, '');
  const replicaSet = name.replace(/-[^-]+$/, '');
  return {
    metadata: {
      name,
      namespace: 'bookinfo',
      labels: {
        app: fields.service ?? workload,
        'pod-template-hash': replicaSet.slice(workload.length + 1),
      },
      ownerReferences: [{ kind: 'ReplicaSet', name: replicaSet, controller: true }],
    },
    spec: {
      nodeName: fields.node ?? 'node-1',
      ...(fields.hostPort === undefined
        ? {}
        : { hostNetwork: true, containers: [{ ports: [{ containerPort: fields.hostPort }] }] }),
    },
    status: { phase: fields.phase ?? 'Running', podIP: fields.ip, podIPs: [{ ip: fields.ip }] },
  };
}

export function slice(
  service: string,
  endpoints: readonly (readonly [ip: string, pod: string])[],
): ApiObject {
  return {
    metadata: {
      name: `${service}-slice`,
      namespace: 'bookinfo',
      labels: { 'kubernetes.io/service-name': service },
    },
    endpoints: endpoints.map(([ip, name]) => ({
      addresses: [ip],
      targetRef: { kind: 'Pod', name, namespace: 'bookinfo' },
    })),
  };
}

export function service(name: string, ip: string): ApiObject {
  return { metadata: { name, namespace: 'bookinfo' }, spec: { clusterIP: ip, clusterIPs: [ip] } };
}
