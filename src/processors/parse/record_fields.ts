// What fields of a line say about its record: the time, and the ids of trace and span.

import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, type Column, NUMBER, TEXT } from '../../pipeline/column.ts';
import { toWords, words } from '../../pipeline/time.ts';

/**
 * Makes `request.time` the time of the records that have one; the others keep `batch.time`, of which `given` is what was
 * there before the lines were read.
 */
export function takeTimes(batch: Batch, given: Column | undefined): void {
  const own = batch.column('request.time');
  if (own === undefined) return;
  const before = batch.time;
  if ((before === undefined || before === own) && isReadable(batch, own)) {
    batch.time = own;
    return;
  }
  const time = before === undefined || before === given ? batch.recordColumn('time') : before;
  if (time !== before && before !== undefined) copyCells(before, time);
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i]!;
    const kind = own.kind[row]!;
    if (kind === ABSENT) continue;
    const start = own.a[row]!;
    const end = own.b[row]!;
    if (kind === TEXT && isDate(batch.bytes, start, end)) time.setSpan(row, TEXT, start, end);
    else if ((kind === TEXT || kind === NUMBER) && isEpoch(batch.bytes, start, end)) {
      time.setInt64(row, words.low, words.high);
    }
  }
  batch.time = time;
}

function copyCells(from: Column, to: Column): void {
  to.kind.set(from.kind);
  to.a.set(from.a);
  to.b.set(from.b);
}

/** Whether the pipeline can read every time of a column as it stands. */
function isReadable(batch: Batch, column: Column): boolean {
  const { bytes, selection, count } = batch;
  for (let i = 0; i < count; i++) {
    const row = selection[i]!;
    const kind = column.kind[row]!;
    if (kind === ABSENT) continue;
    if (kind !== TEXT || !isDate(bytes, column.a[row]!, column.b[row]!)) return false;
  }
  return true;
}

/** Whether bytes start..end look like RFC 3339. */
function isDate(bytes: Buffer, start: number, end: number): boolean {
  return end - start >= 19 && bytes[start + 4] === 45 && bytes[start + 13] === 58;
}

/** Digits of seconds, milliseconds, microseconds and nanoseconds since 1970, until the year 2286. */
const epochScales: Readonly<Record<number, number>> = { 10: 1, 13: 1e3, 16: 1e6, 19: 1e9 };

/** Whether bytes start..end are a time as a number; if so, its nanoseconds are in `words`. */
function isEpoch(bytes: Buffer, start: number, end: number): boolean {
  let digits = 0;
  while (start + digits < end && bytes[start + digits]! >= 48 && bytes[start + digits]! <= 57) {
    digits++;
  }
  const scale = epochScales[digits];
  // A fraction may follow (`%START_TIME(%s.%3f)%`).
  if (scale === undefined || (start + digits !== end && bytes[start + digits] !== 46)) return false;
  const text = bytes.latin1Slice(start, end);
  const seconds = Number(text.slice(0, 10));
  const rest = text.slice(10).replace('.', '');
  if (!/^\d*$/.test(rest)) return false;
  toWords(seconds, Number(rest.padEnd(9, '0').slice(0, 9)));
  return true;
}

const traceIdLength = 32;
const spanIdLength = 16;

/** Makes ids in hexadecimal the ids of their records. */
export function takeIds(batch: Batch): void {
  batch.traceId = idColumn(batch, 'trace.id', traceIdLength, batch.traceId);
  batch.spanId = idColumn(batch, 'span.id', spanIdLength, batch.spanId);
}

function idColumn(
  batch: Batch,
  name: string,
  length: number,
  given: Column | undefined,
): Column | undefined {
  const own = batch.column(name);
  if (own === undefined) return given;
  const column = batch.recordColumn(name);
  if (given !== undefined) copyCells(given, column);
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i]!;
    if (own.kind[row] !== TEXT || column.kind[row] !== ABSENT) continue;
    const start = own.a[row]!;
    const end = own.b[row]!;
    if (end - start === length && isHex(batch.bytes, start, end)) {
      column.setSpan(row, TEXT, start, end);
    }
  }
  return column;
}

function isHex(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const c = bytes[i]!;
    const letter = c | 32;
    if (!((c >= 48 && c <= 57) || (letter >= 97 && letter <= 102))) return false;
  }
  return true;
}
