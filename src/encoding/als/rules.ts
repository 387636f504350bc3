// The schema as rules: what to do with each field of a message, and where its value goes in the batch that is being made.

import type { Column, Dictionary } from '../../pipeline/column.ts';
import { FIXED64, LENGTH_DELIMITED, VARINT } from '../../pipeline/protobuf_reader.ts';
import { address, type Field, type Message, responseFlags } from './schema.ts';

/** What is done with a field. */
export const ops = {
  TEXT_FIELD: 1,
  COUNT_FIELD: 2,
  RATIO_FIELD: 3,
  SWITCH_FIELD: 4,
  /** A code into the texts of an enumeration. */
  NAME_FIELD: 5,
  /** A number in a message of its own. */
  WRAPPED_FIELD: 6,
  CIPHER_FIELD: 7,
  DURATION_FIELD: 8,
  TIME_FIELD: 9,
  ADDRESS_FIELD: 10,
  FLAGS_FIELD: 11,
  /** A string of which there may be several: they are joined by commas. */
  JOINED_FIELD: 12,
  MESSAGE_FIELD: 13,
  TEXTS_FIELD: 14,
  STRUCTS_FIELD: 15,
  ANYS_FIELD: 16,
} as const;

const {
  TEXT_FIELD,
  COUNT_FIELD,
  RATIO_FIELD,
  SWITCH_FIELD,
  NAME_FIELD,
  WRAPPED_FIELD,
  CIPHER_FIELD,
  DURATION_FIELD,
  TIME_FIELD,
  ADDRESS_FIELD,
  FLAGS_FIELD,
  JOINED_FIELD,
  MESSAGE_FIELD,
  TEXTS_FIELD,
  STRUCTS_FIELD,
  ANYS_FIELD,
} = ops;

export type Rule = {
  readonly op: number;
  readonly wire: number;
  /** The name of the column, or the prefix of a map's. */
  readonly name: string;
  /** Rules of the message inside. */
  readonly inside: Rules;
  /** The texts of an enumeration as codes, by its numbers; -1 where nothing is said. */
  readonly dictionary: Dictionary | undefined;
  readonly codes: Int32Array;
  /** The column of the current batch. */
  column: Column | undefined;
  /** The last duration that went there, in nanoseconds. */
  nanos: number;
};

/** By tag: field number and wire type, so that a field of another type has no rule. */
export type Rules = readonly (Rule | undefined)[];

const none: Rules = [];
const noCodes = new Int32Array(0);

/** The rules of a message. Every caller gets its own: they hold its columns. */
export function rulesOf(message: Message): Rules {
  const rules: (Rule | undefined)[] = Array(message.fields.length * 8).fill(undefined);
  for (const field of message.fields) {
    const rule = field === undefined ? undefined : ruleOf(field);
    if (field !== undefined && rule !== undefined) rules[field.number * 8 + rule.wire] = rule;
  }
  return rules;
}

function ruleOf(field: Field): Rule | undefined {
  const [op, wire] = operation(field);
  if (op === 0) return undefined;
  const { type } = field;
  const inside =
    op === MESSAGE_FIELD && typeof type === 'object' && type.kind === 'message'
      ? rulesOf(type)
      : none;
  const names = typeof type === 'object' && type.kind === 'enum' ? type : undefined;
  return {
    op,
    wire,
    name: field.field,
    inside,
    dictionary: names?.dictionary,
    codes: names?.codes ?? noCodes,
    column: undefined,
    nanos: Number.NaN,
  };
}

const operations: Readonly<Record<string, readonly [op: number, wire: number]>> = {
  string: [TEXT_FIELD, LENGTH_DELIMITED],
  uint: [COUNT_FIELD, VARINT],
  double: [RATIO_FIELD, FIXED64],
  bool: [SWITCH_FIELD, VARINT],
  uint_value: [WRAPPED_FIELD, LENGTH_DELIMITED],
  duration: [DURATION_FIELD, LENGTH_DELIMITED],
  timestamp: [TIME_FIELD, LENGTH_DELIMITED],
  strings: [TEXTS_FIELD, LENGTH_DELIMITED],
  structs: [STRUCTS_FIELD, LENGTH_DELIMITED],
  anys: [ANYS_FIELD, LENGTH_DELIMITED],
};

function operation({ type, field }: Field): readonly [op: number, wire: number] {
  if (field === 'connection.tls_cipher') return [CIPHER_FIELD, LENGTH_DELIMITED];
  if (field.includes('_san_')) return [JOINED_FIELD, LENGTH_DELIMITED];
  if (typeof type === 'string') return field === '' ? [0, 0] : (operations[type] ?? [0, 0]);
  if (type.kind === 'enum') return [NAME_FIELD, VARINT];
  if (type === address) return [ADDRESS_FIELD, LENGTH_DELIMITED];
  if (type === responseFlags) return [FLAGS_FIELD, LENGTH_DELIMITED];
  return [MESSAGE_FIELD, LENGTH_DELIMITED];
}

/** A rule for a field that no field of a message is. */
export function derivedRule(name: string, dictionary?: Dictionary): Rule {
  return {
    op: 0,
    wire: 0,
    name,
    inside: none,
    dictionary,
    codes: noCodes,
    column: undefined,
    nanos: Number.NaN,
  };
}

/** The rule among some, and those inside them, for a field of the vocabulary. */
export function ruleFor(rules: Rules, name: string): Rule | undefined {
  for (const rule of rules) {
    if (rule === undefined) continue;
    const found = rule.name === name ? rule : ruleFor(rule.inside, name);
    if (found !== undefined) return found;
  }
  return undefined;
}
