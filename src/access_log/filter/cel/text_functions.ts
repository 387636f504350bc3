// contains, startsWith, endsWith and matches on texts that stand in the batch: bytes against what was made at the start.

import type { ASTNode } from '@marcbachmann/cel-js';
import { Matcher } from '../regex/matcher.ts';
import { RegexError } from '../regex/syntax.ts';
import { type Span, spanContains, spanEndsWith, spanStartsWith } from '../spans.ts';
import { boolNode, ERROR, FALSE, folded, type Node, settle, TRUE } from './node.ts';
import { CelError } from './problem.ts';

const searches: Readonly<Record<string, (span: Span, text: Uint8Array) => boolean>> = {
  contains: spanContains,
  startsWith: spanStartsWith,
  endsWith: spanEndsWith,
};

/** A search for a constant in a field; undefined when the call is something else. */
export function textSearch(ast: ASTNode, name: string, args: readonly Node[]): Node | undefined {
  const search = Object.hasOwn(searches, name) ? searches[name] : undefined;
  if (search === undefined || args.length !== 2) return undefined;
  const field = settle(args[0]!).field;
  const text = args[1]!.constant;
  if (field === undefined || typeof text !== 'string') return undefined;
  const bytes = Buffer.from(text);
  return boolNode(ast, (row) => (field.span(row) ? (search(field, bytes) ? TRUE : FALSE) : ERROR));
}

/** `text.matches(regex)`. The expression is compiled at the start, so it has to be known then. */
export function matches(ast: ASTNode, args: readonly Node[]): Node {
  const [value, regex] = args;
  const source = regex?.constant;
  if (value === undefined || args.length !== 2) {
    throw new CelError('matches() takes a text and a regular expression', ast.start);
  }
  if (typeof source !== 'string') {
    throw new CelError('matches() needs a regular expression that is a constant text', ast.start);
  }
  const matcher = compiled(source, regex!.ast);
  const text = settle(value);
  if (text.field !== undefined) {
    const field = text.field;
    return boolNode(ast, (row) => {
      if (!field.span(row)) return ERROR;
      return matcher.test(field.bytes, field.start, field.end) ? TRUE : FALSE;
    });
  }
  if (text.type !== 'string' && text.type !== 'dyn') {
    throw new CelError(`matches() needs a text, got ${text.type}`, text.ast.start);
  }
  const node = boolNode(ast, (row) => {
    const string = text.value(row);
    if (typeof string !== 'string') return ERROR;
    const bytes = Buffer.from(string);
    return matcher.test(bytes, 0, bytes.length) ? TRUE : FALSE;
  });
  return folded(node, [text]);
}

function compiled(source: string, ast: ASTNode): Matcher {
  try {
    return new Matcher(source, 'search');
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    throw new CelError(`bad regular expression "${source}": ${error.message}`, ast.start);
  }
}
