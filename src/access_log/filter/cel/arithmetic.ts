// + - * / % and the sign. Whole numbers stay whole; durations count in milliseconds next to plain numbers.

import type { ASTNode } from '@marcbachmann/cel-js';
import {
  folded,
  type Node,
  type NumberOf,
  numberNode,
  settle,
  type Type,
  valueNode,
} from './node.ts';
import { CelError } from './problem.ts';
import { Duration, FAULT, numeric, type Result, Timestamp, type Value } from './values.ts';

export type Operator = '+' | '-' | '*' | '/' | '%';
type NumberType = 'int' | 'double' | 'duration' | 'time';

/** What an int can be in CEL. */
const intMax = 2 ** 63;

/** `left operator right`. Throws a CelError when the operation does not exist. */
export function arithmetic(ast: ASTNode, operator: Operator, sides: readonly [Node, Node]): Node {
  const left = settle(sides[0], sides[1]);
  const right = settle(sides[1], sides[0]);
  const type = resultType(operator, left.type, right.type);
  if (type === undefined) {
    throw new CelError(`cannot compute ${left.type} ${operator} ${right.type}`, left.ast.start);
  }
  const isFast = left.number !== undefined && right.number !== undefined;
  const node = isFast
    ? numberNode(ast, type as NumberType, calculation(operator, type, [left.number, right.number]))
    : valueNode(ast, type, (row) => computed(operator, left.value(row), right.value(row)));
  return folded(node, [left, right]);
}

/** `-item`. */
export function negation(ast: ASTNode, item: Node): Node {
  const node = settle(item);
  if (node.number !== undefined && node.type !== 'time') {
    const number = node.number;
    return folded(
      numberNode(ast, node.type as NumberType, (row) => -number(row)),
      [node],
    );
  }
  if (node.type !== 'dyn') throw new CelError(`cannot negate ${node.type}`, node.ast.start);
  return valueNode(ast, 'dyn', (row) => computed('-', 0n, node.value(row)));
}

function resultType(operator: Operator, left: Type, right: Type): Type | undefined {
  if (left === 'dyn' || right === 'dyn') return 'dyn';
  if (operator === '+' && left === right && ['string', 'bytes', 'list'].includes(left)) return left;
  return numberType(operator, left, right);
}

function numberType(operator: Operator, left: Type, right: Type): NumberType | undefined {
  const isNumber = (type: Type): boolean => type === 'int' || type === 'double';
  if (isNumber(left) && isNumber(right)) {
    return left === 'int' && right === 'int' ? 'int' : 'double';
  }
  const isSum = operator === '+' || operator === '-';
  const isLength = (type: Type): boolean => isNumber(type) || type === 'duration';
  if (isLength(left) && isLength(right)) {
    if (left === 'duration' && right === 'duration') return isSum ? 'duration' : 'double';
    return 'duration';
  }
  if (!isSum) return undefined;
  if (left === 'time' && right === 'time') return operator === '-' ? 'duration' : undefined;
  if (left === 'time' && right === 'duration') return 'time';
  return operator === '+' && left === 'duration' && right === 'time' ? 'time' : undefined;
}

function calculation(
  operator: Operator,
  type: Type,
  [left, right]: readonly [NumberOf, NumberOf],
): NumberOf {
  const isInt = type === 'int';
  const bounded = (value: number): number =>
    isInt && Math.abs(value) > intMax ? Number.NaN : value;
  switch (operator) {
    case '+':
      return (row) => bounded(left(row) + right(row));
    case '-':
      return (row) => bounded(left(row) - right(row));
    case '*':
      return (row) => bounded(left(row) * right(row));
    case '/':
      return (row) => {
        const by = right(row);
        if (!isInt) return left(row) / by;
        return by === 0 ? Number.NaN : Math.trunc(left(row) / by);
      };
    default:
      return (row) => left(row) % right(row);
  }
}

/** The operation on values whose kinds are known only now. */
function computed(operator: Operator, left: Result, right: Result): Result {
  if (left === FAULT || right === FAULT) return FAULT;
  if (operator === '+') {
    const joined = join(left, right);
    if (joined !== undefined) return joined;
  }
  const leftType = kindOf(left);
  const rightType = kindOf(right);
  const type = leftType && rightType ? numberType(operator, leftType, rightType) : undefined;
  if (type === undefined) return FAULT;
  if (typeof left === 'bigint' && typeof right === 'bigint') return whole(operator, left, right);
  const number = calculation(operator, type, [() => numeric(left), () => numeric(right)])(0);
  if (Number.isNaN(number)) return FAULT;
  if (type === 'duration') return new Duration(number);
  return type === 'time' ? new Timestamp(number) : number;
}

function join(left: Value, right: Value): Value | undefined {
  if (typeof left === 'string' && typeof right === 'string') return left + right;
  if (left instanceof Uint8Array && right instanceof Uint8Array)
    return Buffer.concat([left, right]);
  if (Array.isArray(left) && Array.isArray(right)) return [...left, ...right] as Value[];
  return undefined;
}

function kindOf(value: Value): NumberType | undefined {
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return 'double';
  if (value instanceof Duration) return 'duration';
  return value instanceof Timestamp ? 'time' : undefined;
}

function whole(operator: Operator, left: bigint, right: bigint): Result {
  if (right === 0n && (operator === '/' || operator === '%')) return FAULT;
  const value =
    operator === '+'
      ? left + right
      : operator === '-'
        ? left - right
        : operator === '*'
          ? left * right
          : operator === '/'
            ? left / right
            : left % right;
  return BigInt.asIntN(64, value) === value ? value : FAULT;
}
