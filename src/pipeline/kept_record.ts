// Records as JSON lines that can be read back: the dead letter, and what `meshlog queue export` prints. Integers beyond
// 2^53 and bytes are written as OTLP/JSON has them: {"intValue":"..."}, {"bytesValue":"base64"}.

import { Batch } from './batch.ts';
import { batchOfRecords } from './from_records.ts';
import type { AnyValue, LogRecord } from './record.ts';

type Facts = Readonly<Record<string, string>>;

/** One line for each selected row, with the facts in front. */
export function keptLines(batch: Batch, facts: Facts): string {
  let text = '';
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i] ?? 0;
    const record = batch.record(row);
    const kept = {
      ...facts,
      record: {
        ...record,
        time: record.time?.toString(),
        observedTime: record.observedTime.toString(),
      },
      line: batch.source === 'line' ? lineOf(batch, row) : undefined,
    };
    text += `${JSON.stringify(kept, plain)}\n`;
  }
  return text;
}

function lineOf(batch: Batch, row: number): AnyValue {
  if (batch.isUtf8) return batch.line(row);
  return new Uint8Array(batch.bytes.subarray(batch.rowStart[row], batch.rowEnd[row]));
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { intValue: value.toString() };
  if (value instanceof Uint8Array) return { bytesValue: Buffer.from(value).toString('base64') };
  return value;
}

export type Kept = { readonly record: LogRecord; readonly line: string | Uint8Array | undefined };

/** The record of a line; undefined when it is none. */
export function readKept(line: string): Kept | undefined {
  try {
    const { record, line: source } = JSON.parse(line, restored) as {
      record: LogRecord & { time?: string; observedTime?: string };
      line?: string | Uint8Array;
    };
    if (typeof record !== 'object' || record === null) return undefined;
    return {
      record: {
        ...record,
        time: record.time === undefined ? undefined : BigInt(record.time),
        observedTime: BigInt(record.observedTime ?? 0),
        attributes: record.attributes ?? {},
        resource: record.resource ?? {},
      },
      line: source,
    };
  } catch {
    return undefined;
  }
}

function restored(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const { intValue, bytesValue } = value as { intValue?: unknown; bytesValue?: unknown };
  if (Object.keys(value).length !== 1) return value;
  if (typeof intValue === 'string' && /^-?\d+$/.test(intValue)) return BigInt(intValue);
  if (typeof bytesValue === 'string') return new Uint8Array(Buffer.from(bytesValue, 'base64'));
  return value;
}

/** Batches with these records, in order; those that were lines are lines again. */
export function batchesOfKept(kept: readonly Kept[]): Batch[] {
  const batches: Batch[] = [];
  for (let from = 0; from < kept.length; ) {
    const isLine = kept[from]?.line !== undefined;
    let to = from;
    while (to < kept.length && (kept[to]?.line !== undefined) === isLine) to++;
    const group = kept.slice(from, to);
    from = to;
    const lines = group.flatMap(({ line }) => (line === undefined ? [] : [line]));
    const records = group.map(({ record }) => record);
    batches.push(batchOfRecords(records, isLine ? Batch.ofLines(lines) : undefined));
  }
  return batches;
}
