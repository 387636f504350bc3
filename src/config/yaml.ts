// YAML text -> tree. Anchors, aliases and `<<` merges are resolved here; nothing hostile costs more than its size.

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  type Scalar,
  visit,
  type YAMLMap,
} from 'yaml';
import { plainValue } from './scalar.ts';
import type { Place, Source } from './source.ts';
import { type Entry, type MapTree, mapTree, type Tree } from './tree.ts';

export type Report = (place: Place, message: string) => void;

const depthMax = 100;
const aliasNodesMax = 100_000;
const syntaxErrorsMax = 10;

/** The tree of a YAML text; undefined when there is none to speak of, because it is broken (reported). */
export function parseYaml(source: Source, report: Report): Tree | undefined {
  const document = parseDocument(source.text, {
    prettyErrors: false,
    // The library compares each key with each: we look for duplicates ourselves, in linear time.
    uniqueKeys: false,
  });
  if (reportSyntax(document, source, report)) return undefined;
  const start = { source, start: 0, end: 0 };
  const reader = new Reader(source, report);
  const tree = reader.read(document.contents, start, 0);
  return reader.failed ? undefined : tree;
}

function reportSyntax(document: Document, source: Source, report: Report): boolean {
  let lastLineEnd = -1;
  let count = 0;
  for (const error of [...document.errors, ...document.warnings]) {
    // `!!float 3` and its like are understood all the same.
    if (error.message.includes('tag:yaml.org,2002:')) continue;
    // One slip makes a train of errors: the first of a line tells, and none that only says "lost".
    const lost = count > 0 && error.message.includes('in YAML stream');
    const [start, end] = error.pos;
    if (start <= lastLineEnd || lost || ++count > syntaxErrorsMax) continue;
    const newline = source.text.indexOf('\n', start);
    lastLineEnd = newline < 0 ? source.text.length : newline;
    const opening = error.message.startsWith('Missing closing')
      ? openQuote(document, start)
      : start;
    report(
      { source, start: opening, end: Math.max(opening + 1, end) },
      syntaxMessage(error, source.text),
    );
  }
  return count > 0;
}

/** Where the quoted text begins that is never closed. */
function openQuote(document: Document, end: number): number {
  let start = end;
  visit(document, {
    Scalar: (_, node) => {
      if (node.type?.startsWith('QUOTE') && node.range) start = node.range[0];
    },
  });
  return start;
}

function syntaxMessage(
  error: { code: string; message: string; pos: [number, number] },
  text: string,
) {
  const at = error.pos[0];
  if (text[at] === '{' && text[at - 1] === '$') {
    return 'broken YAML: a value with a substitution inside [ ] or { } needs quotes around it';
  }
  if (error.code === 'BAD_SCALAR_START') {
    return `broken YAML: a value that begins with ${text[at]} needs quotes around it`;
  }
  if (error.code === 'TAG_RESOLVE_FAILED') {
    return `broken YAML: ${error.message.replace('Unresolved', 'unknown')}`;
  }
  if (error.message.startsWith('Missing closing')) {
    return 'broken YAML: this quote is never closed';
  }
  const bracket = /^Flow .* end with a ([\]}])/.exec(error.message)?.[1];
  if (bracket !== undefined) {
    return `broken YAML: "${bracket}" is missing before this, or this is indented too little`;
  }
  const message =
    syntaxWords[error.code] ?? error.message.charAt(0).toLowerCase() + error.message.slice(1);
  return `broken YAML: ${message}`;
}

const syntaxWords: Record<string, string> = {
  TAB_AS_INDENT: 'a tab cannot indent; use spaces',
  RESOURCE_EXHAUSTION: 'nested too deeply',
  BLOCK_AS_IMPLICIT_KEY:
    'a second ": " on one line; indent the next line less, or put quotes around the value',
  MULTIPLE_DOCS: 'a second document begins here; one file is one configuration',
  BAD_INDENT: 'the indentation does not fit the lines above',
  MULTILINE_IMPLICIT_KEY: 'a key must be on one line',
};

/** Turns the library's nodes into a tree. A class, because anchors and limits last through one document. */
class Reader {
  readonly #source: Source;
  readonly #report: Report;
  readonly #anchors = new Map<string, Node>();
  readonly #open = new Set<Node>();
  #aliasNodes = 0;
  #aliasDepth = 0;
  failed = false;

  constructor(source: Source, report: Report) {
    this.#source = source;
    this.#report = report;
  }

  read(node: Node | null | undefined, empty: Place, depth: number): Tree {
    if (node === null || node === undefined) return { kind: 'scalar', value: null, place: empty };
    const place = this.#place(node) ?? empty;
    const nothing: Tree = { kind: 'scalar', value: null, place };
    if (this.failed) return nothing;
    if (depth > depthMax) return this.#fail(place, 'nested too deeply');
    if (this.#aliasDepth > 0 && ++this.#aliasNodes > aliasNodesMax) {
      return this.#fail(place, `aliases stand for more than ${aliasNodesMax} values`);
    }
    if (isAlias(node)) return this.#alias(node.source, place, depth);
    if (node.anchor !== undefined && this.#aliasDepth === 0) this.#anchors.set(node.anchor, node);
    this.#open.add(node);
    const tree = this.#value(node, place, depth);
    this.#open.delete(node);
    return tree;
  }

  #value(node: Node, place: Place, depth: number): Tree {
    if (isMap(node)) return this.#map(node, place, depth);
    if (isSeq(node)) {
      const items = node.items.map((item) => this.read(item as Node, place, depth + 1));
      return { kind: 'list', items, place };
    }
    return { kind: 'scalar', value: scalarValue(node as Scalar), place };
  }

  #alias(name: string, place: Place, depth: number): Tree {
    const target = this.#anchors.get(name);
    if (target === undefined) return this.#fail(place, `*${name}: no anchor &${name} stands above`);
    if (this.#open.has(target)) return this.#fail(place, `*${name} contains itself`);
    this.#aliasDepth++;
    const tree = this.read(target, place, depth + 1);
    this.#aliasDepth--;
    return tree;
  }

  #map(node: YAMLMap, place: Place, depth: number): MapTree {
    const tree = mapTree(place);
    const merged: MapTree[] = [];
    for (const pair of node.items as Pair<Node, Node | null>[]) {
      const key = this.#place(pair.key) ?? place;
      if (isScalar(pair.key) && pair.key.type === 'PLAIN' && pair.key.source === '<<') {
        merged.push(...this.#mergeSources(pair.value, key, depth));
        continue;
      }
      const name = this.#keyName(pair.key, key);
      if (name === undefined) continue;
      const value = this.read(pair.value, { ...key, start: key.end }, depth + 1);
      this.#add(tree, name, { key, value });
    }
    for (const [name, entry] of merged.flatMap(({ entries }) => [...entries])) {
      if (!tree.entries.has(name)) tree.entries.set(name, entry);
    }
    return tree;
  }

  #add(tree: MapTree, name: string, entry: Entry): void {
    if (tree.entries.has(name)) {
      this.#report(entry.key, `duplicate key: "${name}" is already written above`);
    } else tree.entries.set(name, entry);
  }

  #keyName(key: Node, place: Place): string | undefined {
    if (!isScalar(key)) {
      this.#fail(place, 'a key must be a plain text');
      return undefined;
    }
    const name = key.type === 'PLAIN' ? (key.source ?? '') : String(key.value ?? '');
    if (name !== '__proto__') return name;
    this.#report(place, '"__proto__" cannot be a key');
    return undefined;
  }

  #mergeSources(value: Node | null, key: Place, depth: number): MapTree[] {
    const tree = this.read(value, key, depth + 1);
    const sources = tree.kind === 'list' ? tree.items : [tree];
    const maps = sources.filter((source): source is MapTree => source.kind === 'map');
    if (maps.length < sources.length) this.#report(key, '"<<" takes in maps only, as aliases');
    return maps;
  }

  #place(node: Node): Place | undefined {
    const range = node.range;
    return range ? { source: this.#source, start: range[0], end: range[1] } : undefined;
  }

  #fail(place: Place, why: string): Tree {
    if (!this.failed) this.#report(place, `broken YAML: ${why}`);
    this.failed = true;
    return { kind: 'scalar', value: null, place };
  }
}

function scalarValue(node: Scalar): string | number | boolean | null {
  const value = node.value;
  if (node.type === 'PLAIN' && node.tag !== 'tag:yaml.org,2002:str') {
    return node.tag === undefined || typeof value === 'string'
      ? plainValue(node.source ?? '')
      : (value as number);
  }
  return typeof value === 'number' || typeof value === 'boolean' || value === null
    ? value
    : String(value);
}
