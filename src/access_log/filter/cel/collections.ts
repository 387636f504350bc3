// Lists, maps and their entries.

import type { ASTNode } from '@marcbachmann/cel-js';
import { folded, type Node, settle, typeOf, valueNode } from './node.ts';
import { CelError } from './problem.ts';
import { FAULT, lookup, type Value } from './values.ts';

export function listNode(ast: ASTNode, items: readonly Node[]): Node {
  const node = valueNode(ast, 'list', (row) => {
    const list: Value[] = [];
    for (const item of items) {
      const value = item.value(row);
      if (value === FAULT) return FAULT;
      list.push(value);
    }
    return list;
  });
  return folded(node, items);
}

/** A map of keys and values in turn. */
export function mapNode(ast: ASTNode, parts: readonly Node[]): Node {
  const node = valueNode(ast, 'map', (row) => {
    const map = new Map<Value, Value>();
    for (let i = 0; i < parts.length; i += 2) {
      const key = parts[i]!.value(row);
      const value = parts[i + 1]!.value(row);
      if (key === FAULT || value === FAULT || lookup(map, key) !== undefined) return FAULT;
      map.set(key, value);
    }
    return map;
  });
  return folded(node, parts);
}

/** An entry of a list or a map. */
export function member(ast: ASTNode, of: Node, key: Node): Node {
  const from = settle(of);
  if (from.type !== 'list' && from.type !== 'map' && from.type !== 'dyn') {
    throw new CelError(`${from.type} has no entries`, from.ast.start);
  }
  if (from.type === 'list' && key.type !== 'int' && key.type !== 'dyn') {
    throw new CelError(`a list is indexed by int, not by ${key.type}`, key.ast.start);
  }
  const node = valueNode(ast, 'dyn', (row) => {
    const all = from.value(row);
    const index = key.value(row);
    if (all === FAULT || index === FAULT) return FAULT;
    if (all instanceof Map) return lookup(all as ReadonlyMap<Value, Value>, index) ?? FAULT;
    if (!Array.isArray(all) || (typeof index !== 'bigint' && typeof index !== 'number')) {
      return FAULT;
    }
    return (all[Number(index)] as Value | undefined) ?? FAULT;
  });
  const result = folded(node, [from, key]);
  return result.constant === undefined ? node : { ...result, type: typeOf(result.constant) };
}
