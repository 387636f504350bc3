// Operators over nested values: metadata, filter state, all headers, and CEL expressions.

import type { Batch } from '../../pipeline/batch.ts';
import type { AnyValue } from '../../pipeline/record.ts';
import { compileCel } from '../filter/cel/cel.ts';
import { CelError } from '../filter/cel/problem.ts';
import { celAny, celText } from '../filter/cel/render.ts';
import { FormatError } from '../format/format_error.ts';
import type { Command } from '../format/grammar.ts';
import { FieldCells } from './field_cells.ts';
import { jsonText, valueAt } from './json_text.ts';
import { cut, escapeJson, type Out } from './out.ts';
import type { Piece } from './piece.ts';

type Source = { begin(batch: Batch): void; value(row: number): AnyValue | undefined };

type Spelling = {
  readonly length: number | undefined;
  /** Whether the text of a string is JSON, too: with quotes. */
  readonly quoted?: boolean;
  /** Whether `length` cuts strings in JSON. */
  readonly cutsJson: boolean;
};

/** A value of any type: text as it is or as JSON, JSON as it is. */
function structPiece({ begin, value }: Source, { length, quoted, cutsJson }: Spelling): Piece {
  const isNothing = (found: AnyValue | undefined): found is undefined | null =>
    found === undefined || found === null;
  return {
    begin,
    text: (row, out) => {
      const found = value(row);
      if (isNothing(found)) return false;
      const from = out.at;
      out.text(typeof found === 'string' && quoted !== true ? found : jsonText(found));
      cut(out, from, length);
      return true;
    },
    json: (row, out) => {
      const found = value(row);
      if (isNothing(found)) return false;
      if (typeof found !== 'string') out.text(jsonText(found));
      else {
        const from = out.at;
        out.byte(34);
        out.text(found);
        if (cutsJson) cut(out, from + 1, length);
        escapeJson(out, from + 1);
        out.byte(34);
      }
      return true;
    },
  };
}

/** DYNAMIC_METADATA and its kin: a value of a namespace, which a line may have printed by itself. */
export function metadataPiece({ args, length }: Command): Piece {
  const { prefix, namespace, path } = args.metadata!;
  const whole = new FieldCells(prefix + namespace);
  const exact = new FieldCells(prefix + [namespace, ...path].join('.'));
  return structPiece(
    {
      begin: (batch) => {
        whole.begin(batch);
        exact.begin(batch);
      },
      value: (row) => (exact.has(row) ? exact.value(row) : valueAt(whole.value(row), path)),
    },
    { length, cutsJson: true },
  );
}

/** FILTER_STATE: as text (PLAIN), as the JSON of its message (TYPED), or one of its fields. */
export function filterStatePiece({ operator, args, length }: Command): Piece {
  const { key, how, field } = args.filterState!;
  const object = new FieldCells(operator.field + key);
  const member = new FieldCells(`${operator.field}${key}.${field}`);
  const begin = (batch: Batch): void => {
    object.begin(batch);
    member.begin(batch);
  };
  if (how === 'TYPED') {
    return structPiece(
      { begin, value: (row) => object.value(row) },
      { length, quoted: true, cutsJson: false },
    );
  }
  const value = (row: number): AnyValue | undefined => {
    if (how === 'PLAIN') return plainOf(object.value(row));
    return plainOf(member.has(row) ? member.value(row) : valueAt(object.value(row), [field]));
  };
  return structPiece({ begin, value }, { length, cutsJson: true });
}

const plainOf = (value: AnyValue | undefined): AnyValue | undefined =>
  value === undefined || value === null || typeof value === 'string' ? value : jsonText(value);

/** REQ_ALL_HEADERS: those that the record has. */
export function headersPiece({ operator }: Command): Piece {
  const prefix = operator.field;
  let batch!: Batch;
  return structPiece(
    {
      begin: (next) => {
        batch = next;
      },
      value: (row) => {
        const headers: Record<string, AnyValue> = {};
        for (const column of batch.columns) {
          if (!column.name.startsWith(prefix)) continue;
          const value = batch.value(column, row);
          if (value !== undefined) headers[column.name.slice(prefix.length)] = value;
        }
        return headers;
      },
    },
    { length: undefined, cutsJson: false },
  );
}

/** CEL and TYPED_CEL over the record's attributes; an error is nothing. Throws FormatError for a bad expression. */
export function celPiece({ operator, args, length, position }: Command): Piece {
  const program = compileExpression(args.word ?? '', position);
  const shown = operator.name === 'TYPED_CEL' ? celAny : celText;
  const value = (row: number): AnyValue | undefined => shown(program.value(row));
  return structPiece({ begin: (batch) => program.bind(batch), value }, { length, cutsJson: true });
}

function compileExpression(source: string, position: number) {
  try {
    return compileCel(source, { lenient: true });
  } catch (error) {
    if (!(error instanceof CelError)) throw error;
    throw new FormatError(`Not able to parse expression: ${error.message}`, position);
  }
}

/** COALESCE: the first of several values that is there and not empty. */
export function coalescePiece(pieces: readonly Piece[], length: number | undefined): Piece {
  const first = (row: number, out: Out): boolean => {
    for (const piece of pieces) {
      const from = out.at;
      if (piece.text(row, out) && out.at > from) {
        cut(out, from, length);
        return true;
      }
      out.at = from;
    }
    return false;
  };
  return {
    begin: (batch) => {
      for (const piece of pieces) piece.begin(batch);
    },
    text: first,
    json: (row, out) => {
      const from = out.at;
      out.byte(34);
      if (!first(row, out)) {
        out.at = from;
        return false;
      }
      escapeJson(out, from + 1);
      out.byte(34);
      return true;
    },
  };
}
