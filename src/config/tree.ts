// A configuration as read: values, each with its place, so that whatever is found wrong later can be pointed at.

import type { Place } from './source.ts';

export type Tree = MapTree | ListTree | ScalarTree;

type Common = {
  readonly place: Place;
  /** What `${...}` stood for, letter by letter. A field that wants text takes this, so that `0123` stays `0123`. */
  readonly text?: string;
};

export type MapTree = Common & { readonly kind: 'map'; readonly entries: Map<string, Entry> };
export type ListTree = Common & { readonly kind: 'list'; readonly items: Tree[] };
export type ScalarTree = Common & {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
  /** What a text with `${...}` in it was made of, to find places in the file again. */
  readonly made?: { readonly written: string; readonly pieces: readonly Piece[] };
};

/** `length` characters of a made text: letters of the written text, or what a reference there stood for. */
export type Piece = { readonly length: number; readonly from: number; readonly verbatim: boolean };

export type Entry = {
  readonly key: Place;
  value: Tree;
  /** Written without a value where the field cannot be empty: counts as not written. */
  absent?: boolean;
};

export type Path = readonly PropertyKey[];

export function mapTree(place: Place, entries: Iterable<[string, Entry]> = []): MapTree {
  return { kind: 'map', place, entries: new Map(entries) };
}

/** The plain value of a tree. */
export function toValue(tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.value;
  if (tree.kind === 'list') return tree.items.map(toValue);
  const value: Record<string, unknown> = {};
  for (const [key, entry] of tree.entries) {
    if (entry.absent !== true) value[key] = toValue(entry.value);
  }
  return value;
}

/** The tree at a path; undefined when the path leads out of it. */
export function treeAt(tree: Tree | undefined, path: Path): Tree | undefined {
  let at = tree;
  for (const step of path) at = at === undefined ? undefined : child(at, step);
  return at;
}

function child(tree: Tree, step: PropertyKey): Tree | undefined {
  if (tree.kind === 'map') return tree.entries.get(String(step))?.value;
  return tree.kind === 'list' ? tree.items[Number(step)] : undefined;
}

/** The entry of a map that a path ends at. */
export function entryAt(tree: Tree, path: Path): Entry | undefined {
  const parent = path.length === 0 ? undefined : treeAt(tree, path.slice(0, -1));
  return parent?.kind === 'map' ? parent.entries.get(String(path.at(-1))) : undefined;
}

/** Puts another tree in place of the one at `path`. False when there is none to replace. */
export function replaceAt(tree: Tree, path: Path, replacement: Tree): boolean {
  const parent = path.length === 0 ? undefined : treeAt(tree, path.slice(0, -1));
  const step = path.at(-1);
  if (parent?.kind === 'map') {
    const entry = parent.entries.get(String(step));
    if (entry === undefined) return false;
    entry.value = replacement;
    entry.absent = false;
    return true;
  }
  if (parent?.kind !== 'list' || parent.items[Number(step)] === undefined) return false;
  parent.items[Number(step)] = replacement;
  return true;
}

/** Where to point for a path: at its value, or, where the path leads out of the tree, at the last key that exists. */
export function placeAt(tree: Tree, path: Path, root: Place): Place {
  let at: Tree | undefined = tree;
  let place = root;
  for (const step of path) {
    const entry: Entry | undefined = at?.kind === 'map' ? at.entries.get(String(step)) : undefined;
    at = at === undefined ? undefined : child(at, step);
    if (at === undefined) return place;
    place = entry?.key ?? at.place;
  }
  return at?.kind === 'scalar' && at.value !== null ? at.place : place;
}

/** Later over earlier, as for several --config: maps merge, lists and values are replaced, nothing says nothing. */
export function mergeTrees(earlier: Tree, later: Tree): Tree {
  if (later.kind === 'scalar' && later.value === null) return earlier;
  if (earlier.kind !== 'map' || later.kind !== 'map') return later;
  const entries = new Map(earlier.entries);
  for (const [key, entry] of later.entries) {
    const known = entries.get(key);
    const value = known === undefined ? entry.value : mergeTrees(known.value, entry.value);
    entries.set(key, { key: value === known?.value ? known.key : entry.key, value });
  }
  return { ...later, entries };
}

/** The entries of a map; none when there is no map. */
export function entriesAt(root: Tree, path: Path): [string, Entry][] {
  const tree = treeAt(root, path);
  return tree?.kind === 'map' ? [...tree.entries] : [];
}

/** Written without a value. */
export const isEmpty = (tree: Tree): boolean => tree.kind === 'scalar' && tree.value === null;
