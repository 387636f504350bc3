// Operators that print one field, or the first of several that the row has.

import { randomUUID } from 'node:crypto';
import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, CODE, type Dictionary, INT, NUMBER } from '../../pipeline/column.ts';
import { nanosOf } from '../fields.ts';
import { splitFlags } from '../flag_lists.ts';
import { longNames } from '../flags.ts';
import type { Command } from '../format/grammar.ts';
import { pointField, startPoint } from '../time_points.ts';
import { FieldCells } from './field_cells.ts';
import { cutBefore, type Out, underscores, written } from './out.ts';
import { type NumberStyle, numberPiece, type Piece, stringPiece } from './piece.ts';

/** What is done to a text once it is written. */
type Change = (out: Out, from: number) => void;

const tableOf = (accepts: (byte: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, byte) => (accepts(byte) ? 1 : 0));
const whitespace = tableOf((byte) => byte === 32 || (byte >= 9 && byte <= 13));
const spaces = tableOf((byte) => byte === 32);
const outsideNames = tableOf((byte) => !/[A-Za-z0-9._-]/.test(String.fromCharCode(byte)));

/** The text of the first field that the row has. */
export function textPiece(names: readonly string[], length?: number, change?: Change): Piece {
  const fields = names.map((name) => new FieldCells(name));
  const write = (row: number, out: Out): boolean => {
    for (let i = 0; i < fields.length; i++) if (fields[i]!.write(row, out)) return true;
    return false;
  };
  const begin = (batch: Batch): void => {
    for (const field of fields) field.begin(batch);
  };
  if (length === undefined && change === undefined) {
    const json = (row: number, out: Out): boolean => {
      for (let i = 0; i < fields.length; i++) if (fields[i]!.writeJson(row, out)) return true;
      return false;
    };
    const plain = (): FieldCells | undefined => onlyOne(fields);
    return { begin, text: write, json, plain };
  }
  return stringPiece(
    {
      begin,
      text:
        change === undefined
          ? write
          : (row, out) => {
              const from = out.at;
              if (!write(row, out)) return false;
              change(out, from);
              return true;
            },
    },
    length,
  );
}

/** The only field that the batch may have. */
function onlyOne(fields: readonly FieldCells[]): FieldCells | undefined {
  const there = fields.filter((field) => !field.isMissing());
  return there.length > 1 ? undefined : (there[0] ?? fields[0]);
}

export const detailsChange: Change = (out, from) => underscores(out, from, whitespace);
export const reasonChange: Change = (out, from) => underscores(out, from, spaces);
export const queryCut: Change = (out, from) => cutBefore(out, from, 63);

/** Server names are shown to people: what is no part of a name becomes `_`, and is said to be. */
export const serverNameChange: Change = (out, from) => {
  const { buffer, at } = out;
  for (let i = from; i < at; i++) {
    if (outsideNames[buffer[i]!] === 0) continue;
    // A line that was parsed has it in this form already.
    const name = written(out, from);
    if (/^invalid:[A-Za-z0-9._-]*$/.test(name)) return;
    underscores(out, from, outsideNames);
    const clean = written(out, from);
    out.at = from;
    out.text(`invalid:${clean}`);
    return;
  }
};

/** `host:port` without the port. */
export const hostChange: Change = (out, from) => {
  const text = written(out, from);
  const colon = text.lastIndexOf(':');
  if (
    colon > 0 &&
    /^\d+$/.test(text.slice(colon + 1)) &&
    !/:.*:/.test(text.replace(/^\[.*\]/, ''))
  ) {
    out.at = from + Buffer.byteLength(text.slice(0, colon));
  }
};

/** A value that is a string even when there is none. */
export function alwaysPiece(name: string, nothing: string): Piece {
  const field = new FieldCells(name);
  return stringPiece({
    begin: (batch) => field.begin(batch),
    text: (row, out) => {
      if (!field.write(row, out)) out.text(nothing);
      return true;
    },
  });
}

/** An unsigned integer, 0 when it is unknown. */
export function countPiece(name: string, style: NumberStyle): Piece {
  const field = new FieldCells(name);
  return numberPiece(
    {
      begin: (batch) => field.begin(batch),
      number: (row) => {
        const value = field.number(row);
        return Number.isNaN(value) ? 0 : Math.trunc(value);
      },
      digits: (row, out) => wholeDigits(field, row, out),
    },
    style,
  );
}

/** Copies digits that stand in the batch or writes an INT cell. */
function wholeDigits(field: FieldCells, row: number, out: Out): boolean {
  const kind = field.kind(row);
  if (kind === INT) return field.write(row, out);
  if (kind !== NUMBER) return false;
  const from = out.at;
  field.write(row, out);
  const { buffer, at } = out;
  for (let i = from; i < at; i++) {
    const c = buffer[i]!;
    if (c >= 48 && c <= 57 && at - from <= 15) continue;
    out.at = from;
    return false;
  }
  return at > from;
}

/** Whole milliseconds, cut. The first of the fields that the row has. */
export function durationPiece(names: readonly string[], style: NumberStyle): Piece {
  const fields = names.map((name) => new FieldCells(name));
  const [first] = fields;
  return numberPiece(
    {
      begin: (batch) => {
        for (const field of fields) field.begin(batch);
      },
      number: (row) => {
        const field = fields.find((one) => one.has(row));
        const value = field?.number(row) ?? Number.NaN;
        return Math.floor(nanosOf(value) / 1e6);
      },
      digits: (row, out) => wholeDigits(first!, row, out),
    },
    style,
  );
}

/** From the first upstream byte to the last byte out, when it is not given as such. */
export function responseTxPiece(style: NumberStyle): Piece {
  const given = new FieldCells('response.tx_duration');
  const difference = differenceOf('US_RX_BEG', 'DS_TX_END');
  return numberPiece(
    {
      begin: (batch) => {
        given.begin(batch);
        difference.begin(batch);
      },
      number: (row) => {
        const nanos = given.has(row) ? nanosOf(given.number(row)) : difference.nanos(row);
        return Math.floor(nanos / 1e6);
      },
      digits: (row, out) => wholeDigits(given, row, out),
    },
    style,
  );
}

/** COMMON_DURATION: from one time point to another one that is not earlier. */
export function commonDurationPiece({ args }: Command, style: NumberStyle): Piece {
  const { start, end, unit } = args.duration!;
  const difference = differenceOf(start, end);
  const given = new FieldCells(`timing.${start}.${end}`);
  return numberPiece(
    {
      begin: (batch) => {
        difference.begin(batch);
        given.begin(batch);
      },
      number: (row) => {
        const nanos = given.has(row) ? nanosOf(given.number(row)) : difference.nanos(row);
        return Math.floor(nanos / unit);
      },
    },
    style,
  );
}

function differenceOf(
  start: string,
  end: string,
): { begin(batch: Batch): void; nanos(row: number): number } {
  const points = [start, end].map((point) =>
    point === startPoint ? undefined : new FieldCells(pointField(point)),
  );
  const nanosAt = (field: FieldCells | undefined, row: number): number =>
    field === undefined ? 0 : nanosOf(field.number(row));
  return {
    begin: (batch) => {
      for (const field of points) field?.begin(batch);
    },
    nanos: (row) => {
      const nanos = nanosAt(points[1], row) - nanosAt(points[0], row);
      return nanos >= 0 ? nanos : Number.NaN;
    },
  };
}

/** RESPONSE_FLAGS and RESPONSE_FLAGS_LONG: `-` when there are none, even in JSON. */
export function flagsPiece(long: boolean): Piece {
  const field = new FieldCells('response.flags');
  const slot = long ? 'flags_long' : 'flags';
  return stringPiece({
    begin: (batch) => field.begin(batch),
    text: (row, out) => {
      const kind = field.kind(row);
      if (kind === CODE) {
        const column = field.column()!;
        out.put(flagBytes(column.dictionary!, slot, column.a[row]!, long));
      } else if (kind === ABSENT && !field.has(row)) out.byte(45);
      else out.text(flagText(field.value(row), long));
      return true;
    },
  });
}

function flagBytes(dictionary: Dictionary, slot: string, code: number, long: boolean): Buffer {
  let texts = dictionary.encoded.get(slot);
  if (texts === undefined) {
    texts = [];
    dictionary.encoded.set(slot, texts);
  }
  texts[code] ??= Buffer.from(flagText(dictionary.values[code], long));
  return texts[code];
}

function flagText(value: unknown, long: boolean): string {
  const names = Array.isArray(value)
    ? value.map(String)
    : splitFlags(typeof value === 'string' ? value : '');
  if (long) return longNames(names);
  return names.length === 0 ? '-' : names.join(',');
}

/** Kuma's words for the direction. */
export function directionPiece(): Piece {
  const field = new FieldCells('mesh.direction');
  return stringPiece({
    begin: (batch) => field.begin(batch),
    text: (row, out) => {
      const from = out.at;
      if (!field.write(row, out)) out.text('UNSPECIFIED');
      // The words are letters only.
      const { buffer, at } = out;
      for (let i = from; i < at; i++) {
        const c = buffer[i]!;
        if (c >= 97 && c <= 122) buffer[i] = c - 32;
      }
      return true;
    },
  });
}

/** A fresh id per record, if the line had none. */
export function uniqueIdPiece(): Piece {
  const field = new FieldCells('access_log.unique_id');
  return stringPiece({
    begin: (batch) => field.begin(batch),
    text: (row, out) => {
      if (!field.write(row, out)) out.text(randomUUID());
      return true;
    },
  });
}

/** The environment of this process, which is the proxy's only if it was given the same. */
export function environmentPiece({ args, operator, length }: Command): Piece {
  const name = args.word ?? '';
  const field = new FieldCells(operator.field + name);
  const own = process.env[name] ?? '-';
  return stringPiece(
    {
      begin: (batch) => field.begin(batch),
      text: (row, out) => {
        if (!field.write(row, out)) out.text(own);
        return true;
      },
    },
    length,
  );
}
