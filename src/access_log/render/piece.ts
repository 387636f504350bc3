// The contract between operators and what puts them together: one value of a row, as text or as JSON.

import type { Batch } from '../../pipeline/batch.ts';
import type { FieldCells } from './field_cells.ts';
import { envoyNumber } from './number_text.ts';
import { cut, escapeJson, type Out } from './out.ts';

/** The value of one command. `begin` comes before the rows of a batch are asked for. */
export type Piece = {
  begin(batch: Batch): void;
  /** Writes the value as text; false and nothing when the row has none. */
  text(row: number, out: Out): boolean;
  /** Writes the value as JSON; false and nothing when it is null. */
  json(row: number, out: Out): boolean;
  /**
   * The field whose text is all that there is to print for the batch at hand, if that is so: asking it directly is what
   * makes rendering fast.
   */
  plain?(): FieldCells | undefined;
};

/** How numbers are spelled in JSON. */
export type NumberStyle = 'envoy' | 'plain';

type Body = {
  readonly begin: (batch: Batch) => void;
  readonly text: (row: number, out: Out) => boolean;
};

/** A value that is a string in JSON too. `length` cuts bytes in both. */
export function stringPiece({ begin, text }: Body, length?: number): Piece {
  const short =
    length === undefined
      ? text
      : (row: number, out: Out): boolean => {
          const from = out.at;
          if (!text(row, out)) return false;
          cut(out, from, length);
          return true;
        };
  return {
    begin,
    text: short,
    json: (row, out) => {
      const from = out.at;
      out.byte(34);
      if (!short(row, out)) {
        out.at = from;
        return false;
      }
      escapeJson(out, from + 1);
      out.byte(34);
      return true;
    },
  };
}

/** Whether the digits written since `from` are longer than Envoy's spelling with an exponent. */
function hasExponent(out: Out, from: number): boolean {
  const { buffer, at } = out;
  // Up to five digits never are; a double does not tell the sixteenth.
  if (at - from <= 5) return false;
  if (at - from > 15) return true;
  let zeros = 0;
  while (buffer[at - 1 - zeros] === 48) zeros++;
  return zeros > 5 || at - from - zeros === 1;
}

type NumberBody = {
  readonly begin: (batch: Batch) => void;
  /** NaN: there is none. */
  readonly number: (row: number) => number;
  /** Writes the digits when they stand in the batch; false: use `number`. */
  readonly digits?: (row: number, out: Out) => boolean;
};

/** A whole number. */
export function numberPiece({ begin, number, digits }: NumberBody, style: NumberStyle): Piece {
  const put = (row: number, out: Out, json: boolean): boolean => {
    const from = out.at;
    if (digits?.(row, out) === true) {
      if (!json || style === 'plain' || !hasExponent(out, from)) return true;
      out.at = from;
    }
    const value = number(row);
    if (Number.isNaN(value)) return false;
    if (json && style === 'envoy') out.text(envoyNumber(value));
    else if (value >= 0 && value < Number.MAX_SAFE_INTEGER) out.digits(value);
    else out.text(String(value));
    return true;
  };
  return {
    begin,
    text: (row, out) => put(row, out, false),
    json: (row, out) => put(row, out, true),
  };
}
