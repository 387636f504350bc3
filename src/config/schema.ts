// What a zod schema says about its fields. With issues.ts and reference.ts the only place that looks inside zod.

import { z } from 'zod';
import type { Path } from './tree.ts';
import { either } from './words.ts';

export type Schema = z.ZodType;

type Check = {
  _zod: { def: { check: string; value?: number; inclusive?: boolean; minimum?: number } };
};

type Definition = {
  type: string;
  innerType?: Schema;
  in?: Schema;
  out?: Schema;
  options?: Schema[];
  left?: Schema;
  right?: Schema;
  shape?: Record<string, Schema>;
  catchall?: Schema;
  element?: Schema;
  items?: Schema[];
  rest?: Schema | null;
  keyType?: Schema;
  valueType?: Schema;
  entries?: Record<string, string | number>;
  values?: unknown[];
  checks?: Check[];
  format?: string;
  defaultValue?: unknown;
};

export const definitionOf = (schema: Schema): Definition => schema._zod.def as Definition;

export type Field = {
  /** The schema without its wrappers. */
  readonly core: Schema;
  /** The `kind` of fields.ts, if it is one of those: duration, bytes, endpoint, secret. */
  readonly kind: string | undefined;
  readonly description: string | undefined;
  readonly required: boolean;
  /** As the user would write it; undefined: none. */
  readonly fallback: unknown;
};

const wrappers = [
  'optional',
  'default',
  'prefault',
  'nullable',
  'nonoptional',
  'readonly',
  'catch',
];

export function fieldOf(schema: Schema): Field {
  let core = schema;
  let fallback: unknown;
  let description: string | undefined;
  for (;;) {
    const meta = z.globalRegistry.get(core) as { kind?: string; description?: string } | undefined;
    const def = definitionOf(core);
    description ??= meta?.description;
    fallback ??= def.defaultValue;
    const inner = meta?.kind === undefined ? innerOf(core) : undefined;
    if (inner === undefined) {
      const required = schema._zod.optin === undefined;
      return { core, kind: meta?.kind, description, required, fallback };
    }
    core = inner;
  }
}

function innerOf(schema: Schema): Schema | undefined {
  const def = definitionOf(schema);
  if (wrappers.includes(def.type)) return def.innerType;
  // What a lazy schema stands for is made once, and kept here.
  if (def.type === 'lazy') return (schema._zod as { innerType?: Schema }).innerType;
  // z.preprocess is a pipe whose head accepts anything: the tail says what is wanted.
  if (def.type === 'pipe') return def.in?._zod.def.type === 'transform' ? def.out : def.in;
  return undefined;
}

/** The fields that a value here may be: one, or the members of a union. */
export function alternatives(schema: Schema): Field[] {
  const field = fieldOf(schema);
  const def = definitionOf(field.core);
  if (field.kind !== undefined) return [field];
  if (def.type === 'union') {
    const members = (def.options ?? []).flatMap(alternatives);
    return field.required ? members : members.map((member) => ({ ...member, required: false }));
  }
  if (def.type === 'intersection' && def.left !== undefined && def.right !== undefined) {
    return [...alternatives(def.left), ...alternatives(def.right)];
  }
  return [field];
}

/** All that may stand at a path, whichever members of unions were meant. */
export function fieldsAt(schema: Schema, path: Path): Field[] {
  let fields = alternatives(schema);
  for (const step of path) fields = childFields(fields, step);
  return fields;
}

export function childFields(fields: readonly Field[], step: PropertyKey): Field[] {
  // A schema that contains itself comes back at each level: it counts once.
  const found = new Map<Schema, Field>();
  for (const { core, kind } of fields) {
    const child = kind === undefined ? childOf(definitionOf(core), step) : undefined;
    if (child === undefined) continue;
    for (const field of alternatives(child)) {
      if (!found.has(field.core)) found.set(field.core, field);
    }
  }
  return [...found.values()];
}

function childOf(def: Definition, step: PropertyKey): Schema | undefined {
  if (def.type === 'array') return def.element;
  if (def.type === 'tuple') return def.items?.[Number(step)] ?? def.rest ?? undefined;
  if (def.type === 'record') return def.valueType;
  if (def.type !== 'object' || def.shape === undefined) return undefined;
  return Object.hasOwn(def.shape, step) ? def.shape[String(step)] : def.catchall;
}

/** The names that a map here may have. */
export function fieldNames(fields: readonly Field[]): string[] {
  return fields.flatMap(({ core }) => {
    const def = definitionOf(core);
    if (def.type === 'object') return Object.keys(def.shape ?? {});
    return def.type === 'record' && def.keyType !== undefined
      ? choices([fieldOf(def.keyType)])
      : [];
  });
}

/** The texts that are allowed where only certain texts are. */
export function choices(fields: readonly Field[]): string[] {
  return fields.flatMap(({ core, kind }) => {
    const def = definitionOf(core);
    if (kind !== undefined) return [];
    const values = def.type === 'enum' ? Object.values(def.entries ?? {}) : [];
    return [...values, ...(def.values ?? [])].filter((value) => typeof value === 'string');
  });
}

/** May a text stand here? */
export function wantsText(fields: readonly Field[]): boolean {
  return fields.some(({ core, kind }) => {
    const { type } = definitionOf(core);
    return type === 'string' || type === 'enum' || type === 'literal' || kind !== undefined;
  });
}

/** Would this spelling do as a text? */
export function wantsPlainText(fields: readonly Field[], spelling: string): boolean {
  const free = fields.some(
    ({ core, kind }) => definitionOf(core).type === 'string' && (kind ?? 'secret') === 'secret',
  );
  return free || choices(fields).includes(spelling);
}

export const isMapField = ({ core }: Field): boolean =>
  ['object', 'record'].includes(definitionOf(core).type);

const kindWords: Record<string, string> = {
  duration: 'a duration such as 500ms, 5s or 1h30m',
  bytes: 'a size such as 64MiB, 100kB or 512',
  endpoint: 'host:port, [v6]:port or unix:/path',
};

/** What is expected, in words: `a number from 0 to 1`, `line, cri or docker`, `text or a list`. */
export function expectation(fields: readonly Field[]): string {
  const named = choices(fields);
  const many = named.length > 12 ? [...named.slice(0, 11), `${named.length - 11} more`] : named;
  const others = fields.flatMap((field) => {
    const word = wordFor(field);
    return word === undefined ? [] : [word];
  });
  return either([...many, ...others]) || 'something else';
}

function wordFor({ core, kind }: Field): string | undefined {
  const def = definitionOf(core);
  if (kind !== undefined && kindWords[kind] !== undefined) return kindWords[kind];
  if (def.type === 'number') return numberWords(def);
  if (def.type === 'string') return stringWords(def);
  if (def.type === 'boolean') return 'true or false';
  if (def.type === 'array' || def.type === 'tuple') {
    return limit(def, 'min_length') === undefined ? 'a list' : 'a list that is not empty';
  }
  if (def.type === 'object' || def.type === 'record') return 'a map';
  if (def.type !== 'literal') return undefined;
  const plain = (def.values ?? []).filter((value) => typeof value !== 'string');
  return plain.length === 0 ? undefined : either(plain.map(String));
}

function stringWords(def: Definition): string {
  if (def.format === 'url') return 'a URL';
  return limit(def, 'min_length') === undefined ? 'text' : 'text that is not empty';
}

function numberWords(def: Definition): string {
  const whole =
    def.format?.includes('int') || (def.checks ?? []).some(isWhole) ? 'a whole number' : 'a number';
  const low = limit(def, 'greater_than');
  const high = limit(def, 'less_than');
  if (low?.inclusive && high?.inclusive) return `${whole} from ${low.bound} to ${high.bound}`;
  const lower = low && `${low.inclusive ? 'of at least' : 'above'} ${low.bound}`;
  const upper = high && `${high.inclusive ? 'of at most' : 'below'} ${high.bound}`;
  return [whole, [lower, upper].filter(Boolean).join(' and ')].join(' ').trim();
}

const isWhole = ({ _zod }: Check): boolean => _zod.def.check === 'number_format';

export function limit(
  def: Definition,
  check: string,
): { bound: number; inclusive: boolean } | undefined {
  const found = (def.checks ?? []).findLast(({ _zod }) => _zod.def.check === check)?._zod.def;
  const bound = found?.value ?? found?.minimum;
  return bound === undefined ? undefined : { bound, inclusive: found?.inclusive ?? true };
}
