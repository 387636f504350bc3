// A JSON format as a tree of readers: which field the value of each key becomes.

import type { Batch } from '../../pipeline/batch.ts';
import type { Column } from '../../pipeline/column.ts';
import { type JsonNode, loneCommand } from '../format/format.ts';
import type { Segment } from '../format/grammar.ts';
import { type CellWriter, dictionaryOf, writerFor } from './cells.ts';
import { refuseErrors } from './findings.ts';
import { compileProgram } from './program.ts';
import { RecordTime } from './record_time.ts';
import { type Target, targetOf } from './target.ts';
import { type TextParser, textParser } from './text_parser.ts';

/** What reads the value of a key. */
export type Reader =
  | {
      readonly kind: 'field';
      readonly target: Target;
      readonly write: CellWriter;
      readonly time: RecordTime | undefined;
      column: Column | undefined;
    }
  | { readonly kind: 'mixed'; readonly key: string; readonly parser: TextParser }
  | { readonly kind: 'object'; readonly keys: Keys }
  | { readonly kind: 'list'; readonly items: readonly Reader[] }
  /** A constant, or an operator whose value is not kept. */
  | { readonly kind: 'skip' };

export type Key = { readonly bytes: Buffer; readonly reader: Reader };

/** The keys of an object, and which came after which: proxies print them in one order, whatever the format's is. */
export type Keys = {
  readonly list: readonly Key[];
  /** By key: the one that followed it the last time; the last entry is for the first key of an object. */
  readonly next: Int32Array;
};

export const skip: Reader = { kind: 'skip' };

/** The reader of a node. `seen` collects the fields that are read: each is read once. */
export function readerOf(node: JsonNode, key: string, seen: Set<string>): Reader {
  switch (node.kind) {
    case 'object':
      return { kind: 'object', keys: keysOf(node.entries, seen) };
    case 'list':
      return { kind: 'list', items: node.items.map((item) => readerOf(item, key, seen)) };
    case 'template':
      return templateReader(node.segments, key, seen);
    default:
      return skip;
  }
}

function keysOf(entries: readonly (readonly [string, JsonNode])[], seen: Set<string>): Keys {
  const list = entries.map(([name, inner]) => ({
    bytes: Buffer.from(`${JSON.stringify(name).slice(1)}`),
    reader: readerOf(inner, name, seen),
  }));
  return {
    list,
    next: Int32Array.from({ length: list.length + 1 }, (_, i) => (i + 1) % (list.length + 1)),
  };
}

function templateReader(segments: readonly Segment[], key: string, seen: Set<string>): Reader {
  const command = loneCommand(segments);
  if (command === undefined) {
    const program = refuseErrors(compileProgram(segments));
    for (const { target } of program.slots) seen.add(target.field);
    return { kind: 'mixed', key, parser: textParser(key, program) };
  }
  const target = targetOf(command);
  const write = writerFor(target, command);
  if (write === undefined || seen.has(target.field)) return skip;
  seen.add(target.field);
  const time = RecordTime.isMeant(target) ? new RecordTime(command) : undefined;
  return { kind: 'field', target, write, time, column: undefined };
}

/** The column of a reader in a batch. */
export function columnOf(
  { target, time }: Extract<Reader, { kind: 'field' }>,
  batch: Batch,
): Column {
  const column = batch.ownColumn(target.field);
  column.dictionary ??= dictionaryOf(target.store);
  time?.attach(batch, column);
  return column;
}

/** Lets go of the columns of the last batch. */
export function forget(keys: Keys): void {
  for (const { reader } of keys.list) forgetReader(reader);
}

function forgetReader(reader: Reader): void {
  if (reader.kind === 'field') reader.column = undefined;
  else if (reader.kind === 'object') forget(reader.keys);
  else if (reader.kind === 'list') reader.items.forEach(forgetReader);
}

/** The key whose bytes and closing quote stand at `at`, or -1. */
export function keyAt(keys: Keys, before: number, bytes: Buffer, at: number, end: number): number {
  const expected = keys.next[before]!;
  const { list } = keys;
  if (expected < list.length && standsAt(list[expected]!.bytes, bytes, at, end)) return expected;
  for (let i = 0; i < list.length; i++) if (standsAt(list[i]!.bytes, bytes, at, end)) return i;
  return -1;
}

function standsAt(name: Buffer, bytes: Buffer, at: number, end: number): boolean {
  const { length } = name;
  if (at + length > end) return false;
  for (let i = length - 1; i >= 0; i--) if (bytes[at + i] !== name[i]) return false;
  return true;
}
