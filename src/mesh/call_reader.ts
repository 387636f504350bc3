// Who called whom: a row's cluster, addresses, server name, authority, peers and identities, put together by rules.
// What a value means is worked out once per distinct value, and what a combination of them means once per combination.

import type { Batch } from '../pipeline/batch.ts';
import type { AddressCell } from './address_book.ts';
import { Call, partyRules } from './call.ts';
import type { SelfFacts } from './call_facts.ts';
import { CallMemo } from './call_memo.ts';
import type { Direction } from './cluster_name.ts';
import { nameDestination } from './destination.ts';
import { Judge, type Reporter, reporterRules, type Sight, type Verdict } from './reporter.ts';
import { type CallOptions, holds, Scene } from './scene.ts';
import { nameSource } from './source.ts';

export class CallReader {
  readonly #scene: Scene;
  readonly #judge: Judge;
  readonly #verdict: Verdict;
  readonly #sight: Sight;
  readonly #calls: CallMemo;
  /** The proxies whose address was noted in this batch last, by the way of the call. */
  #notedInbound: SelfFacts | undefined = undefined;
  #notedOutbound: SelfFacts | undefined = undefined;

  constructor(options: CallOptions) {
    const scene = new Scene(options);
    this.#scene = scene;
    this.#judge = new Judge(scene.book);
    this.#verdict = this.#judge.verdict;
    this.#calls = new CallMemo(scene.key.length);
    this.#sight = {
      direction: undefined,
      isSaid: false,
      purpose: 'unknown',
      clusterPort: -1,
      role: undefined,
      known: undefined,
      ownIp: undefined,
      source: scene.source,
      local: scene.local,
      upstream: scene.upstream,
      upstreamLocal: scene.upstreamLocal,
      localPort: -1,
      meshServerName: false,
    };
  }

  /** The proxy behind the row that was read last. */
  get self(): SelfFacts {
    return this.#scene.self;
  }

  /** Whether the last row's server name is one that only Istio's proxies set, over mutual TLS. */
  get hasMeshServerName(): boolean {
    return this.#scene.hasMeshServerName;
  }

  /** To be called before the rows of a batch are read. `renewed`: the codes of the names start anew. */
  begin(batch: Batch, renewed: boolean): void {
    if (renewed) this.#calls.clear();
    this.#notedInbound = undefined;
    this.#notedOutbound = undefined;
    this.#scene.begin(batch, renewed);
  }

  /** The answer for a row. */
  read(row: number): Call {
    const scene = this.#scene;
    scene.look(row);
    this.#direction(row);
    const isNoted =
      this.#verdict.direction === 'inbound' ? this.#notedInbound : this.#notedOutbound;
    if (isNoted !== scene.self) this.#note();
    scene.gather(row, this.#verdict);
    const known = this.#calls.get(scene.key, scene.keyLength);
    if (known !== undefined) return known;
    this.#note();
    const call = this.#answer();
    this.#calls.set(scene.key, scene.keyLength, call);
    return call;
  }

  /** The cell with the caller's address: the proxy's own on the way out, the peer's on the way in. */
  sourceAddress(call: Call): AddressCell {
    const { source, direct, local, upstreamLocal, options } = this.#scene;
    if (call.direction === 'outbound') {
      if (upstreamLocal.isThere) return upstreamLocal;
      return call.reporter === 'gateway' ? local : source;
    }
    if (call.isKuma && options.inboundSourceAddress === 'proxy') return local;
    return direct.isThere ? direct : source;
  }

  #answer(): Call {
    const call = new Call();
    const { self, isKuma } = this.#scene;
    call.direction = this.#verdict.direction;
    call.reporter = this.#verdict.reporter;
    call.reporterRule = this.#verdict.rule;
    call.isKuma = isKuma;
    call.zone = self.zone;
    call.meshName = self.meshName;
    nameSource(this.#scene, call);
    nameDestination(this.#scene, call);
    const isCalled = call.reporter === 'destination' && isNameOfService(call.destinationRule);
    if (isCalled) this.#scene.facts.learnService(this.#scene.self, call.destination);
    return call;
  }

  #direction(row: number): void {
    const scene = this.#scene;
    const sight = this.#sight;
    const { name, port } = scene.cluster;
    sight.direction = name.direction ?? this.#said(row);
    sight.isSaid = name.direction === undefined;
    sight.purpose = name.purpose;
    sight.clusterPort = port;
    sight.role = scene.self.self.role;
    sight.known = scene.self.reporter;
    sight.ownIp = scene.self.self.ip;
    sight.meshServerName = scene.hasMeshServerName;
    sight.localPort = holds(scene.columns.upstreamLocal, row) ? -1 : scene.local.port;
    this.#judge.decide(sight);
    if (scene.options.reporter !== undefined) this.#configured(scene.options.reporter);
  }

  /**
   * Remembers the own address of the proxy where it is certain: other rows and streams may show it from outside. Once
   * per batch and proxy is enough, and once per answer where a stream does not tell its proxies apart.
   */
  #note(): void {
    const { direction, reporter, rule } = this.#verdict;
    const { book, self, local, upstreamLocal } = this.#scene;
    if (direction === 'inbound') this.#notedInbound = self;
    else this.#notedOutbound = self;
    const owner = self.self.evidence === undefined ? undefined : self;
    if (reporter === 'destination') {
      if (rule === reporterRules.cluster_name) book.note(local, 'sidecar', owner);
      return;
    }
    if (reporter === undefined || !certainRules.has(rule)) return;
    book.note(upstreamLocal, reporter === 'gateway' ? 'gateway' : 'sidecar', owner);
    if (owner !== undefined) self.reporter = reporter;
  }

  /** The direction in the record itself, as Kuma's formats print it or let it be seen: only callers are known by name. */
  #said(row: number): Direction | undefined {
    const { batch, view, facts } = this.#scene;
    const { saidDirection, saidSource, saidDestination } = this.#scene.columns;
    if (saidDirection !== undefined) {
      const direction = facts.words.at(batch, view, saidDirection, row);
      if (direction === 'inbound' || direction === 'outbound') return direction;
    }
    if (saidSource === undefined || saidDestination === undefined) return undefined;
    const source = facts.words.at(batch, view, saidSource, row);
    const destination = facts.words.at(batch, view, saidDestination, row);
    if (source === undefined || destination === undefined) return undefined;
    if (source !== 'unknown') return 'outbound';
    return destination === 'unknown' ? undefined : 'inbound';
  }

  #configured(reporter: Reporter): void {
    const verdict = this.#verdict;
    verdict.reporter = reporter;
    verdict.rule = reporterRules.configured;
    verdict.direction ??= reporter === 'destination' ? 'inbound' : 'outbound';
  }
}

/** Rules that do not guess where the proxy stands. */
const certainRules: ReadonlySet<number> = new Set([
  reporterRules.addresses,
  reporterRules.node,
  reporterRules.stream,
]);

/** Whether the rule took the name under which the workload was called. */
function isNameOfService(rule: number): boolean {
  return rule === partyRules.cluster_name || rule === partyRules.server_name;
}
