// A schema as documentation: one row per field, for the terminal and as Markdown.

import { type Catalogue, type Described, type Kind, kinds, sectionOf } from './config.ts';
import {
  alternatives,
  choices,
  definitionOf,
  type Field,
  fieldOf,
  isMapField,
  limit,
  type Schema,
} from './schema.ts';
import { serviceSchema } from './service.ts';

export type Row = {
  readonly name: string;
  /** 0 for a field of the component itself, 1 for one below it, and so on. */
  readonly depth: number;
  /** `duration`, `line | cri | docker`, `list of text`. */
  readonly type: string;
  /** As written in YAML; undefined: none. */
  readonly fallback: string | undefined;
  readonly required: boolean;
  readonly meaning: string;
};

const depthMax = 4;

/** The fields of a schema in their order, those of nested maps below theirs. */
export function rowsOf(schema: Schema, depth = 0, seen: readonly Schema[] = []): Row[] {
  const rows = new Map<string, Row[]>();
  for (const { core } of alternatives(schema)) {
    const { shape } = definitionOf(core);
    // What contains itself (filters of filters) is shown once.
    if (shape === undefined || seen.includes(core) || depth > depthMax) continue;
    for (const [name, field] of Object.entries(shape)) {
      if (!rows.has(name)) rows.set(name, fieldRows(name, field, { depth, seen: [...seen, core] }));
    }
  }
  return [...rows.values()].flat();
}

function fieldRows(
  name: string,
  schema: Schema,
  { depth, seen }: { depth: number; seen: readonly Schema[] },
): Row[] {
  const field = fieldOf(schema);
  const fallback = fallbackText(field.fallback);
  const meaning = field.description ?? '';
  const type = typeText(schema);
  const row = { name, depth, type, fallback, required: field.required, meaning };
  return [row, ...insides(schema).flatMap((inside) => rowsOf(inside, depth + 1, seen))];
}

/** The schemas whose fields are described below a field: its own maps, and those in its lists. */
function insides(schema: Schema): Schema[] {
  return alternatives(schema).flatMap(({ core }) => {
    const { element, valueType } = definitionOf(core);
    return isMapField({ core } as Field) && valueType === undefined
      ? [core]
      : [element, valueType].filter((inner) => inner !== undefined).flatMap(insides);
  });
}

function fallbackText(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const plain = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
  return plain && !Array.isArray(value)
    ? undefined
    : typeof value === 'string'
      ? value
      : JSON.stringify(value);
}

/** A type in few words. */
export function typeText(schema: Schema): string {
  const fields = alternatives(schema);
  const named = choices(fields);
  const words = fields.flatMap((field) => {
    const word = choices([field]).length > 0 ? undefined : fieldType(field);
    return word === undefined ? [] : [word];
  });
  return [...new Set([...named, ...words])].join(' | ');
}

function fieldType({ core, kind }: Field): string {
  if (kind !== undefined) return kind === 'bytes' ? 'size' : kind;
  const def = definitionOf(core);
  if (def.element !== undefined) return `list of ${typeText(def.element)}`;
  if (def.valueType !== undefined) return `map of ${typeText(def.valueType)}`;
  if (def.type === 'object') return 'map';
  if (def.type === 'boolean') return 'true | false';
  if (def.type === 'string') return 'text';
  if (def.type !== 'number')
    return def.type === 'any' || def.type === 'unknown' ? 'any value' : def.type;
  const low = limit(def, 'greater_than')?.bound;
  const high = limit(def, 'less_than')?.bound;
  return low !== undefined && high !== undefined ? `${low} to ${high}` : 'number';
}

export type Entry = { readonly kind: Kind; readonly described: Described };

/** All components, receivers first, each kind by name. */
export function componentsOf(catalogue: Catalogue): Entry[] {
  return kinds.flatMap((kind) =>
    Object.values(catalogue[sectionOf(kind)])
      .sort((a, b) => a.name.localeCompare(b.name))
      .map((described) => ({ kind, described })),
  );
}

/** Every component and the service, as one Markdown page. */
export function markdownReference(catalogue: Catalogue): string {
  const parts = ['# Configuration reference', ''];
  for (const kind of kinds) {
    parts.push(`## ${sectionOf(kind)}`, '');
    for (const entry of componentsOf(catalogue)) {
      if (entry.kind === kind) parts.push(markdownComponent(entry));
    }
  }
  parts.push('## service', '', markdownTable(serviceSchema));
  return `${parts.join('\n').trimEnd()}\n`;
}

export function markdownComponent({ described }: Entry): string {
  const { name, summary, example, notes, config } = described;
  const parts = [`### ${name}`, '', summary, '', '```yaml', example.trim(), '```', ''];
  if (notes !== undefined) parts.push(notes.trim(), '');
  return `${[...parts, markdownTable(config)].join('\n')}\n`;
}

function markdownTable(schema: Schema): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  const rows = rowsOf(schema).map(({ name, depth, type, fallback, required, meaning }) => {
    const indent = '&nbsp;&nbsp;'.repeat(depth);
    const given = required ? '*required*' : fallback === undefined ? '' : `\`${fallback}\``;
    return `| ${indent}\`${name}\` | ${cell(type)} | ${cell(given)} | ${cell(meaning)} |`;
  });
  if (rows.length === 0) return 'No fields.\n';
  return `${['| field | type | default | meaning |', '|---|---|---|---|', ...rows].join('\n')}\n`;
}
