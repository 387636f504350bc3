// exists, all, exists_one, map and filter over lists and the keys of maps. No hot path: the list is made for the row.

import type { ASTNode } from '@marcbachmann/cel-js';
import { boolNode, ERROR, FALSE, type Node, TRUE, testOf, valueNode } from './node.ts';
import { FAULT, type Result, type Value } from './values.ts';

export type Loop = 'exists' | 'all' | 'exists_one' | 'map' | 'filter';

export const loops: ReadonlyMap<string, Loop> = new Map(
  (['exists', 'all', 'exists_one', 'map', 'filter'] as const).map((name) => [name, name]),
);

/** `of` is gone through; each item stands in `slot` while `bodies` are asked. */
type Parts = {
  readonly kind: Loop;
  readonly of: Node;
  readonly slot: { value: Result };
  readonly bodies: readonly Node[];
};

/** Items beyond this are an error: a hostile list must not hold up the others. */
const itemsMax = 10_000;

export function loopNode(ast: ASTNode, parts: Parts): Node {
  switch (parts.kind) {
    case 'exists':
      return quantifier(ast, parts, TRUE);
    case 'all':
      return quantifier(ast, parts, FALSE);
    case 'exists_one':
      return exactlyOne(ast, parts);
    default:
      return valueNode(ast, 'list', (row) => collected(parts, row));
  }
}

function itemsOf(parts: Parts, row: number): readonly Value[] | undefined {
  const all = parts.of.value(row);
  const items = all instanceof Map ? [...all.keys()] : all;
  return Array.isArray(items) && items.length <= itemsMax ? (items as Value[]) : undefined;
}

/** One item with the truth `dominant` decides, as in `||` and `&&`. */
function quantifier(ast: ASTNode, parts: Parts, dominant: number): Node {
  const test = testOf(parts.bodies[0]!);
  return boolNode(ast, (row) => {
    const items = itemsOf(parts, row);
    if (items === undefined) return ERROR;
    let result = dominant === TRUE ? FALSE : TRUE;
    for (const item of items) {
      parts.slot.value = item;
      const truth = test(row);
      if (truth === dominant) return dominant;
      if (truth === ERROR) result = ERROR;
    }
    return result;
  });
}

function exactlyOne(ast: ASTNode, parts: Parts): Node {
  const test = testOf(parts.bodies[0]!);
  return boolNode(ast, (row) => {
    const items = itemsOf(parts, row);
    if (items === undefined) return ERROR;
    let count = 0;
    for (const item of items) {
      parts.slot.value = item;
      const truth = test(row);
      if (truth === ERROR) return ERROR;
      count += truth;
    }
    return count === 1 ? TRUE : FALSE;
  });
}

function collected(parts: Parts, row: number): Result {
  const items = itemsOf(parts, row);
  if (items === undefined) return FAULT;
  const last = parts.bodies.at(-1)!;
  const test = parts.kind === 'filter' || parts.bodies.length > 1 ? testOf(parts.bodies[0]!) : null;
  const list: Value[] = [];
  for (const item of items) {
    parts.slot.value = item;
    const truth = test === null ? TRUE : test(row);
    if (truth === ERROR) return FAULT;
    if (truth === FALSE) continue;
    const value = parts.kind === 'filter' ? item : last.value(row);
    if (value === FAULT) return FAULT;
    list.push(value);
  }
  return list;
}
