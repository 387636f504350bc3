// `${env:NAME}`, `${env:NAME:-default}`, `${NAME}`, `${file:path}`, `${yaml:...}` and `$$`, with the Collector's rules.
// Values are put in after the YAML is parsed: whatever a variable holds, it cannot change the structure around it.

import { resolve } from 'node:path';
import type { Findings } from './findings.ts';
import { offsetInScalar } from './scalar.ts';
import { directoryOf, type Place, readText, type Source } from './source.ts';
import type { Entry, Piece, ScalarTree, Tree } from './tree.ts';
import { parseYaml } from './yaml.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export type Surroundings = {
  readonly env: Environment;
  readonly findings: Findings;
  /** Called for each file that a reference names. */
  readonly include: (path: string) => void;
};

/** Thrown and caught in this file: a value that cannot be put together. */
class ExpansionError extends Error {}

const depthMax = 20;
const referencesMax = 10_000;
const textLengthMax = 1024 ** 2;

export function expandTree(tree: Tree, surroundings: Surroundings): Tree {
  return new Expander(surroundings).tree(tree, 0);
}

type Part = { readonly literal: string; readonly at: number } | Reference;
type Reference = { readonly inner: Part[]; readonly at: number; readonly until: number };

/** Texts and references in a value. `$$` is one dollar; a `${` that is never closed stands for itself. */
export function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let literal = '';
  let literalAt = 0;
  const flush = (at: number): void => {
    if (literal !== '') parts.push({ literal, at: literalAt });
    literal = '';
    literalAt = at;
  };
  let at = 0;
  while (at < text.length) {
    const dollar = text.indexOf('$', at);
    if (dollar < 0) break;
    literal += text.slice(at, dollar);
    const close = text[dollar + 1] === '{' ? closingBrace(text, dollar) : -1;
    if (close >= 0) {
      flush(close + 1);
      parts.push({ inner: partsOf(text.slice(dollar + 2, close)), at: dollar, until: close + 1 });
      at = close + 1;
    } else {
      literal += '$';
      const double = text[dollar + 1] === '$';
      // What follows a doubled dollar stands one further right in the file.
      if (double) flush(dollar + 2);
      at = dollar + (double ? 2 : 1);
    }
  }
  literal += text.slice(at);
  flush(0);
  return parts;
}

function closingBrace(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if (text[at] === '$' && text[at + 1] === '$') at++;
    else if (text[at] === '$' && text[at + 1] === '{') {
      if (++depth > depthMax) return -1;
    } else if (text[at] === '}' && --depth === 0) return at;
  }
  return -1;
}

/** A class, because limits count over one whole configuration. */
class Expander {
  readonly #around: Surroundings;
  #references = 0;

  constructor(surroundings: Surroundings) {
    this.#around = surroundings;
  }

  tree(tree: Tree, depth: number): Tree {
    if (tree.kind === 'list') {
      return { ...tree, items: tree.items.map((item) => this.tree(item, depth)) };
    }
    if (tree.kind === 'map') {
      const entries = new Map<string, Entry>();
      for (const [key, entry] of tree.entries) {
        entries.set(key, { ...entry, value: this.tree(entry.value, depth) });
      }
      return { ...tree, entries };
    }
    if (typeof tree.value !== 'string' || !tree.value.includes('$')) return tree;
    try {
      return this.#scalar(tree, tree.value, depth);
    } catch (error) {
      if (!(error instanceof ExpansionError)) throw error;
      this.#around.findings.spoiled(tree.place, error.message);
      return tree;
    }
  }

  /** A whole value that is one reference may become anything; a reference within a text becomes text. */
  #scalar(tree: ScalarTree, text: string, depth: number): Tree {
    const parts = partsOf(text);
    const [only] = parts;
    if (parts.length === 1 && only !== undefined && 'inner' in only) {
      return this.#whole(this.#lookUp(only, tree.place, depth), tree.place, depth + 1);
    }
    if (text.includes('${') && parts.every((part) => 'literal' in part) && !text.includes('$$')) {
      this.#around.findings.warning(tree.place, '"$" and "{" without "}" is taken as it stands');
    }
    const pieces: Piece[] = [];
    const value = this.#join(parts, tree.place, depth, pieces);
    return { kind: 'scalar', value, place: tree.place, made: { written: text, pieces } };
  }

  /** What a reference stands for, read as YAML; text that is no YAML, or YAML that is a text, stays as it is. */
  #whole({ text, source, resolved }: Found, place: Place, depth: number): Tree {
    let broken = false;
    const read = parseYaml(source ?? { file: place.source.file, text }, (at, message) => {
      broken = true;
      // A file may hold any text, such as a password; one that is called YAML has to be it.
      if (source !== undefined && /\.ya?ml$/.test(source.file))
        this.#around.findings.problem(at, message);
    });
    const tree = source === undefined ? relocate(read, place) : read;
    if (
      broken ||
      tree === undefined ||
      (tree.kind === 'scalar' && typeof tree.value === 'string')
    ) {
      const verbatim: Tree = { kind: 'scalar', value: text, text, place };
      return resolved ? verbatim : this.#verbatim(verbatim, text, depth);
    }
    if (resolved) return { ...tree, text };
    return { ...this.tree(tree, depth), ...this.#spelling(text, place, depth) };
  }

  #verbatim(tree: ScalarTree, text: string, depth: number): Tree {
    if (depth > depthMax) throw new ExpansionError('too many recursive expansions');
    if (!text.includes('$')) return tree;
    const expanded = this.#scalar(tree, text, depth);
    // A text that references were put into has no other spelling than itself.
    return expanded.kind === 'scalar' && typeof expanded.value === 'string'
      ? { kind: 'scalar', value: expanded.value, text: expanded.value, place: tree.place }
      : expanded;
  }

  /** The letters of a value; nothing when they hold a reference that leads nowhere. */
  #spelling(text: string, place: Place, depth: number): { text?: string } {
    try {
      return { text: this.#join(partsOf(text), place, depth) };
    } catch (error) {
      if (error instanceof ExpansionError) return {};
      throw error;
    }
  }

  #join(parts: readonly Part[], place: Place, depth: number, pieces: Piece[] = []): string {
    let text = '';
    for (const part of parts) {
      const verbatim = 'literal' in part;
      const next = verbatim ? part.literal : this.#text(part, place, depth);
      pieces.push({ length: next.length, from: part.at, verbatim });
      text += next;
      if (text.length > textLengthMax) throw new ExpansionError('the value is longer than 1 MiB');
    }
    return text;
  }

  #text(reference: Reference, place: Place, depth: number): string {
    const { text, resolved } = this.#lookUp(reference, place, depth);
    return text.includes('$') && !resolved ? this.#join(partsOf(text), place, depth + 1) : text;
  }

  #lookUp(reference: Reference, place: Place, depth: number): Found {
    if (depth > depthMax || ++this.#references > referencesMax) {
      throw new ExpansionError('too many recursive expansions');
    }
    const uri = this.#join(reference.inner, place, depth + 1);
    const [, scheme = 'env', rest = uri] = /^([A-Za-z][A-Za-z0-9+.-]+):(.*)$/s.exec(uri) ?? [];
    if (scheme === 'env') return this.#variable(rest, place);
    if (scheme === 'yaml') return { text: rest, resolved: true };
    if (scheme === 'file') return this.#file(rest, place);
    // The shell's `${NAME:-default}`.
    if (rest.startsWith('-')) return this.#variable(uri, place);
    throw new ExpansionError(
      `scheme "${scheme}" is not supported for uri "${uri}"; use env, file or yaml`,
    );
  }

  #variable(reference: string, place: Place): Found {
    const split = reference.indexOf(':-');
    const name = split < 0 ? reference : reference.slice(0, split);
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) {
      throw new ExpansionError(
        `environment variable "${name}" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$`,
      );
    }
    const value = Object.hasOwn(this.#around.env, name) ? this.#around.env[name] : undefined;
    if (value !== undefined) return { text: value };
    if (split >= 0) return { text: reference.slice(split + 2), resolved: true };
    this.#around.findings.warning(
      place,
      `environment variable "${name}" is not set; its place stays empty`,
    );
    return { text: '', resolved: true };
  }

  #file(reference: string, place: Place): Found {
    const path = resolve(directoryOf(place.source), reference);
    this.#around.include(path);
    const read = readText(path);
    if ('why' in read) throw new ExpansionError(`${reference} ${read.why}`);
    // The newline that ends a file of one line (a password) is not part of the value.
    const text = read.text.replace(/\r?\n$/, '');
    return { text, source: { file: path, text } };
  }
}

type Found = {
  readonly text: string;
  readonly source?: Source;
  /** Stood in the reference itself, whose own references are resolved already. */
  readonly resolved?: true;
};

/** A value from the environment has no place of its own: it stands where the reference stands. */
function relocate(tree: Tree | undefined, place: Place): Tree | undefined {
  if (tree?.kind === 'list') {
    return { ...tree, place, items: tree.items.map((item) => relocate(item, place) as Tree) };
  }
  if (tree?.kind !== 'map') return tree === undefined ? undefined : { ...tree, place };
  const entries = new Map<string, Entry>();
  for (const [name, { value }] of tree.entries) {
    entries.set(name, { key: place, value: relocate(value, place) as Tree });
  }
  return { ...tree, place, entries };
}

/** The place in the file of character `index` of a scalar's text. */
export function placeInScalar(tree: ScalarTree, index: number): Place {
  const { source, start, end } = tree.place;
  if (tree.text !== undefined || tree.value === null) return tree.place;
  const value = tree.made?.written ?? String(tree.value);
  const inWritten = tree.made === undefined ? index : indexInWritten(tree.made.pieces, index);
  const offset = offsetInScalar(source.text, { start, end, value }, inWritten);
  const last = Math.max(start, end - 1);
  return { source, start: Math.min(offset, last), end: Math.min(offset, last) + 1 };
}

function indexInWritten(pieces: readonly Piece[], index: number): number {
  let at = 0;
  let written = 0;
  for (const { length, from, verbatim } of pieces) {
    written = verbatim ? from + Math.min(index - at, length) : from;
    if (index < at + length) return written;
    at += length;
  }
  return written;
}
