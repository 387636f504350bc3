// Names of an expression become nodes that read the batch.

import type { ASTNode } from '@marcbachmann/cel-js';
import type { Batch } from '../../../pipeline/batch.ts';
import { grpcNumberOf } from '../../grpc_status.ts';
import { FieldReader } from '../field_reader.ts';
import { FlagsReader } from '../flags_reader.ts';
import { type Named, openMap } from '../names.ts';
import { boolNode, FALSE, type Node, numberNode, TRUE, valueNode } from './node.ts';
import { celValue, FAULT, type Value } from './values.ts';

/** Whatever has to be resolved when a batch comes. */
export type Bound = { bind(batch: Batch): void };

/** Makes nodes and remembers what they read from. */
export class FieldNodes {
  readonly bound: Bound[] = [];

  /** The value of a field. */
  value(ast: ASTNode, named: Named): Node {
    if (named.derived === 'mtls') return this.#mtls(ast, named);
    if (named.derived === 'sum') return this.#sum(ast, named);
    if (named.kind === 'flags') return this.#flags(ast);
    const field = this.#reader(named);
    if (named.derived === 'direction') return directionNode(ast, field);
    switch (named.kind) {
      case 'int':
      case 'double':
      case 'duration':
        return numberNode(ast, named.kind, (row) => field.number(row));
      case 'time':
        return numberNode(ast, 'time', (row) => field.time(row));
      case 'bool':
        return boolNode(ast, (row) => field.truth(row));
      case 'status':
        return statusNode(ast, field);
      case 'string':
        return textNode(ast, field);
      default:
        return valueNode(ast, 'dyn', (row) => celValue(field.value(row)));
    }
  }

  /** Whether a row has a field. */
  has(ast: ASTNode, named: Named): Node {
    if (named.kind === 'flags') {
      const flags = this.#flagsReader();
      return boolNode(ast, (row) => (flags.any(row) ? TRUE : FALSE));
    }
    if (named.derived === 'mtls') return boolNode(ast, () => TRUE);
    const field = this.#reader(named);
    const isPort = named.sources.some((source) => source.cut === 'port');
    return boolNode(ast, (row) => ((isPort ? field.span(row) : field.has(row)) ? TRUE : FALSE));
  }

  /** A whole map: headers, metadata, attributes. Made for the row that asks, so it is no hot path. */
  map(ast: ASTNode, name: string): Node {
    const map = new MapReader(openMap(name)?.prefix ?? '');
    this.bound.push(map);
    return valueNode(ast, 'map', (row) => map.value(row));
  }

  /** Whether a flag of this name is set. */
  hasFlag(ast: ASTNode, name: string): Node {
    const flags = this.#flagsReader();
    return boolNode(ast, (row) => (flags.names(row).includes(name) ? TRUE : FALSE));
  }

  #reader(named: Named): FieldReader {
    const field = new FieldReader(named.sources, named.emptyWhenAbsent);
    this.bound.push(field);
    return field;
  }

  #flagsReader(): FlagsReader {
    const flags = new FlagsReader();
    this.bound.push(flags);
    return flags;
  }

  #flags(ast: ASTNode): Node {
    const flags = this.#flagsReader();
    const asInt = numberNode(ast, 'int', (row) => flags.mask(row));
    const asOther = valueNode(ast, 'list', (row) => flags.names(row));
    return { ...asOther, type: 'flags', asInt, asOther };
  }

  /** The proxy says so, or it has logged something of the peer's certificate. */
  #mtls(ast: ASTNode, named: Named): Node {
    const said = this.#reader({ ...named, sources: named.sources.slice(0, 1) });
    const certificate = this.#reader({ ...named, sources: named.sources.slice(1) });
    return boolNode(ast, (row) => {
      const truth = said.truth(row);
      if (truth !== 2) return truth;
      return certificate.span(row) && certificate.end > certificate.start ? TRUE : FALSE;
    });
  }

  #sum(ast: ASTNode, named: Named): Node {
    const readers = named.sources.map((source) => this.#reader({ ...named, sources: [source] }));
    return numberNode(ast, 'int', (row) => {
      let sum = readers[0]!.number(row);
      for (let i = 1; i < readers.length; i++) sum += readers[i]!.number(row) || 0;
      return sum;
    });
  }
}

function textNode(ast: ASTNode, field: FieldReader): Node {
  return { ...valueNode(ast, 'string', (row) => field.text(row) ?? FAULT), field };
}

function statusNode(ast: ASTNode, field: FieldReader): Node {
  const asOther = textNode(ast, field);
  const asInt = numberNode(ast, 'int', (row) => grpcNumberOf(field.text(row) ?? '') ?? Number.NaN);
  return { ...asOther, type: 'status', asInt, asOther };
}

function directionNode(ast: ASTNode, field: FieldReader): Node {
  return numberNode(ast, 'int', (row) => {
    const text = field.text(row);
    return text === 'inbound' ? 1 : text === 'outbound' ? 2 : 0;
  });
}

class MapReader {
  readonly #prefix: string;
  #batch: Batch | undefined = undefined;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  bind(batch: Batch): void {
    this.#batch = batch;
  }

  value(row: number): ReadonlyMap<Value, Value> {
    const batch = this.#batch!;
    const map = new Map<Value, Value>();
    if (this.#prefix === '') {
      const facts = { ...batch.resources[batch.resourceOf?.[row] ?? 0], ...batch.attributes };
      for (const [key, fact] of Object.entries(facts)) map.set(key, celValue(fact) as Value);
    }
    for (const column of batch.columns) {
      if (!column.name.startsWith(this.#prefix)) continue;
      const value = celValue(batch.value(column, row));
      if (value !== FAULT) map.set(column.name.slice(this.#prefix.length), value);
    }
    return map;
  }
}
