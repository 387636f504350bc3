// Comparisons: numbers as numbers, texts as bytes against what was encoded at the start, anything else as values.

import type { ASTNode } from '@marcbachmann/cel-js';
import type { FieldReader } from '../field_reader.ts';
import { compareSpan, spanEquals, spansEqual } from '../spans.ts';
import {
  boolNode,
  ERROR,
  FALSE,
  type Node,
  type NumberOf,
  numberOf,
  settle,
  type Test,
  TRUE,
  type Type,
  testOf,
} from './node.ts';
import { CelError } from './problem.ts';
import { compare, durationMs, equal, FAULT, timestampMs, type Value } from './values.ts';

export type Relation = '==' | '!=' | '<' | '<=' | '>' | '>=';

const lengths = new Set<Type>(['int', 'double', 'duration']);
const ordered = new Set<Type>(['string', 'bytes', 'bool', 'time']);

/** `left relation right`. Throws a CelError when the two can never be compared. */
export function comparison(ast: ASTNode, relation: Relation, sides: readonly [Node, Node]): Node {
  const left = settle(sides[0], sides[1]);
  const right = settle(sides[1], sides[0]);
  checkTypes(relation, left, right);
  if (left.number !== undefined && right.number !== undefined) {
    return boolNode(ast, numberTest(relation, left, right));
  }
  const isEquality = relation === '==' || relation === '!=';
  if (isEquality && left.type === 'bool' && right.type === 'bool') {
    return boolNode(ast, truthTest(relation, left, right));
  }
  const text = textTest(relation, left, right);
  return boolNode(ast, text ?? valueTest(relation, left, right));
}

function checkTypes(relation: Relation, left: Node, right: Node): void {
  if (left.type === 'dyn' || right.type === 'dyn') return;
  const isEquality = relation === '==' || relation === '!=';
  if (isEquality && (left.type === 'null' || right.type === 'null')) return;
  if (lengths.has(left.type) && lengths.has(right.type)) return;
  if (left.type === right.type && (isEquality || ordered.has(left.type))) return;
  throw new CelError(
    `cannot compare ${left.type} with ${right.type} by ${relation}${hint(left, right) ?? hint(right, left) ?? ''}`,
    left.ast.start,
  );
}

/** What the user probably meant by a text next to something that is no text. */
function hint(field: Node, written: Node): string | undefined {
  const text = written.constant;
  if (field.type === 'list' && field.ast.op !== 'list' && typeof text === 'string') {
    return `; write '${text}' in response.flags`;
  }
  if (typeof text !== 'string') return undefined;
  if (field.type === 'int' && /^-?\d+$/.test(text)) return `; write ${text} without quotes`;
  if (field.type === 'duration' && !Number.isNaN(durationMs(text))) {
    return `; write duration("${text}")`;
  }
  if (field.type === 'time' && !Number.isNaN(timestampMs(text))) {
    return `; write timestamp("${text}")`;
  }
  return undefined;
}

function numberTest(relation: Relation, left: Node, right: Node): Test {
  const l = numberOf(left);
  if (right.constant !== undefined) return againstNumber(relation, l, numberOf(right)(0));
  const r = numberOf(right);
  const holds = relationOf(relation);
  return (row) => {
    const difference = l(row) - r(row);
    return Number.isNaN(difference) ? ERROR : holds(difference);
  };
}

/** A closure of its own for each relation, so that the comparison is compiled into it. NaN is a missing field. */
function againstNumber(relation: Relation, left: NumberOf, limit: number): Test {
  const other = (value: number): number => (Number.isNaN(value) ? ERROR : FALSE);
  switch (relation) {
    case '==':
      return (row) => {
        const value = left(row);
        return value === limit ? TRUE : other(value);
      };
    case '!=':
      return (row) => {
        const value = left(row);
        return value === limit ? FALSE : Number.isNaN(value) ? ERROR : TRUE;
      };
    case '<':
      return (row) => {
        const value = left(row);
        return value < limit ? TRUE : other(value);
      };
    case '<=':
      return (row) => {
        const value = left(row);
        return value <= limit ? TRUE : other(value);
      };
    case '>':
      return (row) => {
        const value = left(row);
        return value > limit ? TRUE : other(value);
      };
    default:
      return (row) => {
        const value = left(row);
        return value >= limit ? TRUE : other(value);
      };
  }
}

/** The truth of a relation when the left side less the right side is `difference`. */
function relationOf(relation: Relation): (difference: number) => number {
  const truth = (value: boolean): number => (value ? TRUE : FALSE);
  switch (relation) {
    case '==':
      return (difference) => truth(difference === 0);
    case '!=':
      return (difference) => truth(difference !== 0);
    case '<':
      return (difference) => truth(difference < 0);
    case '<=':
      return (difference) => truth(difference <= 0);
    case '>':
      return (difference) => truth(difference > 0);
    default:
      return (difference) => truth(difference >= 0);
  }
}

function truthTest(relation: Relation, left: Node, right: Node): Test {
  const l = testOf(left);
  const r = testOf(right);
  const wanted = relation === '==' ? 1 : 0;
  return (row) => {
    const a = l(row);
    const b = r(row);
    return a === ERROR || b === ERROR ? ERROR : (a === b ? 1 : 0) === wanted ? TRUE : FALSE;
  };
}

/** Texts that stand in the batch. Undefined: at least one side has to be built. */
function textTest(relation: Relation, left: Node, right: Node): Test | undefined {
  if (left.field !== undefined && typeof right.constant === 'string') {
    return againstText(relation, left.field, right.constant);
  }
  if (right.field !== undefined && typeof left.constant === 'string') {
    return againstText(mirrored[relation], right.field, left.constant);
  }
  const l = left.field;
  const r = right.field;
  if (l === undefined || r === undefined) return undefined;
  const holds = relationOf(relation);
  if (relation === '==' || relation === '!=') {
    return (row) => (l.span(row) && r.span(row) ? holds(spansEqual(l, r) ? 0 : 1) : ERROR);
  }
  return (row) => {
    if (!l.span(row) || !r.span(row)) return ERROR;
    return holds(compareSpan(l, r.bytes.subarray(r.start, r.end)));
  };
}

const mirrored: Readonly<Record<Relation, Relation>> = {
  '==': '==',
  '!=': '!=',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
};

function againstText(relation: Relation, field: FieldReader, text: string): Test {
  const bytes = Buffer.from(text);
  if (relation === '==') {
    return (row) => (field.span(row) ? (spanEquals(field, bytes) ? TRUE : FALSE) : ERROR);
  }
  if (relation === '!=') {
    return (row) => (field.span(row) ? (spanEquals(field, bytes) ? FALSE : TRUE) : ERROR);
  }
  const holds = relationOf(relation);
  return (row) => (field.span(row) ? holds(compareSpan(field, bytes)) : ERROR);
}

function valueTest(relation: Relation, left: Node, right: Node): Test {
  if (relation === '==' || relation === '!=') {
    const wanted = relation === '==';
    return (row) => {
      const l = left.value(row);
      const r = right.value(row);
      if (l === FAULT || r === FAULT) return ERROR;
      return equal(l, r) === wanted ? TRUE : FALSE;
    };
  }
  const holds = relationOf(relation);
  return (row) => {
    const l = left.value(row);
    const r = right.value(row);
    if (l === FAULT || r === FAULT) return ERROR;
    const order = compare(l, r);
    return Number.isNaN(order) ? ERROR : holds(order);
  };
}

/** `item in list`, and keys of a map. */
export function membership(ast: ASTNode, item: Node, inside: Node): Node {
  if (inside.type !== 'list' && inside.type !== 'map' && inside.type !== 'dyn') {
    throw new CelError(`"in" needs a list or a map, got ${inside.type}`, inside.ast.start);
  }
  const listed = Array.isArray(inside.constant) ? (inside.constant as readonly Value[]) : undefined;
  if (listed?.every((value) => typeof value === 'string') && item.field !== undefined) {
    return boolNode(ast, amongTexts(item.field, listed as readonly string[]));
  }
  if (listed?.every((value) => typeof value === 'bigint') && item.number !== undefined) {
    return boolNode(ast, amongNumbers(item.number, listed.map(Number)));
  }
  return boolNode(ast, (row) => {
    const wanted = item.value(row);
    const all = inside.value(row);
    if (wanted === FAULT || all === FAULT) return ERROR;
    if (Array.isArray(all)) return all.some((value: Value) => equal(value, wanted)) ? TRUE : FALSE;
    if (!(all instanceof Map)) return ERROR;
    for (const key of all.keys()) if (equal(key as Value, wanted)) return TRUE;
    return FALSE;
  });
}

function amongTexts(field: FieldReader, texts: readonly string[]): Test {
  const all = texts.map((text) => Buffer.from(text));
  return (row) => {
    if (!field.span(row)) return ERROR;
    for (let i = 0; i < all.length; i++) if (spanEquals(field, all[i]!)) return TRUE;
    return FALSE;
  };
}

function amongNumbers(number: NumberOf, all: readonly number[]): Test {
  return (row) => {
    const value = number(row);
    return Number.isNaN(value) ? ERROR : all.includes(value) ? TRUE : FALSE;
  };
}
