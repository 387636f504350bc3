// A compiled expression: closures over the columns of the batch that is bound. What is known at the start (types,
// constants, how a text is compared) is decided once; per row nothing is made unless a text has to be built.

import type { ASTNode } from '@marcbachmann/cel-js';
import type { FieldReader } from '../field_reader.ts';
import { Duration, FAULT, numeric, type Result, Timestamp, type Value } from './values.ts';

export type Type =
  | 'bool'
  | 'int'
  | 'double'
  | 'string'
  | 'bytes'
  | 'duration'
  | 'time'
  | 'list'
  | 'map'
  | 'null'
  | 'dyn'
  | 'flags'
  | 'status';

// Truth values of closures: 0, 1, and an error that is neither.
export const FALSE = 0;
export const TRUE = 1;
export const ERROR = 2;

export type Test = (row: number) => number;
/** Ints, doubles, durations and times (milliseconds); NaN is an error. */
export type NumberOf = (row: number) => number;

export type Node = {
  readonly type: Type;
  readonly ast: ASTNode;
  readonly value: (row: number) => Result;
  /** For type bool. */
  readonly test?: Test;
  /** For types int, double, duration and time. */
  readonly number?: NumberOf;
  /** A text that stands in the batch as bytes. */
  readonly field?: FieldReader;
  /** Known at the start. */
  readonly constant?: Value;
  /** For type flags and status: the number and the other form. */
  readonly asInt?: Node;
  readonly asOther?: Node;
};

export function boolNode(ast: ASTNode, test: Test): Node {
  const value = (row: number): Result => {
    const result = test(row);
    return result === ERROR ? FAULT : result === TRUE;
  };
  return { type: 'bool', ast, value, test };
}

export function numberNode(
  ast: ASTNode,
  type: 'int' | 'double' | 'duration' | 'time',
  number: NumberOf,
): Node {
  const value = (row: number): Result => boxed(type, number(row));
  return { type, ast, value, number };
}

function boxed(type: Type, number: number): Result {
  if (Number.isNaN(number)) return FAULT;
  if (type === 'duration') return new Duration(number);
  if (type === 'time') return new Timestamp(number);
  return type === 'int' ? BigInt(Math.trunc(number)) : number;
}

export function valueNode(ast: ASTNode, type: Type, value: (row: number) => Result): Node {
  if (type === 'bool') return { type, ast, value, test: testOf({ type: 'dyn', ast, value }) };
  const isNumber = type === 'int' || type === 'double' || type === 'duration' || type === 'time';
  return isNumber
    ? { type, ast, value, number: (row) => numeric(value(row)) }
    : { type, ast, value };
}

export function constantNode(ast: ASTNode, constant: Value): Node {
  const node = valueNode(ast, typeOf(constant), () => constant);
  const result = { ...node, constant };
  if (typeof constant === 'boolean') {
    const truth = constant ? TRUE : FALSE;
    return { ...result, test: () => truth };
  }
  if (node.number === undefined) return result;
  const number = numeric(constant);
  return { ...result, number: () => number };
}

/** A node that always fails: a name that Envoy would not know either. */
export function faultNode(ast: ASTNode): Node {
  return { type: 'dyn', ast, value: () => FAULT, test: () => ERROR };
}

/** The node as one value, when everything that it is made of is known. */
export function folded(node: Node, parts: readonly Node[]): Node {
  if (parts.some((part) => part.constant === undefined)) return node;
  const value = node.value(0);
  return value === FAULT ? node : constantNode(node.ast, value);
}

/** The truth of a node of type bool or dyn. */
export function testOf(node: Node): Test {
  if (node.test !== undefined) return node.test;
  const value = node.value;
  return (row) => {
    const result = value(row);
    return result === true ? TRUE : result === false ? FALSE : ERROR;
  };
}

export function numberOf(node: Node): NumberOf {
  const value = node.value;
  return node.number ?? ((row) => numeric(value(row)));
}

export function typeOf(value: Value): Type {
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
    case 'number':
      return 'double';
    case 'string':
      return 'string';
    default:
      break;
  }
  if (value === null) return 'null';
  if (value instanceof Uint8Array) return 'bytes';
  if (value instanceof Duration) return 'duration';
  if (value instanceof Timestamp) return 'time';
  return Array.isArray(value) ? 'list' : 'map';
}

/** Flags and statuses as their neighbour wants them: numbers next to a number, else a list or a name. */
export function settle(node: Node, next?: Node): Node {
  if (node.asInt === undefined || node.asOther === undefined) return node;
  const wantsNumber = next !== undefined && (next.type === 'int' || next.type === 'double');
  return wantsNumber ? node.asInt : node.asOther;
}
