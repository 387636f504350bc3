// A schema as documentation: one row per field, for the terminal and as Markdown.

import { type Catalogue, type Described, type Kind, kinds, sectionOf } from './config.ts';
import {
  alternatives,
  choices,
  definitionOf,
  type Field,
  fieldOf,
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
export function rowsOf(schema: Schema): Row[] {
  return mapRows(mapsIn(schema), 0, []);
}

/** `maps`: the members of a union, or just one. What contains itself (filters of filters) is shown once. */
function mapRows(maps: readonly Schema[], depth: number, seen: readonly Schema[]): Row[] {
  if (depth > depthMax) return [];
  const shapes = maps
    .filter((map) => !seen.includes(map))
    .map((map) => definitionOf(map).shape ?? {});
  const names = new Set(shapes.flatMap((shape) => Object.keys(shape)));
  return [...names].flatMap((name) => {
    const variants = shapes.flatMap((shape) => shape[name] ?? []);
    const row = rowOf(name, variants, depth);
    const required = row.required && variants.length === shapes.length;
    const below = mapRows(variants.flatMap(mapsIn), depth + 1, [...seen, ...maps]);
    return [{ ...row, required }, ...below];
  });
}

/** The maps that a field is or holds: its own, and those in its lists. */
function mapsIn(schema: Schema): Schema[] {
  return alternatives(schema).flatMap(({ core }) => {
    const { shape, element, valueType } = definitionOf(core);
    if (shape !== undefined) return [core];
    return [element, valueType].filter((inner) => inner !== undefined).flatMap(mapsIn);
  });
}

/** A field, as all members of a union have it that have it. */
function rowOf(name: string, variants: readonly Schema[], depth: number): Row {
  const fields = variants.map(fieldOf);
  const described = fields.find(({ description }) => description !== undefined);
  return {
    name,
    depth,
    type: [...new Set(variants.map(typeText))].join(' | '),
    fallback: fallbackText(fields.find(({ fallback }) => fallback !== undefined)?.fallback),
    required: fields.every(({ required }) => required),
    meaning: described?.description ?? '',
  };
}

const fallbackLengthMax = 40;

function fallbackText(value: unknown): string | undefined {
  if (Array.isArray(value)) {
    const items = value.map((item) => fallbackText(item) ?? '{}').join(', ');
    return items.length > fallbackLengthMax
      ? `[${items.slice(0, fallbackLengthMax).replace(/,[^,]*$/, '')}, ...]`
      : `[${items}]`;
  }
  // An empty map: what it holds has defaults of its own, which are shown below.
  if (value === undefined || (typeof value === 'object' && !Object.keys(value ?? {}).length)) {
    return undefined;
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
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
  return [...parts, markdownTable(config)].join('\n');
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
