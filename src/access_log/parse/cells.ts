// Values of a line as cells: what each kind of value is kept as.

import type { Batch } from '../../pipeline/batch.ts';
import { type Column, Dictionary, ESCAPED, NESTED, NUMBER, TEXT } from '../../pipeline/column.ts';
import { codeOfFlags, flagLists, splitFlags } from '../flag_lists.ts';
import { flagOfLong } from '../flags.ts';
import type { Command } from '../format/grammar.ts';
import { grpcNameOf } from '../grpc_status.ts';
import type { Slot } from './program.ts';
import type { Store, Target } from './target.ts';

/** Writes bytes[start, end) of the batch into the cell of a row. */
export type CellWriter = (
  batch: Batch,
  column: Column,
  row: number,
  start: number,
  end: number,
) => void;

/** Directions that lines print, as the vocabulary spells them. */
const directions = new Dictionary();
const directionCodes: Readonly<Record<string, number>> = {
  INBOUND: directions.code('inbound'),
  OUTBOUND: directions.code('outbound'),
};

const grpcNames = new Dictionary();

/** The dictionary that columns of a store have their codes in. */
export function dictionaryOf(store: Store): Dictionary | undefined {
  if (store === 'flags') return flagLists;
  if (store === 'direction') return directions;
  return store === 'grpc' ? grpcNames : undefined;
}

const writeText: CellWriter = (_batch, column, row, start, end) =>
  column.setSpan(row, TEXT, start, end);

const writers: Readonly<Record<Exclude<Store, 'none' | 'scaled'>, CellWriter>> = {
  text: writeText,
  time: writeText,
  number: (_batch, column, row, start, end) => {
    if (end > start) column.setSpan(row, NUMBER, start, end);
  },
  flags: (batch, column, row, start, end) => {
    const own = column.dictionary === flagLists;
    const code = own ? codeOfFlags(batch.bytes, start, end) : -2;
    if (code >= 0) column.setCode(row, code);
    else if (code === -2) {
      batch.setValue(column, row, splitFlags(batch.bytes.utf8Slice(start, end)));
    }
  },
  flags_long: (batch, column, row, start, end) => {
    const names = splitFlags(batch.bytes.utf8Slice(start, end));
    const short = names.map((name) => flagOfLong(name)?.short ?? name);
    if (short.length > 0) batch.setValue(column, row, short);
  },
  direction: (batch, column, row, start, end) => {
    const code = directionCodes[batch.bytes.latin1Slice(start, end)];
    if (code === undefined) return;
    if (column.dictionary === directions) column.setCode(row, code);
    else batch.setValue(column, row, directions.values[code]);
  },
  grpc: (batch, column, row, start, end) => {
    const text = batch.bytes.latin1Slice(start, Math.min(end, start + 64));
    const name = grpcNameOf(text);
    if (name === text || name === undefined) column.setSpan(row, TEXT, start, end);
    else if (column.dictionary === grpcNames) column.setCode(row, grpcNames.code(name));
    else batch.setValue(column, row, name);
  },
  json: (batch, column, row, start, end) => writeJson(batch, column, row, start, end),
  kuma_address: (batch, column, row, start, end) => {
    const bracketed = batch.bytes[start] === 91;
    const port = batch.bytes.lastIndexOf(58, end - 1);
    const to = port > start ? port : end;
    column.setSpan(row, TEXT, bracketed ? start + 1 : start, bracketed ? to - 1 : to);
  },
};

function writeJson(batch: Batch, column: Column, row: number, start: number, end: number): void {
  const first = batch.bytes[start];
  const text = first === 123 || first === 91 || first === 34;
  if (!text || !isJson(batch, start, end)) column.setSpan(row, TEXT, start, end);
  else if (first !== 34) column.setSpan(row, NESTED, start, end);
  else column.setSpan(row, ESCAPED, start + 1, end - 1);
}

function isJson(batch: Batch, start: number, end: number): boolean {
  try {
    JSON.parse(batch.bytes.utf8Slice(start, end));
    return true;
  } catch {
    return false;
  }
}

/** A value that stands in a JSON string, escaped if the proxy or a filter escaped it. */
const writeEscaped: CellWriter = (batch, column, row, start, end) => {
  const { bytes } = batch;
  let i = start;
  while (i < end && bytes[i] !== 92) i++;
  const escaped = i < end && isJson(batch, start - 1, end + 1);
  column.setSpan(row, escaped ? ESCAPED : TEXT, start, end);
};

/** What writes the values of a slot; undefined: they are not kept. */
export function writerOf(slot: Slot, jsonLike: boolean): CellWriter | undefined {
  const { store } = slot.target;
  if (jsonLike && store === 'text' && slot.literal[0] === 34) return writeEscaped;
  return writerFor(slot.target, slot.command);
}

/** What writes the values of a command, whatever surrounds it. */
export function writerFor({ store }: Target, command: Command): CellWriter | undefined {
  if (store === 'none') return undefined;
  if (store === 'scaled') return scaledWriter(command.args.duration!.unit);
  return writers[store];
}

function scaledWriter(unit: number): CellWriter {
  return (batch, column, row, start, end) => {
    const count = Number(batch.bytes.latin1Slice(start, end));
    if (Number.isFinite(count)) column.setDouble(row, (count * unit) / 1e6);
  };
}
