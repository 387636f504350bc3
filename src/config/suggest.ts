// What an unknown field was probably meant to be: a slip, a word of another program, or a line indented wrongly.

import { foreignFields } from './foreign.ts';
import { fieldNames, fieldsAt, isMapField, type Schema } from './schema.ts';
import type { Path } from './tree.ts';
import { nearest } from './words.ts';

export type Suggestion = {
  /** `; did you mean "percent"?` and its like; empty when there is no idea. */
  readonly text: string;
  /** The field that was probably meant: that it is missing need not be said as well. */
  readonly meant?: Path;
};

export function suggestion(schema: Schema, path: Path): Suggestion {
  const name = String(path.at(-1));
  const parent = path.slice(0, -1);
  const names = [...new Set(fieldNames(fieldsAt(schema, parent)))];
  const meant = nearest(name, names) ?? foreignFields[name]?.find((known) => names.includes(known));
  if (meant !== undefined) {
    return { text: `; did you mean "${meant}"?`, meant: [...parent, meant] };
  }
  const child = names.find((inner) => {
    const inside = fieldsAt(schema, [...parent, inner]).filter(isMapField);
    return fieldNames(inside).includes(name);
  });
  if (child !== undefined) {
    const text = `; "${name}" belongs under ${child}, indent it by two more`;
    return { text, meant: [...parent, child, name] };
  }
  for (let depth = parent.length - 1; depth >= 0; depth--) {
    if (!fieldNames(fieldsAt(schema, parent.slice(0, depth))).includes(name)) continue;
    return { text: `; "${name}" belongs further out, beside ${String(parent[depth])}` };
  }
  return { text: names.length > 0 && names.length <= 8 ? `; known are ${names.join(', ')}` : '' };
}
