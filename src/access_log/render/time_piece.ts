// START_TIME and its kin. A time that stands in the batch as the format would print it is copied.

import type { Batch } from '../../pipeline/batch.ts';
import { viewOf } from '../../pipeline/buffers.ts';
import { type Column, INT, TEXT } from '../../pipeline/column.ts';
import { parsedTime, parseTime } from '../../pipeline/time.ts';
import type { Command } from '../format/grammar.ts';
import { TimePrinter } from '../format/time_text.ts';
import { type Piece, stringPiece } from './piece.ts';

export function timePiece({ operator, args }: Command): Piece {
  const format = args.time!;
  const printer = new TimePrinter(format);
  const { field } = operator;
  let batch!: Batch;
  let view!: DataView;
  let column: Column | undefined;
  let own: Column | undefined;
  return stringPiece({
    begin: (next) => {
      batch = next;
      view = viewOf(next.bytes);
      own = next.column(field);
      column = field === 'request.time' ? (next.time ?? own) : own;
    },
    text: (row, out) => {
      const cell = timeCell(column, row) ? column : own;
      if (cell !== undefined && cell.kind[row] === TEXT) {
        const start = cell.a[row]!;
        const end = cell.b[row]!;
        if (format.isDefault && isUtcTime(batch.bytes, start, end)) {
          out.span(batch.bytes, view, start, start + 23);
          out.byte(90);
          return true;
        }
        if (parseTime(batch.bytes, start, end)) {
          out.text(printer.print(parsedTime.seconds, parsedTime.nanos));
          return true;
        }
        // A spelling that cannot be read is better than nothing.
        out.span(batch.bytes, view, start, end);
        return true;
      }
      if (cell !== undefined && cell.kind[row] === INT) {
        split(cell.a[row]!, cell.b[row]!);
        out.text(printer.print(parts.seconds, parts.nanos));
        return true;
      }
      if (field !== 'access_log.emit_time') return false;
      // The proxy's own moment is not known: when the record was read comes closest.
      const seconds = Math.floor(batch.observedMs / 1000);
      out.text(printer.print(seconds, Math.round((batch.observedMs - seconds * 1000) * 1e6)));
      return true;
    },
  });
}

const timeCell = (column: Column | undefined, row: number): boolean =>
  column !== undefined && (column.kind[row] === TEXT || column.kind[row] === INT);

/** `2026-08-21T10:00:00.123Z`, perhaps with more digits. */
function isUtcTime(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < 24 || bytes[start + 4] !== 45 || bytes[start + 10] !== 84) return false;
  if (bytes[start + 19] !== 46 || bytes[end - 1] !== 90) return false;
  for (let i = start + 20; i < end - 1; i++) if (bytes[i]! < 48 || bytes[i]! > 57) return false;
  return true;
}

const parts = { seconds: 0, nanos: 0 };

/** Seconds and nanoseconds of a 64-bit count of nanoseconds, by long division in steps that a double holds exactly. */
function split(low: number, high: number): void {
  const top = Math.floor(high / 1e9);
  const middle = (high - top * 1e9) * 65536 + (low >>> 16);
  const middleSeconds = Math.floor(middle / 1e9);
  const bottom = (middle - middleSeconds * 1e9) * 65536 + (low & 0xffff);
  const bottomSeconds = Math.floor(bottom / 1e9);
  parts.seconds = top * 4294967296 + middleSeconds * 65536 + bottomSeconds;
  parts.nanos = bottom - bottomSeconds * 1e9;
}
