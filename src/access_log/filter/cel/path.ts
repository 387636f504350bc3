// Dotted names of an expression: what is a field of the batch, and which keys are left to be looked up in its value.

import type { ASTNode } from '@marcbachmann/cel-js';
import { didYouMean } from '../../../config/words.ts';
import { entryOf, exactName, isPartOfName, type Named, openMap, suggestions } from '../names.ts';
import { CelError } from './problem.ts';

/** A chain such as `a.b['c']` whose keys are known. `asts[i]` ends with key i. */
export type Path = {
  readonly root: string;
  readonly keys: readonly string[];
  readonly asts: readonly ASTNode[];
};

/** What a path means: a field, and the keys that are left to be looked up in its value. */
export type Target = { readonly named: Named } | { readonly map: string };
export type Resolved = { readonly target: Target; readonly used: number };

/** The path that an access is; undefined when a key is computed or it begins with a value. */
export function pathOf(ast: ASTNode): Path | undefined {
  const keys: string[] = [];
  const asts: ASTNode[] = [];
  let at = ast;
  while (at.op === '.' || at.op === '[]') {
    const key = at.args[1];
    const text = typeof key === 'string' ? key : key.op === 'value' ? key.args : undefined;
    if (typeof text !== 'string') return undefined;
    keys.unshift(text);
    asts.unshift(at);
    at = at.args[0];
  }
  return at.op === 'id' ? { root: at.args, keys, asts: [at, ...asts] } : undefined;
}

/** The longest beginning of a path that is a name; undefined when none is. */
export function resolve(path: Path): Resolved | undefined {
  for (let used = path.keys.length; used >= 0; used--) {
    const name = [path.root, ...path.keys.slice(0, used)].join('.');
    const key = path.keys[used];
    if (openMap(name) !== undefined) {
      if (key === undefined) return { target: { map: name }, used };
      return { target: { named: entryOf(name, key) }, used: used + 1 };
    }
    const named = exactName(name);
    if (named !== undefined) return { target: { named }, used };
  }
  return undefined;
}

/** Refuses a path that `resolve` did not know. */
export function unknownName(path: Path): never {
  const name = [path.root, ...path.keys].join('.');
  const offset = path.asts[0]!.start;
  if (isPartOfName(name)) {
    throw new CelError(`"${name}" is a group of fields, not a value`, offset);
  }
  throw new CelError(`unknown name "${name}"${didYouMean(name, suggestions)}`, offset);
}
