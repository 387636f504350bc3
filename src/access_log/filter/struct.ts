// Reads what users paste from Envoy's, Gloo's and Kuma's own configuration: objects whose keys may be in snake_case or
// camelCase, and whose unknown keys are mistakes.

import { didYouMean, shown } from '../../config/words.ts';
import type { Report } from './condition.ts';

export type Path = readonly (string | number)[];

const snake = (key: string): string =>
  key.replace(/[A-Z]+/g, (letters) => `_${letters.toLowerCase()}`).replace(/^_/, '');

/** An object of the configuration, its keys in snake_case. */
export class Struct {
  readonly path: Path;
  readonly report: Report;
  readonly #entries: ReadonlyMap<string, { readonly key: string; readonly value: unknown }>;

  private constructor(
    path: Path,
    report: Report,
    entries: Map<string, { key: string; value: unknown }>,
  ) {
    this.path = path;
    this.report = report;
    this.#entries = entries;
  }

  /** Reads `value`, of which `known` keys are allowed; undefined when it is no object (reported). */
  static read(
    value: unknown,
    path: Path,
    report: Report,
    known: readonly string[],
  ): Struct | undefined {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      report({ path, message: `expected a map, got ${shown(value)}` });
      return undefined;
    }
    const entries = new Map<string, { key: string; value: unknown }>();
    for (const [key, item] of Object.entries(value)) {
      const name = snake(key);
      if (!known.includes(name)) {
        const message = `unknown field "${key}"${didYouMean(name, known)}`;
        report({ path: [...path, key], message });
      } else if (item !== null) entries.set(name, { key, value: item });
    }
    return new Struct(path, report, entries);
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Of `names`, the one that is given. More than one, or none when `required`, is reported. */
  only(names: readonly string[], required: boolean): string | undefined {
    const given = names.filter((name) => this.#entries.has(name));
    if (given.length > 1) this.problem(`only one of ${given.join(', ')} can be given`);
    if (given.length === 0 && required) this.problem(`one of ${names.join(', ')} is missing`);
    return given.length === 1 ? given[0] : undefined;
  }

  /** Reports a problem with this object or with one of its fields. */
  problem(message: string, name?: string, offset?: number): void {
    const path = name === undefined ? this.path : this.pathOf(name);
    this.report({ path, message, ...(offset === undefined ? {} : { offset }) });
  }

  pathOf(name: string): Path {
    return [...this.path, this.#entries.get(name)?.key ?? name];
  }

  value(name: string): unknown {
    return this.#entries.get(name)?.value;
  }

  struct(name: string, known: readonly string[]): Struct | undefined {
    if (!this.has(name)) return undefined;
    return Struct.read(this.value(name), this.pathOf(name), this.report, known);
  }

  /** The items of a list with their paths; empty when it is absent. */
  items(name: string): { readonly value: unknown; readonly path: Path }[] {
    const value = this.value(name);
    if (value === undefined) return [];
    const path = this.pathOf(name);
    if (!Array.isArray(value)) {
      this.report({ path, message: `expected a list, got ${shown(value)}` });
      return [];
    }
    return value.map((item: unknown, i) => ({ value: item, path: [...path, i] }));
  }

  texts(name: string): string[] {
    return this.items(name).flatMap(({ value, path }) => {
      if (typeof value === 'string') return [value];
      this.report({ path, message: `expected a text, got ${shown(value)}` });
      return [];
    });
  }

  text(name: string): string | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === 'string') return value;
    this.problem(`expected a text, got ${shown(value)}`, name);
    return undefined;
  }

  /** A number; proto-JSON writes 64-bit ones as text. */
  number(name: string): number | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === 'number') return value;
    if (typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value))) {
      return Number(value);
    }
    this.problem(`expected a number, got ${shown(value)}`, name);
    return undefined;
  }

  truth(name: string): boolean | undefined {
    const value = this.value(name);
    if (value === undefined || typeof value === 'boolean') return value;
    this.problem(`expected true or false, got ${shown(value)}`, name);
    return undefined;
  }

  /** One of an enum's names, or its number; the result is the number. */
  choice(name: string, values: readonly string[]): number | undefined {
    return choice(this.value(name), this.pathOf(name), this.report, values);
  }
}

/** The number of an enum value written by name or number; undefined when absent or (reported) unknown. */
export function choice(
  value: unknown,
  path: Path,
  report: Report,
  values: readonly string[],
): number | undefined {
  if (value === undefined) return undefined;
  const index = typeof value === 'number' ? value : values.indexOf(String(value));
  if (Number.isInteger(index) && index >= 0 && index < values.length) return index;
  const meant = typeof value === 'string' ? didYouMean(value, values) : '';
  report({
    path,
    message: `unknown value ${shown(value)}${meant === '' ? `; expected one of ${values.join(', ')}` : meant}`,
  });
  return undefined;
}
