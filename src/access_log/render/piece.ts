// The contract between operators and what puts them together: one value of a row, as text or as JSON.

import type { Batch } from '../../pipeline/batch.ts';
import { envoyNumber } from './number_text.ts';
import { cut, escapeJson, type Out } from './out.ts';

/** The value of one command. `begin` comes before the rows of a batch are asked for. */
export type Piece = {
  begin(batch: Batch): void;
  /** Writes the value as text; false and nothing when the row has none. */
  text(row: number, out: Out): boolean;
  /** Writes the value as JSON; false and nothing when it is null. */
  json(row: number, out: Out): boolean;
  /** Whether JSON gets a number, as long as numbers are asked for in Envoy's spelling. */
  readonly numeric: boolean;
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
    numeric: false,
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
    // Five digits are never longer than an exponent.
    if (digits?.(row, out) === true) {
      if (!json || style === 'plain' || out.at - from <= 5) return true;
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
    numeric: true,
    text: (row, out) => put(row, out, false),
    json: (row, out) => put(row, out, true),
  };
}
