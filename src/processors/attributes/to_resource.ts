// Moves fields to the resource: records whose values differ get resources that differ.

import type { Batch } from '../../pipeline/batch.ts';
import { textOf } from '../../pipeline/cell_values.ts';
import type { Column } from '../../pipeline/column.ts';
import type { AnyValue, Attributes } from '../../pipeline/record.ts';
import { type Action, eachRow, without } from './actions.ts';

/** Rows name their resource by 16 bits. */
const resourcesMax = 65_535;

export function moveToResource(names: readonly string[]): Action {
  return (batch) => {
    moveFacts(batch, names);
    const columns = names.flatMap((name) => batch.column(name) ?? []);
    if (columns.length === 0) return;
    if (spread(batch, columns)) for (const { name } of columns) batch.removeColumn(name);
  };
}

/** What all rows share goes to all resources. */
function moveFacts(batch: Batch, names: readonly string[]): void {
  const facts = Object.fromEntries(
    names.flatMap((name) => {
      const fact = batch.attributes[name];
      return fact === undefined ? [] : [[name, fact] as const];
    }),
  );
  if (Object.keys(facts).length === 0) return;
  batch.attributes = without(batch.attributes, (name) => name in facts);
  batch.resources = batch.resources.map((resource) => ({ ...resource, ...facts }));
}

/** Gives every row the resource that its values ask for. False: there would be too many; nothing is changed. */
function spread(batch: Batch, columns: readonly Column[]): boolean {
  const resources: Attributes[] = [];
  const known = new Map<string, number>();
  const resourceOf = new Uint16Array(batch.capacity);
  let fits = true;
  eachRow(batch, (row) => {
    const base = batch.resourceOf?.[row] ?? 0;
    let key = String(base);
    for (const column of columns) {
      const value = batch.value(column, row);
      key += value === undefined ? '\u0000' : `\u0001${typeof value} ${textOf(value)}\u0002`;
    }
    let index = known.get(key);
    if (index === undefined) {
      index = resources.length;
      if (index >= resourcesMax) {
        fits = false;
        return;
      }
      resources.push({ ...batch.resources[base], ...valuesOf(batch, columns, row) });
      known.set(key, index);
    }
    resourceOf[row] = index;
  });
  if (!fits) return false;
  batch.resources = resources;
  batch.resourceOf = resources.length > 1 ? resourceOf : undefined;
  return true;
}

function valuesOf(batch: Batch, columns: readonly Column[], row: number): Attributes {
  const values: Record<string, AnyValue> = {};
  for (const column of columns) {
    const value = batch.value(column, row);
    if (value !== undefined) values[column.name] = value;
  }
  return values;
}
