// What can be done to a field of a batch. Values that all rows share belong to the batch and cost nothing per row.

import type { Batch } from '../../pipeline/batch.ts';
import { ABSENT, CODE, type Column } from '../../pipeline/column.ts';
import type { AnyValue, Attributes } from '../../pipeline/record.ts';

export type Action = (batch: Batch) => void;
export type Mode = 'insert' | 'update' | 'upsert';

/** Gives a field a value that is the same for all records. */
export function setField(mode: Mode, name: string, value: AnyValue): Action {
  return (batch) => {
    const fact = batch.attributes[name];
    if (mode === 'upsert' || (mode === 'insert' && !batch.column(name) && fact === undefined)) {
      batch.removeColumn(name);
      batch.attributes = { ...batch.attributes, [name]: value };
      return;
    }
    // A field of the batch is there for every row that has no cell of its own.
    if (mode === 'update' && fact !== undefined) {
      batch.attributes = { ...batch.attributes, [name]: value };
    }
    if (batch.column(name) === undefined) return;
    const column = batch.ownColumn(name);
    const wantsAbsent = mode === 'insert' && fact === undefined;
    eachRow(batch, (row) => {
      const isAbsent = column.kind[row] === ABSENT;
      if (isAbsent ? wantsAbsent : mode === 'update') batch.setValue(column, row, value);
    });
  };
}

/** Gives a field the value of another one, where that is there. */
export function copyField(mode: Mode, name: string, from: string): Action {
  return (batch) => {
    const source = batch.column(from);
    const fact = batch.attributes[from];
    if (source === undefined) {
      if (fact !== undefined) setField(mode, name, fact)(batch);
      return;
    }
    const before = batch.column(name);
    const known = batch.attributes[name];
    if (before === undefined && mode === 'update' && known === undefined) return;
    const column = batch.ownColumn(name);
    if (before === undefined) column.dictionary = source.dictionary;
    eachRow(batch, (row) => {
      const isThere = column.kind[row] !== ABSENT || known !== undefined;
      if (mode !== 'upsert' && isThere !== (mode === 'update')) return;
      copyCell(batch, { source, column, row });
      if (column.kind[row] === ABSENT && known !== undefined) batch.setValue(column, row, known);
    });
  };
}

/** A cell that is absent changes nothing. Codes of another dictionary are copied as values. */
function copyCell(
  batch: Batch,
  { source, column, row }: { source: Column; column: Column; row: number },
): void {
  const kind = source.kind[row]!;
  if (kind === ABSENT) return;
  if (kind === CODE && source.dictionary !== column.dictionary) {
    batch.setValue(column, row, batch.value(source, row));
  } else column.setSpan(row, kind, source.a[row]!, source.b[row]!);
}

export function renameField(from: string, to: string): Action {
  return (batch) => {
    const { [from]: fact, ...others } = batch.attributes;
    if (fact !== undefined) batch.attributes = { ...others, [to]: fact };
    const source = batch.column(from);
    if (source === undefined) {
      if (fact !== undefined) batch.removeColumn(to);
      return;
    }
    if (batch.column(to) === undefined) batch.renameColumn(from, to);
    else {
      const column = batch.ownColumn(to);
      eachRow(batch, (row) => copyCell(batch, { source, column, row }));
      batch.removeColumn(from);
    }
  };
}

/** Names, or beginnings of names that end with *. */
export function deleteFields(names: readonly string[]): Action {
  const exact = new Set(names.filter((name) => !name.endsWith('*')));
  const beginnings = names.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1));
  const isMeant = (name: string): boolean =>
    exact.has(name) || beginnings.some((beginning) => name.startsWith(beginning));
  return (batch) => {
    const doomed = batch.columns.map(({ name }) => name).filter(isMeant);
    for (const name of doomed) batch.removeColumn(name);
    if (Object.keys(batch.attributes).some(isMeant)) {
      batch.attributes = without(batch.attributes, isMeant);
    }
  };
}

export function without(facts: Attributes, isMeant: (name: string) => boolean): Attributes {
  return Object.fromEntries(Object.entries(facts).filter(([name]) => !isMeant(name)));
}

export function eachRow(batch: Batch, visit: (row: number) => void): void {
  const { selection, count } = batch;
  for (let i = 0; i < count; i++) visit(selection[i]!);
}
