// The Kubernetes API as far as an inventory needs it: lists in pages, watches line by line.

import { readFileSync } from 'node:fs';
import type { Agent, Dispatcher } from 'undici';
import { isStruct, listAt, numberAt, type Struct, structAt, textAt } from '../struct.ts';

const account = '/var/run/secrets/kubernetes.io/serviceaccount';
const pageItems = 500;
const lineBytesMax = 16 * 1024 * 1024;
const pageBytesMax = 256 * 1024 * 1024;

/** The server closes a watch after this long, and it is begun anew: a connection that died is noticed by then. */
const watchSeconds = 290;

export type ApiOptions = {
  /** `https://host:port`; undefined: the one that the pod's environment names. */
  readonly server: string | undefined;
  readonly tokenFile: string | undefined;
  readonly caFile: string | undefined;
};

export type WatchEvent = { readonly type: string; readonly object: Struct };

/** The API refused a request. 410: the resource version is too old to go on from. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
  }
}

export class KubernetesApi {
  readonly #server: string;
  readonly #tokenFile: string | undefined;
  readonly #ca: string | undefined;
  #agent: Promise<Agent> | undefined;

  /** Throws when no server is named anywhere. */
  constructor(options: ApiOptions) {
    const isInCluster = options.server === undefined;
    this.#server = options.server ?? serverOfPod();
    this.#tokenFile = options.tokenFile ?? (isInCluster ? `${account}/token` : undefined);
    const caFile = options.caFile ?? (isInCluster ? `${account}/ca.crt` : undefined);
    this.#ca = caFile === undefined ? undefined : readFileSync(caFile, 'utf8');
  }

  /** Hands every item of a list to `each`; returns the version from which a watch goes on. */
  async list(path: string, query: Query, signal: AbortSignal, each: (item: Struct) => void) {
    let next: string | undefined;
    let version = '';
    do {
      const page = await this.#page(path, { ...query, limit: pageItems, continue: next }, signal);
      const metadata = structAt(page, 'metadata');
      version = textAt(metadata, 'resourceVersion') ?? version;
      next = textAt(metadata, 'continue');
      for (const item of listAt(page, 'items')) if (isStruct(item)) each(item);
    } while (next !== undefined);
    return version;
  }

  /** Events since a version, until the server ends the watch. Throws ApiError 410 when the version is gone. */
  async *watch(path: string, query: Query, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const body = await this.#get(
      path,
      { ...query, watch: 1, allowWatchBookmarks: 'true', timeoutSeconds: watchSeconds },
      signal,
    );
    for await (const line of linesOf(body)) {
      const event: unknown = JSON.parse(line);
      const object = structAt(event, 'object');
      const type = textAt(event, 'type');
      if (object === undefined || type === undefined) continue;
      if (type === 'ERROR') {
        throw new ApiError(
          numberAt(object, 'code') ?? 0,
          textAt(object, 'message') ?? 'watch error',
        );
      }
      yield { type, object };
    }
  }

  async close(): Promise<void> {
    await (await this.#agent)?.destroy();
  }

  async #page(path: string, query: Query, signal: AbortSignal): Promise<unknown> {
    const body = await this.#get(path, query, signal);
    return JSON.parse((await bytesOf(body, pageBytesMax)).toString()) as unknown;
  }

  async #get(
    path: string,
    query: Query,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData['body']> {
    const url = new URL(path, this.#server);
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const token = this.#token();
    this.#agent ??= agentFor(this.#ca);
    const { statusCode, body } = await (await this.#agent).request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'GET',
      signal,
      headers: {
        accept: 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    });
    if (statusCode === 200) return body;
    const text = (await bytesOf(body, 64 * 1024).catch(() => Buffer.alloc(0))).toString();
    throw new ApiError(statusCode, `${statusCode} ${messageOf(text)}`);
  }

  /** Read for every request: the kubelet renews the file within the hour. */
  #token(): string | undefined {
    return this.#tokenFile === undefined ? undefined : readFileSync(this.#tokenFile, 'utf8').trim();
  }
}

/** Loaded when it is wanted: it takes memory and time that nearly nobody has a use for. */
async function agentFor(ca: string | undefined): Promise<Agent> {
  const { Agent } = await import('undici');
  return new Agent({
    // One watch occupies a connection of HTTP/1.1; a stream each of HTTP/2 would share one that may hang.
    allowH2: false,
    headersTimeout: 60_000,
    bodyTimeout: (watchSeconds + 30) * 1000,
    connect: ca === undefined ? {} : { ca },
  });
}

export type Query = Readonly<Record<string, string | number | undefined>>;

function serverOfPod(): string {
  const host = process.env['KUBERNETES_SERVICE_HOST'];
  const port = process.env['KUBERNETES_SERVICE_PORT'] ?? '443';
  if (host === undefined) {
    throw new Error(
      'cannot find the Kubernetes API: KUBERNETES_SERVICE_HOST is not set, so this is no pod; set "server"',
    );
  }
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function messageOf(text: string): string {
  try {
    return textAt(JSON.parse(text), 'message') ?? text.slice(0, 200);
  } catch {
    return text.slice(0, 200);
  }
}

async function bytesOf(body: AsyncIterable<Buffer>, max: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > max) throw new Error(`the answer is larger than ${max} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function* linesOf(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of body) {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
      if (end > 0) yield bytes.toString('utf8', 0, end);
      bytes = bytes.subarray(end + 1);
    }
    rest = bytes;
    if (rest.length > lineBytesMax)
      throw new Error(`an event is larger than ${lineBytesMax} bytes`);
  }
}
