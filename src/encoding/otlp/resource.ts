// The resource of OTLP as facts of a batch. Others keep what they derive by the object, so that the same resource has to
// be the same object again.

import type { AnyValue, Attributes } from '../../pipeline/record.ts';
import { readKeyValues } from './any_value_reader.ts';

/** The labels that Envoy's access logger adds, under the names that a node has elsewhere. */
const envoyLabels: ReadonlyMap<string, string> = new Map([
  ['log_name', 'envoy.log_name'],
  ['zone_name', 'envoy.node.locality.zone'],
  ['cluster_name', 'envoy.node.cluster'],
  ['node_name', 'envoy.node.id'],
]);

const resourcesMax = 1024;
/** Longer ones are read each time. */
const resourceBytesMax = 8192;

/** Reads resources. */
export class ResourceFacts {
  readonly #known = new Map<string, Attributes>();

  /** The facts of the Resource in bytes start..end; undefined when it is malformed. */
  of(bytes: Buffer, start: number, end: number): Attributes | undefined {
    if (end - start > resourceBytesMax) return readResource(bytes, start, end);
    const key = bytes.latin1Slice(start, end);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const facts = readResource(bytes, start, end);
    if (facts === undefined) return undefined;
    if (this.#known.size >= resourcesMax) this.#known.clear();
    this.#known.set(key, facts);
    return facts;
  }

  /** Whether the facts come from Envoy's own access logger. */
  static isEnvoy(facts: Attributes): boolean {
    return 'envoy.log_name' in facts && 'envoy.node.id' in facts;
  }
}

function readResource(bytes: Buffer, start: number, end: number): Attributes | undefined {
  const pairs = readKeyValues(bytes, start, end, 1);
  if (pairs === undefined || ![...envoyLabels.keys()].every((label) => label in pairs)) {
    return pairs;
  }
  const facts: Record<string, AnyValue> = {};
  for (const [key, value] of Object.entries(pairs)) {
    const name = envoyLabels.get(key) ?? key;
    // A zone that the proxy was not told is empty.
    if (name !== 'envoy.node.locality.zone' || value !== '') facts[name] = value;
  }
  return facts;
}
