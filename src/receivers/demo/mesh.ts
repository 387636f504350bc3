// A small living mesh: who runs where, and what happens to one request on its way. Every call gives two entries, one of
// the caller's proxy and one of the callee's, with the same x-request-id, as Istio's sidecars write them.

/** A pod with a sidecar, or the gateway. */
export type Pod = {
  readonly workload: string;
  readonly service: string;
  readonly version: string;
  readonly ip: string;
  readonly name: string;
  readonly port: number;
};

/** What one proxy notes down about one call. Undefined fields print as absent. */
export type Entry = {
  readonly pod: Pod;
  readonly startMs: number;
  readonly method?: string | undefined;
  readonly path?: string | undefined;
  readonly protocol?: string | undefined;
  readonly code: number;
  readonly flags?: string | undefined;
  readonly details?: string | undefined;
  readonly failure?: string | undefined;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly durationMs: number;
  readonly serviceTimeMs?: number | undefined;
  readonly forwardedFor?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly requestId?: string | undefined;
  readonly authority?: string | undefined;
  readonly upstreamHost?: string | undefined;
  readonly cluster?: string | undefined;
  readonly upstreamLocal?: string | undefined;
  readonly downstreamLocal: string;
  readonly downstreamRemote: string;
  readonly sni?: string | undefined;
  readonly route?: string | undefined;
};

/** Five letters of the alphabet in which Kubernetes writes pod names, from the address. */
function suffix(ip: string): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  let seed = Number(ip.replace(/\D/g, ''));
  return Array.from({ length: 5 }, () => {
    seed = (seed * 48271) % 2147483647;
    return alphabet[seed % alphabet.length];
  }).join('');
}

const pod = (workload: string, version: string, ip: string, port = 9080): Pod => ({
  workload,
  service: workload.replace(/-v\d$/, ''),
  version,
  ip,
  name: `${workload}-${version === '' ? '7f6c59d5b9' : '6d8f4b7c9d'}-${suffix(ip)}`,
  port,
});

export const gateway = pod('istio-ingressgateway', '', '10.244.0.5', 8080);
export const productpage = pod('productpage-v1', 'v1', '10.244.1.11');
export const details = pod('details-v1', 'v1', '10.244.1.12');
export const reviews = [
  pod('reviews-v1', 'v1', '10.244.1.21'),
  pod('reviews-v2', 'v2', '10.244.1.22'),
  pod('reviews-v3', 'v3', '10.244.1.23'),
] as const;
export const ratings = pod('ratings-v1', 'v1', '10.244.1.31');
const mongo = pod('mongodb-v1', 'v1', '10.244.2.41', 27017);

const serviceIps: Record<string, string> = {
  productpage: '10.96.11.10',
  details: '10.96.11.20',
  reviews: '10.96.11.30',
  ratings: '10.96.11.40',
  mongodb: '10.96.11.50',
};

/** What goes wrong with one call, seen from the caller's proxy. */
type Fault = { code: number; flags: string; details: string; failure?: string; ms: number };

const faults: Record<string, Fault> = {
  refused: {
    code: 503,
    flags: 'UF,URX',
    details:
      'upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}',
    failure: 'delayed_connect_error:_Connection_refused',
    ms: 2,
  },
  tls: {
    code: 503,
    flags: 'UF,URX',
    details:
      'upstream_reset_before_response_started{remote_connection_failure|TLS_error:_Secret_is_not_supplied_by_SDS}',
    failure: 'TLS_error:_Secret_is_not_supplied_by_SDS',
    ms: 1,
  },
  unhealthy: { code: 503, flags: 'UH', details: 'no_healthy_upstream', ms: 0 },
  timeout: { code: 504, flags: 'UT', details: 'response_timeout', ms: 3000 },
  left: { code: 0, flags: 'DC', details: 'downstream_remote_disconnect', ms: 840 },
};

const agents = [
  'curl/8.10.1',
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15',
];

/** Plays requests; all chance comes from `random`. */
export class Mesh {
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** All entries that one request leaves behind, in order of their start. */
  request(startMs: number): Entry[] {
    const entries: Entry[] = [];
    const call: Call = {
      requestId: this.#uuid(),
      userAgent: this.#pick(agents),
      startMs,
    };
    const client = `198.51.100.${1 + Math.floor(this.#random() * 250)}`;
    const dice = this.#random();
    if (dice < 0.01) entries.push(this.#noRoute(call, client));
    else if (dice < 0.06) this.#query(entries, call, client);
    else this.#page(entries, call, client);
    return entries.sort((a, b) => a.startMs - b.startMs);
  }

  /** The page with all its calls: productpage asks details and reviews, reviews asks ratings. */
  #page(entries: Entry[], call: Call, client: string): void {
    const { startMs } = call;
    const slow = this.#random() < 0.02 ? 1500 + this.#random() * 2500 : 0;
    const version = this.#pick(reviews);
    const inner = { ...call, startMs: startMs + 4 };
    const book = this.#hop(entries, inner, productpage, details, { path: '/details/0', ms: 4 });
    if (this.#random() < 0.1) this.#tcp(entries, startMs + 6);
    const stars = { ...call, startMs: startMs + 8 };
    const starsMs = version.version === 'v1' ? 0 : this.#stars(entries, stars, version);
    const review = this.#hop(entries, stars, productpage, version, {
      path: '/reviews/0',
      ms: 6 + starsMs + slow,
      ...this.#maybe(0.006, 'timeout'),
    });
    const code = book >= 500 && review >= 500 ? 503 : 200;
    this.#enter(entries, call, client, {
      path: '/productpage',
      ms: 14 + starsMs + slow,
      code,
      ...this.#maybe(0.008, 'left'),
    });
  }

  #stars(entries: Entry[], call: Call, version: Pod): number {
    const ms = 2 + this.#random() * 4;
    this.#hop(entries, { ...call, startMs: call.startMs + 2 }, version, ratings, {
      path: '/ratings/0',
      ms,
      ...this.#maybe(version.version === 'v3' ? 0.05 : 0.005, 'refused'),
    });
    return ms;
  }

  #query(entries: Entry[], call: Call, client: string): void {
    const code = this.#pick([404, 401, 429, 200, 200]);
    const path = this.#pick([
      '/api/v1/products/42',
      '/login',
      '/static/app.css?v=3',
      '/api/v1/cart',
    ]);
    const method = path === '/login' ? 'POST' : 'GET';
    this.#enter(entries, call, client, { path, method, ms: 3 + this.#random() * 9, code });
  }

  /** The gateway's call to productpage, with the client's address in front. */
  #enter(entries: Entry[], call: Call, client: string, step: Step): void {
    const forwarded = { ...call, forwardedFor: client, authority: 'bookinfo.example.com' };
    this.#hop(entries, forwarded, gateway, productpage, step);
  }

  /** One call: the caller's entry and, when it came through, the callee's. Returns the status the caller saw. */
  #hop(entries: Entry[], call: Call, from: Pod, to: Pod, step: Step): number {
    const fault = step.fault === undefined ? this.#background(from, to) : faults[step.fault];
    const client = this.#entry(call, from, to, step, fault);
    entries.push(client);
    if (fault === undefined || fault.flags === 'UT') {
      entries.push(this.#serverEntry(call, from, to, step, client));
    }
    return client.code;
  }

  #entry(call: Call, from: Pod, to: Pod, step: Step, fault: Fault | undefined): Entry {
    const host = `${to.service}.bookinfo.svc.cluster.local`;
    const atGateway = from === gateway;
    const subset = to.service === 'reviews' ? to.version : '';
    const ms = Math.round(fault?.ms ?? step.ms + 1);
    const connected = fault === undefined || fault.flags === 'UT' || fault.flags === 'DC';
    return {
      pod: from,
      startMs: call.startMs,
      method: step.method ?? 'GET',
      path: step.path,
      protocol: 'HTTP/1.1',
      code: fault?.code ?? step.code ?? 200,
      flags: fault?.flags,
      details: fault?.details ?? 'via_upstream',
      failure: fault?.failure,
      bytesReceived: step.method === 'POST' ? 212 : 0,
      bytesSent: fault === undefined ? 300 + Math.floor(this.#random() * 5000) : fault.code && 91,
      durationMs: ms,
      serviceTimeMs: fault === undefined ? Math.max(0, ms - 1) : undefined,
      forwardedFor: call.forwardedFor,
      userAgent: call.userAgent,
      requestId: call.requestId,
      authority: call.authority ?? `${to.service}:${to.port}`,
      upstreamHost: fault?.flags === 'UH' ? undefined : `${to.ip}:${to.port}`,
      cluster: `outbound|${to.port}|${subset}|${host}`,
      upstreamLocal: connected ? `${from.ip}:${this.#port()}` : undefined,
      downstreamLocal: atGateway
        ? `${from.ip}:${from.port}`
        : `${serviceIps[to.service] ?? to.ip}:${to.port}`,
      downstreamRemote: `${atGateway ? (call.forwardedFor ?? '') : from.ip}:${this.#port()}`,
      sni: atGateway ? 'bookinfo.example.com' : undefined,
      route: atGateway ? undefined : 'default',
    };
  }

  #serverEntry(call: Call, from: Pod, to: Pod, step: Step, client: Entry): Entry {
    const subset = to.service === 'reviews' ? to.version : '';
    const left = client.flags === 'UT';
    return {
      ...client,
      pod: to,
      startMs: call.startMs + 1,
      code: left ? 0 : (step.code ?? 200),
      flags: left ? 'DC' : undefined,
      details: left ? 'downstream_remote_disconnect' : 'via_upstream',
      durationMs: Math.max(0, client.durationMs - 1),
      serviceTimeMs: left ? undefined : Math.max(0, client.durationMs - 2),
      upstreamHost: `${to.ip}:${to.port}`,
      cluster: `inbound|${to.port}||`,
      upstreamLocal: `127.0.0.6:${this.#port()}`,
      downstreamLocal: `${to.ip}:${to.port}`,
      downstreamRemote: client.upstreamLocal ?? `${from.ip}:${this.#port()}`,
      sni: `outbound_.${to.port}_.${subset}_.${to.service}.bookinfo.svc.cluster.local`,
      route: 'default',
    };
  }

  #noRoute(call: Call, client: string): Entry {
    return {
      pod: gateway,
      startMs: call.startMs,
      method: 'GET',
      path: '/wp-login.php',
      protocol: 'HTTP/1.1',
      code: 404,
      flags: 'NR',
      details: 'route_not_found',
      bytesReceived: 0,
      bytesSent: 0,
      durationMs: 0,
      forwardedFor: client,
      userAgent: 'zgrab/0.x',
      requestId: call.requestId,
      authority: '203.0.113.7',
      downstreamLocal: `${gateway.ip}:${gateway.port}`,
      downstreamRemote: `${client}:${this.#port()}`,
    };
  }

  #tcp(entries: Entry[], startMs: number): void {
    const local = `${details.ip}:${this.#port()}`;
    const sizes = {
      bytesReceived: 200 + Math.floor(this.#random() * 2000),
      bytesSent: 2000 + Math.floor(this.#random() * 9000),
    };
    entries.push({
      pod: details,
      startMs,
      code: 0,
      ...sizes,
      durationMs: 40 + Math.floor(this.#random() * 400),
      upstreamHost: `${mongo.ip}:27017`,
      cluster: 'outbound|27017||mongodb.bookinfo.svc.cluster.local',
      upstreamLocal: local,
      downstreamLocal: `${serviceIps['mongodb']}:27017`,
      downstreamRemote: `${details.ip}:${this.#port()}`,
    });
  }

  /** Rare faults of any call between two sidecars. */
  #background(from: Pod, to: Pod): Fault | undefined {
    const dice = this.#random();
    if (from === gateway) return undefined;
    if (dice < 0.004) return faults['unhealthy'];
    return dice < 0.006 && to === details ? faults['tls'] : undefined;
  }

  #maybe(chance: number, fault: string): { fault?: string } {
    return this.#random() < chance ? { fault } : {};
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }

  #port(): number {
    return 32768 + Math.floor(this.#random() * 28000);
  }

  #uuid(): string {
    const hex = (digits: number): string =>
      Array.from({ length: digits }, () => Math.floor(this.#random() * 16).toString(16)).join('');
    return `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`;
  }
}

type Call = {
  readonly requestId: string;
  readonly userAgent: string;
  readonly startMs: number;
  readonly forwardedFor?: string;
  readonly authority?: string;
};

type Step = {
  readonly path: string;
  readonly ms: number;
  readonly method?: string;
  readonly code?: number;
  readonly fault?: string;
};
