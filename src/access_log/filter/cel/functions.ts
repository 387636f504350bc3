// The functions and methods of CEL, as overloads over values; texts of the batch take the way over bytes
// (text_functions.ts).

import type { ASTNode } from '@marcbachmann/cel-js';
import { didYouMean } from '../../../config/words.ts';
import { folded, type Node, settle, type Type, typeOf, valueNode } from './node.ts';
import { CelError } from './problem.ts';
import { timeParts } from './time_functions.ts';
import {
  Duration,
  durationMs,
  durationText,
  FAULT,
  numeric,
  type Result,
  Timestamp,
  timestampMs,
  timestampText,
  type Value,
} from './values.ts';

type Overload = {
  readonly takes: readonly Type[];
  readonly gives: Type;
  readonly apply: (...values: Value[]) => Result;
};

const overload = (takes: string, gives: Type, apply: (...values: never[]) => Result): Overload => ({
  takes: takes.split(' ').filter(Boolean) as Type[],
  gives,
  apply: apply as Overload['apply'],
});

const intMax = 2n ** 63n;
const toInt = (value: bigint): Result => (value >= -intMax && value < intMax ? value : FAULT);
const fromDouble = (value: number): Result =>
  Number.isFinite(value) ? toInt(BigInt(Math.trunc(value))) : FAULT;
const fromText = (value: string): Result =>
  /^[-+]?\d{1,19}$/.test(value) ? toInt(BigInt(value.replace('+', ''))) : FAULT;
const unsigned = (value: Result): Result =>
  typeof value === 'bigint' && value >= 0n ? value : FAULT;
const doubleOf = (value: string): Result =>
  value.trim() === '' || Number.isNaN(Number(value)) ? FAULT : Number(value);
const utf8 = new TextDecoder('utf-8', { fatal: true });
const decoded = (value: Uint8Array): Result => {
  try {
    return utf8.decode(value);
  } catch {
    return FAULT;
  }
};
const truthOf = (value: string): Result =>
  /^(?:true|1|t)$/i.test(value) ? true : /^(?:false|0|f)$/i.test(value) ? false : FAULT;
const toDuration = (value: string): Result => {
  const ms = durationMs(value);
  return Number.isNaN(ms) ? FAULT : new Duration(ms);
};
const toTime = (value: string): Result => {
  const ms = timestampMs(value);
  return Number.isNaN(ms) ? FAULT : new Timestamp(ms);
};
const substring = (value: string, start: bigint, end?: bigint): Result => {
  const chars = [...value];
  const until = end ?? BigInt(chars.length);
  if (start < 0n || until < start || until > BigInt(chars.length)) return FAULT;
  return chars.slice(Number(start), Number(until)).join('');
};
const ascii = (value: string, upper: boolean): string =>
  value.replace(/[A-Za-z]/g, (letter) => (upper ? letter.toUpperCase() : letter.toLowerCase()));

const sizes = [
  overload('string', 'int', (value: string) => BigInt([...value].length)),
  overload('bytes', 'int', (value: Uint8Array) => BigInt(value.length)),
  overload('list', 'int', (value: readonly Value[]) => BigInt(value.length)),
  overload('map', 'int', (value: ReadonlyMap<Value, Value>) => BigInt(value.size)),
];

/** Functions by name: `size(x)`. */
const functions: Readonly<Record<string, readonly Overload[]>> = {
  size: sizes,
  int: [
    overload('int', 'int', (value: bigint) => value),
    overload('double', 'int', fromDouble),
    overload('string', 'int', fromText),
    overload('time', 'int', (value: Timestamp) => BigInt(Math.floor(value.ms / 1000))),
  ],
  uint: [
    overload('int', 'int', (value: bigint) => unsigned(value)),
    overload('double', 'int', (value: number) => unsigned(fromDouble(value))),
    overload('string', 'int', (value: string) => unsigned(fromText(value))),
  ],
  double: [
    overload('int', 'double', (value: bigint) => Number(value)),
    overload('double', 'double', (value: number) => value),
    overload('string', 'double', doubleOf),
  ],
  string: [
    overload('string', 'string', (value: string) => value),
    overload('int', 'string', (value: bigint) => String(value)),
    overload('double', 'string', (value: number) => String(value)),
    overload('bool', 'string', (value: boolean) => String(value)),
    overload('bytes', 'string', decoded),
    overload('time', 'string', (value: Timestamp) => timestampText(value.ms)),
    overload('duration', 'string', (value: Duration) => durationText(value.ms)),
  ],
  bytes: [
    overload('string', 'bytes', (value: string) => Buffer.from(value)),
    overload('bytes', 'bytes', (value: Uint8Array) => value),
  ],
  bool: [overload('bool', 'bool', (value: boolean) => value), overload('string', 'bool', truthOf)],
  duration: [
    overload('string', 'duration', toDuration),
    overload('duration', 'duration', (value: Duration) => value),
  ],
  timestamp: [
    overload('string', 'time', toTime),
    overload('int', 'time', (value: bigint) => new Timestamp(Number(value) * 1000)),
    overload('time', 'time', (value: Timestamp) => value),
  ],
};

/** Methods by name: `x.size()`. The receiver comes first. */
const methods: Readonly<Record<string, readonly Overload[]>> = {
  size: sizes,
  contains: [overload('string string', 'bool', (a: string, b: string) => a.includes(b))],
  startsWith: [overload('string string', 'bool', (a: string, b: string) => a.startsWith(b))],
  endsWith: [overload('string string', 'bool', (a: string, b: string) => a.endsWith(b))],
  lowerAscii: [overload('string', 'string', (value: string) => ascii(value, false))],
  upperAscii: [overload('string', 'string', (value: string) => ascii(value, true))],
  trim: [overload('string', 'string', (value: string) => value.trim())],
  indexOf: [
    overload('string string', 'int', (a: string, b: string) => {
      const at = a.indexOf(b);
      return BigInt(at < 0 ? -1 : [...a.slice(0, at)].length);
    }),
  ],
  replace: [
    overload('string string string', 'string', (a: string, b: string, c: string) =>
      a.replaceAll(b, () => c),
    ),
  ],
  split: [overload('string string', 'list', (a: string, b: string) => a.split(b))],
  substring: [
    overload('string int', 'string', substring),
    overload('string int int', 'string', substring),
  ],
  ...Object.fromEntries(
    Object.entries(timeParts).map(([name, part]) => [
      name,
      [
        overload('time', 'int', (value: Timestamp) => part.ofTime(value.ms, 'UTC')),
        overload('time string', 'int', (value: Timestamp, zone: string) =>
          part.ofTime(value.ms, zone),
        ),
        ...(part.ofDuration === undefined
          ? []
          : [overload('duration', 'int', (value: Duration) => part.ofDuration!(value.ms))]),
      ],
    ]),
  ),
};

/** A call of a function or, with the receiver as first argument, of a method. */
export function call(ast: ASTNode, name: string, args: readonly Node[]): Node {
  const isMethod = ast.op === 'rcall';
  const table = isMethod ? methods : functions;
  const overloads = Object.hasOwn(table, name) ? table[name] : undefined;
  const shown = isMethod ? `.${name}()` : `${name}()`;
  if (overloads === undefined) {
    const meant = didYouMean(name, [...Object.keys(table), 'has', 'matches']);
    throw new CelError(`unknown function ${shown}${meant}`, ast.start);
  }
  const settled = args.map((arg) => settle(arg));
  const fitting = overloads.filter(
    ({ takes }) =>
      takes.length === settled.length &&
      takes.every((type, i) => settled[i]!.type === type || settled[i]!.type === 'dyn'),
  );
  if (fitting.length === 0) {
    const types = settled.map((arg) => arg.type).join(', ');
    throw new CelError(`${shown} does not take ${types === '' ? 'nothing' : types}`, ast.start);
  }
  const gives = fitting.every((one) => one.gives === fitting[0]!.gives) ? fitting[0]!.gives : 'dyn';
  const node = folded(valueNode(ast, gives, evaluation(fitting, settled)), settled);
  if (node.constant === undefined && settled.every((arg) => arg.constant !== undefined)) {
    const written = settled.map((arg) => JSON.stringify(shownConstant(arg.constant))).join(', ');
    throw new CelError(`${shown} cannot read ${written}`, settled.at(-1)?.ast.start ?? ast.start);
  }
  return node;
}

function shownConstant(value: Value | undefined): unknown {
  return typeof value === 'bigint' ? numeric(value) : value;
}

function evaluation(overloads: readonly Overload[], args: readonly Node[]): Node['value'] {
  return (row) => {
    const values: Value[] = [];
    for (const arg of args) {
      const value = arg.value(row);
      if (value === FAULT) return FAULT;
      values.push(value);
    }
    const found = overloads.find(({ takes }) =>
      takes.every((type, i) => typeOf(values[i]!) === type),
    );
    return found === undefined ? FAULT : found.apply(...values);
  };
}
