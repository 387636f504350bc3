// The claims of all sources, by address. Several may speak of one address: a pod, the services that lead to it, and the
// pod that had it before.

import type { Party } from '../party.ts';
import { workloadOfPod } from '../workload_name.ts';
import type { Claim } from './claim.ts';
import type { Inventory, Owners } from './inventory.ts';

type Held = {
  readonly claim: Claim;
  readonly port: number | undefined;
  /** When the resource went away; its addresses are known for some time after. */
  goneMs: number | undefined;
};

export class OwnerStore implements Inventory {
  readonly isUsed = true;
  generation = 1;
  readonly #graceMs: number;
  readonly #claims = new Map<string, Claim>();
  readonly #byIp = new Map<string, Held[]>();
  readonly #byPod = new Map<string, Claim>();
  readonly #byName = new Map<string, Claim[]>();
  /** Parties by content: replicas share one. */
  readonly #parties = new Map<string, Party>();
  /** Addresses of what went away, oldest first. */
  #gone: { ip: string; held: Held }[] = [];

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /** Addresses with an owner, those in their grace time included. */
  get addresses(): number {
    return this.#byIp.size;
  }

  /** Puts the claim of a resource in the place of its former one. `key` names source and resource. */
  set(key: string, given: Claim, nowMs: number): void {
    const former = this.#claims.get(key);
    if (former !== undefined) {
      // Most changes of a pod are no change of what it claims.
      if (isSame(former, given)) return;
      this.#drop(former, nowMs);
    }
    const claim = { ...given, party: this.#intern(given.party) };
    this.#claims.set(key, claim);
    for (const { ip, port } of claim.addresses) {
      const held = { claim, port, goneMs: undefined };
      const known = this.#byIp.get(ip);
      if (known === undefined) this.#byIp.set(ip, [held]);
      else known.push(held);
    }
    if (claim.pod !== undefined && claim.kind === 'workload') {
      this.#byPod.set(podKey(claim), claim);
    }
    if (claim.kind === 'name') {
      this.#byName.set(nameKey(claim), [...(this.#byName.get(nameKey(claim)) ?? []), claim]);
    }
    this.generation++;
  }

  delete(key: string, nowMs: number): void {
    const claim = this.#claims.get(key);
    if (claim === undefined) return;
    this.#claims.delete(key);
    this.#drop(claim, nowMs);
    this.generation++;
  }

  /** Forgets the claims of keys that begin so and that `stays` does not name: what a new list no longer has. */
  retain(prefix: string, stays: ReadonlySet<string>, nowMs: number): void {
    for (const key of [...this.#claims.keys()]) {
      if (key.startsWith(prefix) && !stays.has(key)) this.delete(key, nowMs);
    }
  }

  /** Forgets addresses whose grace time is over. Returns how many wait for that. */
  expire(nowMs: number): number {
    let expired = 0;
    for (const { ip, held } of this.#gone) {
      if ((held.goneMs ?? 0) + this.#graceMs > nowMs) break;
      expired++;
      this.#remove(ip, held);
    }
    if (expired > 0) {
      this.#gone = this.#gone.slice(expired);
      this.generation++;
    }
    return this.#gone.length;
  }

  byIp(ip: string): Owners | undefined {
    const held = this.#byIp.get(ip);
    if (held === undefined) return undefined;
    const living = held.filter(({ goneMs }) => goneMs === undefined);
    // Of those that are gone only the last had the address.
    const claims = living.length > 0 ? living : held.slice(-1);
    const ports = new Set(claims.map(({ port }) => port).filter((port) => port !== undefined));
    const whole = claims.filter(({ port }) => port === undefined);
    const byPort = new Map<number, Party>();
    for (const port of ports) {
      const party = this.#merge([...claims.filter((one) => one.port === port), ...whole]);
      if (party !== undefined) byPort.set(port, party);
    }
    return {
      any: this.#merge(whole.length > 0 ? whole : claims),
      byPort: byPort.size === 0 ? undefined : byPort,
    };
  }

  byPod(namespace: string, pod: string): Party | undefined {
    const claim = this.#byPod.get(`${namespace}/${pod}`);
    if (claim !== undefined) {
      const [address] = claim.addresses;
      const endpoints = (address === undefined ? [] : (this.#byIp.get(address.ip) ?? [])).filter(
        (held) => held.claim.pod === undefined || held.claim.pod === pod,
      );
      return this.#merge([{ claim, port: undefined, goneMs: undefined }, ...endpoints]);
    }
    const named = this.#byName.get(`${namespace}/${workloadOfPod(pod)}`);
    if (named === undefined) return undefined;
    // The same workload in several clusters: which one, the name does not say.
    const [first] = named;
    const isOne = new Set(named.map(({ party }) => party.cluster)).size === 1;
    return first && this.#intern(isOne ? first.party : { ...first.party, cluster: undefined });
  }

  /** One party from several claims; undefined when they are different workloads. */
  #merge(held: readonly Held[]): Party | undefined {
    const claims = [...new Set(held.map(({ claim }) => claim))];
    const workloads = claims.filter(({ kind }) => kind === 'workload');
    const [workload] = workloads;
    const pods = new Set(workloads.map(({ party, pod }) => pod ?? contentOf(party)));
    if (pods.size > 1) return undefined;
    const services = claims.filter(({ kind }) => kind === 'endpoint' || kind === 'service');
    const service = chosenService(services, workload?.party.service);
    if (workload === undefined) return service && this.#intern(service.party);
    // What lies in another namespace is somebody else's.
    const fits = service !== undefined && service.party.namespace === workload.party.namespace;
    const name = fits ? service.party.service : undefined;
    return this.#intern({ ...workload.party, service: name ?? workload.party.service });
  }

  /** A claim that holds no longer. Its addresses and its pod are known until the grace time is over. */
  #drop(claim: Claim, nowMs: number): void {
    if (claim.kind === 'name') {
      const others = (this.#byName.get(nameKey(claim)) ?? []).filter((other) => other !== claim);
      if (others.length === 0) this.#byName.delete(nameKey(claim));
      else this.#byName.set(nameKey(claim), others);
    }
    if (claim.addresses.length === 0) this.#dropPod(claim);
    for (const { ip } of claim.addresses) {
      for (const held of this.#byIp.get(ip) ?? []) {
        if (held.claim !== claim || held.goneMs !== undefined) continue;
        held.goneMs = nowMs;
        this.#gone.push({ ip, held });
      }
    }
  }

  #dropPod(claim: Claim): void {
    if (this.#byPod.get(podKey(claim)) === claim) this.#byPod.delete(podKey(claim));
  }

  #remove(ip: string, held: Held): void {
    this.#dropPod(held.claim);
    const others = (this.#byIp.get(ip) ?? []).filter((other) => other !== held);
    if (others.length === 0) this.#byIp.delete(ip);
    else this.#byIp.set(ip, others);
  }

  #intern(party: Party): Party {
    const key = contentOf(party);
    const known = this.#parties.get(key);
    if (known !== undefined) return known;
    if (this.#parties.size > partiesMax) this.#parties.clear();
    this.#parties.set(key, party);
    return party;
  }
}

/** Interned parties before the table starts over: more than the workloads of any cluster. */
const partiesMax = 50_000;

/** The service under the workload's own name if there is one, else the first by name: the answer must not flicker. */
function chosenService(claims: readonly Claim[], canonical: string | undefined): Claim | undefined {
  const own = claims.find(({ party }) => party.service === canonical);
  if (own !== undefined) return own;
  return [...claims].sort((a, b) =>
    (a.party.service ?? '') < (b.party.service ?? '') ? -1 : 1,
  )[0];
}

const podKey = ({ party, pod }: Claim): string => `${party.namespace}/${pod}`;
const nameKey = ({ party }: Claim): string => `${party.namespace}/${party.workload}`;

const contentOf = (party: Party): string =>
  [
    party.service,
    party.workload,
    party.namespace,
    party.cluster,
    party.identity,
    party.zone,
    party.mesh,
  ].join('\n');

function isSame(left: Claim, right: Claim): boolean {
  if (left.kind !== right.kind || left.pod !== right.pod) return false;
  if (contentOf(left.party) !== contentOf(right.party)) return false;
  if (left.addresses.length !== right.addresses.length) return false;
  return left.addresses.every(({ ip, port }, index) => {
    const other = right.addresses[index];
    return other?.ip === ip && other.port === port;
  });
}
