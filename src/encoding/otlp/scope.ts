// Instrumentation scopes as facts: what came in under one scope of one resource has the facts of both, and goes out
// under that scope again.

import { readKeyValues } from '../../pipeline/any_value_reader.ts';
import { LENGTH_DELIMITED, ProtobufReader } from '../../pipeline/protobuf_reader.ts';
import type { AnyValue, Attributes } from '../../pipeline/record.ts';
import { SpanMemo } from '../../pipeline/span_memo.ts';

/** What a scope's fields are called among the facts of a resource: OpenTelemetry's names for where there are no scopes. */
const scopeNames = {
  name: 'otel.scope.name',
  version: 'otel.scope.version',
  attributes: 'otel.scope.attributes',
} as const;

const scopesMax = 1024;
/** Longer ones are read each time. */
const scopeBytesMax = 8192;
/** A sender must not fill the memory with many scopes of a large resource: beyond so many facts scopes are left out. */
const factsMax = 1 << 18;

export type Scope = {
  readonly name: string;
  readonly version: string;
  readonly attributes: Attributes;
};

/** Reads scopes. */
export class ScopeFacts {
  readonly #known = new SpanMemo(readScope, scopesMax, scopeBytesMax);
  /** Resource and scope together: the same facts have to be the same object again. */
  readonly #together = new WeakMap<Attributes, WeakMap<Attributes, Attributes>>();
  #room = factsMax;

  /** Other messages begin. */
  begin(): void {
    this.#room = factsMax;
  }

  /** The facts of a resource with those of the InstrumentationScope in bytes start..end, which `view` shows too. */
  with(
    resource: Attributes,
    bytes: Buffer,
    view: DataView,
    start: number,
    end: number,
  ): Attributes {
    const scope = this.#known.get(bytes, view, start, end);
    if (scope === undefined) return resource;
    let known = this.#together.get(resource);
    if (known === undefined) {
      known = new WeakMap();
      this.#together.set(resource, known);
    }
    let facts = known.get(scope);
    if (facts === undefined) {
      this.#room -= Object.keys(resource).length + 1;
      if (this.#room < 0) return resource;
      facts = { ...resource, ...scope };
      known.set(scope, facts);
    }
    return facts;
  }
}

/** Undefined: it says nothing, or cannot be read. */
function readScope(bytes: Buffer, start: number, end: number): Attributes | undefined {
  const facts: Record<string, AnyValue> = {};
  const reader = new ProtobufReader(bytes, start, end);
  while (reader.next()) {
    if (reader.wireType !== LENGTH_DELIMITED || reader.start === reader.stop) continue;
    const text = (): string => bytes.utf8Slice(reader.start, reader.stop);
    if (reader.field === 1) facts[scopeNames.name] = text();
    else if (reader.field === 2) facts[scopeNames.version] = text();
  }
  const attributes = readKeyValues(bytes, start, end, 3);
  if (reader.bad) return undefined;
  if (attributes !== undefined && Object.keys(attributes).length > 0) {
    facts[scopeNames.attributes] = attributes;
  } else if (facts[scopeNames.name] === 'meshlog') {
    // Our own name says nothing that the record does not.
    return undefined;
  }
  return Object.keys(facts).length === 0 ? undefined : facts;
}

/** The facts of a resource apart from those of the scope, which is undefined when there are none. */
export function apart(facts: Attributes): { resource: Attributes; scope: Scope | undefined } {
  const {
    [scopeNames.name]: name,
    [scopeNames.version]: version,
    [scopeNames.attributes]: attributes,
    ...resource
  } = facts;
  if (name === undefined && version === undefined && attributes === undefined) {
    return { resource: facts, scope: undefined };
  }
  return {
    resource,
    scope: { name: textOf(name), version: textOf(version), attributes: mapOf(attributes) },
  };
}

const textOf = (value: AnyValue | undefined): string =>
  typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);

const mapOf = (value: AnyValue | undefined): Attributes =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)
    ? (value as Attributes)
    : {};
