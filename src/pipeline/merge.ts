// Several small batches as one, so that an export carries more than a handful of records.

import { Batch } from './batch.ts';
import { recordFields } from './batch_fields.ts';
import { buffers } from './buffers.ts';
import {
  ABSENT,
  BYTES,
  CODE,
  type Column,
  Dictionary,
  ENCODED,
  ESCAPED,
  HELD,
  NESTED,
  NUMBER,
  TEXT,
} from './column.ts';
import type { Attributes } from './record.ts';

/** Kinds whose words are positions in the batch's bytes. */
const isSpan = new Uint8Array(16);
for (const kind of [TEXT, ESCAPED, NUMBER, NESTED, BYTES, ENCODED]) isSpan[kind] = 1;

/**
 * A new batch with the selected rows of all batches, in order. Resources stay apart per row; attributes that differ
 * become columns. The batches must have the same source; they are only read.
 */
export function mergeBatches(batches: readonly Batch[]): Batch {
  const length = batches.reduce((sum, batch) => sum + batch.length, 0);
  const rows = batches.reduce((sum, batch) => sum + batch.count, 0);
  const merged = new Batch(buffers.take(length), length, rows);
  merged.source = batches[0]?.source ?? 'none';
  merged.observedMs = batches[0]?.observedMs ?? 0;
  mergeResources(merged, batches);
  if (!stayUndecoded(merged, batches)) {
    const bodies = batches.some(({ body }) => body !== undefined);
    let base = 0;
    let firstRow = 0;
    for (const batch of batches) {
      // Before its bytes: who is the first to ask for columns may have some written there.
      copyColumns(merged, batch, { base, firstRow, held: merged.held.length, bodies });
      copyRows(merged, batch, { base, length: batch.length });
      for (const value of batch.held) merged.held.push(value);
      base += batch.length;
      firstRow += batch.count;
    }
  }
  mergeAttributes(merged, batches);
  // The bytes of binary messages are never text as a whole, but their text cells mostly are.
  const isBinary = merged.source !== 'line' || merged.undecoded !== undefined;
  if (isBinary && batches.every((batch) => batch.isUtf8)) merged.claimUtf8();
  return merged;
}

/** Rows that nobody has looked into are put together without it: what came in is copied, and fills in the same. */
function stayUndecoded(merged: Batch, batches: readonly Batch[]): boolean {
  const [first] = batches;
  if (first?.undecoded === undefined) return false;
  const { fill, starts: firstStarts, observed } = first.undecoded;
  if (batches.some(({ undecoded }) => undecoded?.observed !== observed)) return false;
  // Where rows are lines, their records are more than that.
  const apart = firstStarts !== first.rowStart;
  const starts = apart ? new Int32Array(merged.capacity) : merged.rowStart;
  const ends = apart ? new Int32Array(merged.capacity) : merged.rowEnd;
  let base = 0;
  let columns = 0;
  for (const batch of batches) {
    const own = batch.undecoded!;
    for (let i = 0; i < batch.count; i++) {
      const row = batch.selection[i]!;
      starts[merged.rows + i] = own.starts[row]! + base;
      ends[merged.rows + i] = own.ends[row]! + base;
    }
    copyRows(merged, batch, { base, length: own.sourceLength });
    base += own.sourceLength;
    columns = Math.max(columns, own.columns);
  }
  merged.leaveUndecoded({ fill, starts, ends, observed, sourceLength: base, columns });
  return true;
}

/** The first `length` bytes of a batch and the places of its selected rows. */
function copyRows(merged: Batch, batch: Batch, to: { base: number; length: number }): void {
  batch.bytes.copy(merged.bytes, to.base, 0, to.length);
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i]!;
    merged.addRow(batch.rowStart[row]! + to.base, batch.rowEnd[row]! + to.base);
  }
}

/**
 * What goes out for some batches: one that holds all of them, as far as they can be put together. Those that cannot (a
 * defect, of ours) go alone rather than not at all. `made` are the caller's to release.
 */
export function grouped(batches: readonly Batch[]): { whole: Batch[]; made: Batch[] } {
  const whole: Batch[] = [];
  const made: Batch[] = [];
  for (let from = 0; from < batches.length; ) {
    let to = from + 1;
    while (to < batches.length && batches[to]?.source === batches[from]?.source) to++;
    const group = batches.slice(from, to);
    from = to;
    try {
      if (group.length > 1) made.push(mergeBatches(group));
      whole.push(...(group.length > 1 ? made.slice(-1) : group));
    } catch {
      whole.push(...group);
    }
  }
  return { whole, made };
}

type Offsets = {
  readonly base: number;
  readonly firstRow: number;
  readonly held: number;
  /** Whether any of the batches has a body column: then all rows need one. */
  readonly bodies: boolean;
};

function copyColumns(merged: Batch, batch: Batch, offsets: Offsets): void {
  for (const column of batch.columns) {
    copyColumn(batch, column, merged.column(column.name) ?? merged.addColumn(column.name), offsets);
  }
  for (const field of recordFields) {
    const column = field === 'body' && offsets.bodies ? bodyOf(batch) : batch[field];
    if (column === undefined) continue;
    // Time and others often are attributes too: sharing the target keeps them one column.
    const shared = batch.columns.includes(column) ? merged.column(column.name) : undefined;
    if (shared !== undefined && (merged[field] === undefined || merged[field] === shared)) {
      merged[field] = shared;
      continue;
    }
    if (merged[field] === undefined || merged.columns.includes(merged[field])) {
      const own = merged.recordColumn(field);
      const earlier = merged[field];
      if (earlier !== undefined) copyCells(earlier, own);
      merged[field] = own;
    }
    copyColumn(batch, column, merged[field], offsets);
  }
}

/** The body column of a batch; for one that nothing has parsed, its lines. */
function bodyOf(batch: Batch): Column | undefined {
  if (batch.body !== undefined || batch.source !== 'line') return batch.body;
  const lines = batch.recordColumn('body');
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i]!;
    lines.setSpan(row, TEXT, batch.rowStart[row]!, batch.rowEnd[row]!);
  }
  return lines;
}

function copyCells(from: Column, to: Column): void {
  to.kind.set(from.kind);
  to.a.set(from.a);
  to.b.set(from.b);
  to.dictionary = from.dictionary;
}

function copyColumn(batch: Batch, from: Column, to: Column, offsets: Offsets): void {
  const { base, firstRow, held } = offsets;
  const codes = from.dictionary === undefined ? undefined : codesFor(from.dictionary, to);
  for (let i = 0; i < batch.count; i++) {
    const row = batch.selection[i]!;
    const kind = from.kind[row]!;
    if (kind === ABSENT) continue;
    const target = firstRow + i;
    to.kind[target] = kind;
    if (isSpan[kind] === 1) {
      to.a[target] = from.a[row]! + base;
      to.b[target] = from.b[row]! + base;
    } else if (kind === HELD) to.a[target] = from.a[row]! + held;
    else if (kind === CODE && codes !== undefined) to.a[target] = codes(from.a[row]!);
    else {
      to.a[target] = from.a[row]!;
      to.b[target] = from.b[row]!;
    }
  }
}

/** How codes of `from` are spelled in the target column, whose dictionary may be another one. */
function codesFor(from: Dictionary, to: Column): ((code: number) => number) | undefined {
  if (to.dictionary === undefined || to.dictionary === from) {
    to.dictionary = from;
    return undefined;
  }
  // A dictionary that other batches share must not grow here: the first difference makes a copy.
  if (!mergedDictionaries.has(to.dictionary)) {
    const copy = new Dictionary();
    for (const value of to.dictionary.values) copy.append(value);
    mergedDictionaries.add(copy);
    to.dictionary = copy;
  }
  const target = to.dictionary;
  const known = new Map<number, number>();
  return (code) => {
    let translated = known.get(code);
    if (translated === undefined) {
      translated = target.code(from.values[code] ?? null);
      known.set(code, translated);
    }
    return translated;
  };
}

const mergedDictionaries = new WeakSet<Dictionary>();

function mergeResources(merged: Batch, batches: readonly Batch[]): void {
  const resources: Attributes[] = [];
  const indexes = new Map<Attributes, number>();
  const byText = new Map<string, number>();
  let of: Uint16Array | undefined;
  const indexOf = (resource: Attributes): number => {
    let index = indexes.get(resource);
    if (index !== undefined) return index;
    const text = JSON.stringify(resource, (_, value) =>
      typeof value === 'bigint' ? `${value}n` : value,
    );
    index = byText.get(text);
    if (index === undefined) {
      index = resources.length;
      resources.push(resource);
      byText.set(text, index);
    }
    indexes.set(resource, index);
    return index;
  };
  let target = 0;
  for (const batch of batches) {
    for (let i = 0; i < batch.count; i++) {
      const own = batch.resourceOf?.[batch.selection[i]!] ?? 0;
      const index = indexOf(batch.resources[own] ?? batch.resource);
      if (index > 0) of ??= new Uint16Array(merged.capacity);
      if (of !== undefined) of[target] = index;
      target++;
    }
  }
  merged.resources = resources;
  merged.resourceOf = of;
}

function mergeAttributes(merged: Batch, batches: readonly Batch[]): void {
  const first = batches[0]?.attributes ?? {};
  const text = JSON.stringify(first);
  const same = batches.every(
    ({ attributes }) => attributes === first || JSON.stringify(attributes) === text,
  );
  if (same) {
    merged.attributes = first;
    return;
  }
  let row = 0;
  for (const batch of batches) {
    for (const [name, value] of Object.entries(batch.attributes)) {
      const column = merged.column(name) ?? merged.addColumn(name);
      for (let i = row; i < row + batch.count; i++) {
        if (column.kind[i] === ABSENT) merged.setValue(column, i, value);
      }
    }
    row += batch.count;
  }
}
