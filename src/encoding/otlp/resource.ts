// The resource of OTLP as facts of a batch. Others keep what they derive by the object, so that the same resource has to
// be the same object again.

import { readKeyValues } from '../../pipeline/any_value_reader.ts';
import type { AnyValue, Attributes } from '../../pipeline/record.ts';
import { SpanMemo } from '../../pipeline/span_memo.ts';

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
  readonly #known = new SpanMemo(readResource, resourcesMax, resourceBytesMax);

  /** The facts of the Resource in bytes start..end, which `view` shows too; undefined when it is malformed. */
  of(bytes: Buffer, view: DataView, start: number, end: number): Attributes | undefined {
    return this.#known.get(bytes, view, start, end);
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
