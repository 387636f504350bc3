// A text format compiled for reading: a run of slots, each a value and the text that follows it.

import { FormatError } from '../format/format_error.ts';
import { type Command, parseFormat, type Segment } from '../format/grammar.ts';
import type { Alphabet } from '../operators.ts';
import { type ByteTable, tableFor } from './alphabets.ts';
import { type Target, targetOf } from './target.ts';

/** How the end of a value is found going forward: at the first byte that its table does not have, ... */
export const byTable = 0;
/** ... the same, four bytes at a time: the table lacks only bytes up to `"`, ... */
export const byWords = 1;
/** ... the same for a table that has the space, ... */
export const byTextWords = 2;
/** ... after digits or one dash, ... */
export const dashOrDigits = 3;
/** ... after a known number of bytes, ... */
export const byWidth = 4;
/** ... after the 24 bytes of a time as Envoy prints it by default, if the text that follows stands there. */
export const byTime = 5;

export type Scan =
  | typeof byTable
  | typeof byWords
  | typeof byTextWords
  | typeof dashOrDigits
  | typeof byWidth
  | typeof byTime;

export type Slot = {
  readonly command: Command;
  readonly target: Target;
  /** The bytes that the value holds where nothing is ambiguous. */
  readonly table: ByteTable;
  /** The same going backwards: without the last byte of the text before. */
  readonly backTable: ByteTable;
  /** Every byte that it could hold. */
  readonly wide: ByteTable;
  readonly scan: Scan;
  readonly width: number;
  /** Bytes of the following text that the table accepts too: the scan runs over them and steps back. */
  readonly back: number;
  /** Whether the end of the value is certain in both directions: no client can put there what ends it. */
  readonly certain: boolean;
  /** Counts are 0 when they are unknown, and times are never missing. */
  readonly neverEmpty: boolean;
  /** The text that follows; empty at the end of the line. */
  readonly literal: Buffer;
  readonly literalLength: number;
  /** Its first bytes as a word, and which of the four bytes of a word they are. */
  readonly word: number;
  readonly mask: number;
};

export type Program = {
  /** The text before the first value. */
  readonly head: Buffer;
  readonly slots: readonly Slot[];
  /** Whether the format looks like JSON, so that values may be escaped as in JSON strings. */
  readonly jsonLike: boolean;
};

/** Compiles a format for reading. Throws FormatError when it holds nothing to read. */
export function compileProgram(segments: readonly Segment[]): Program {
  const trimmed = withoutNewline(segments);
  const commands: Command[] = [];
  const literals: string[] = [''];
  for (const segment of trimmed) {
    if (typeof segment === 'string') literals[literals.length - 1] += segment;
    else {
      commands.push(segment);
      literals.push('');
    }
  }
  if (commands.length === 0) {
    throw new FormatError('the format has no command operator: there is nothing to read');
  }
  const drafts = commands.map((command, k) => draft(command, literals[k + 1] ?? ''));
  return {
    head: Buffer.from(literals[0] ?? ''),
    slots: drafts.map((_, k) => slotOf(drafts, k, literals[k] ?? '')),
    jsonLike: /^\s*\{/.test(literals[0] ?? '') && /\}\s*$/.test(literals.at(-1) ?? ''),
  };
}

/** The same for a format string. */
export function compileText(text: string): Program {
  return compileProgram(parseFormat(text));
}

function withoutNewline(segments: readonly Segment[]): Segment[] {
  const last = segments.at(-1);
  if (typeof last !== 'string') return [...segments];
  return [...segments.slice(0, -1), last.replace(/\r?\n$/, '')].filter((part) => part !== '');
}

/** A slot as far as it can be said without its neighbours. */
type Draft = {
  readonly command: Command;
  readonly target: Target;
  readonly literal: Buffer;
  readonly certain: boolean;
  readonly scan: Scan;
  readonly width: number;
};

function draft(command: Command, following: string): Draft {
  const target = targetOf(command);
  const literal = Buffer.from(following);
  const width = widthOf(command, target, literal);
  return {
    command,
    target,
    literal,
    certain: isCertain(command, target, literal),
    scan: scanOf(command, target, width),
    width,
  };
}

function scanOf({ args }: Command, { alphabet }: Target, width: number): Scan {
  if (alphabet === 'duration') return dashOrDigits;
  if (width > 0) return byWidth;
  return args.time?.isDefault === true ? byTime : byTable;
}

/** The width of a time whose every piece has one. The default is found by the text that follows, if there is any. */
function widthOf({ args }: Command, target: Target, literal: Buffer): number {
  if (args.time === undefined || target.alphabet !== 'time') return 0;
  if (args.time.isDefault && literal.length > 0) return 0;
  const widths = args.time.parts.map((part) => part.width);
  return widths.some((width) => width < 0) ? 0 : widths.reduce((sum, width) => sum + width, 0);
}

const clientsOwn: readonly Alphabet[] = ['free', 'path'];

function isCertain({ operator }: Command, { alphabet }: Target, literal: Buffer): boolean {
  if (clientsOwn.includes(alphabet)) return false;
  if (alphabet !== 'sentence' || literal.length === 0) return true;
  // A reason's spaces are underscores; other sentences may hold the text that ends them.
  return operator.kind === 'reason' || literal.some((byte) => tableFor('sentence')[byte] === 0);
}

function slotOf(drafts: readonly Draft[], k: number, before: string): Slot {
  const { command, target, literal, certain, scan, width } = drafts[k]!;
  const table = tableFor(quickAlphabet(target.alphabet, literal));
  const wide = tableFor(target.alphabet === 'path' ? 'free' : target.alphabet);
  let back = literal.findIndex((byte) => table[byte] === 0);
  if (back < 0 || (!certain && target.alphabet !== 'sentence')) {
    back = 0;
    if (literal.length > 0) table[literal[0]!] = 0;
  }
  if (!certain) for (const byte of separators(drafts, k)) table[byte] = 0;
  const backTable = table.slice();
  const last = Buffer.from(before).at(-1);
  if (last !== undefined) backTable[last] = 0;
  const head = Buffer.alloc(4);
  literal.copy(head, 0, 0, 4);
  const mask = literal.length >= 4 ? -1 : (1 << (literal.length * 8)) - 1;
  return {
    command,
    target,
    table,
    backTable,
    wide,
    scan: scan === byTable ? wordScan(table) : scan,
    width,
    back,
    certain,
    neverEmpty: command.operator.kind === 'count' || target.store === 'time',
    literal,
    literalLength: literal.length,
    word: head.readInt32LE(),
    mask,
  };
}

/**
 * Where a space or a quote ends a value, one look at four bytes finds it: which of the other bytes the value holds matters
 * only when the line is not read in one pass.
 */
function quickAlphabet(alphabet: Alphabet, literal: Buffer): Alphabet {
  const narrow: readonly Alphabet[] = ['address', 'server_name', 'protocol', 'id'];
  return narrow.includes(alphabet) && (literal[0] ?? 0) <= 34 ? 'token' : alphabet;
}

/** Whether words can be tested for the bytes that a table lacks. */
function wordScan(table: ByteTable): Scan {
  const lacks = [...table.keys()].filter((byte) => table[byte] === 0);
  if (lacks.some((byte) => byte > 34)) return byTable;
  return table[32] === 0 ? byWords : byTextWords;
}

/** First bytes of the texts between the uncertain values around slot `k`: without one of them nothing can have moved. */
function separators(drafts: readonly Draft[], k: number): number[] {
  let first = k;
  let last = k;
  while (first > 0 && !drafts[first - 1]!.certain) first--;
  while (last + 1 < drafts.length && !drafts[last + 1]!.certain) last++;
  return drafts.slice(first, last).flatMap(({ literal }) => [...literal.subarray(0, 1)]);
}
