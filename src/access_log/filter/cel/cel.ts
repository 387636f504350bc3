// CEL over batches: parsed by cel-js, checked and compiled here (reference: envoy.md section 3). An evaluation error is
// no answer; a filter takes it as false.

import { Environment, ParseError } from '@marcbachmann/cel-js';
import type { Batch } from '../../../pipeline/batch.ts';
import { Compiler } from './compile.ts';
import type { Type } from './node.ts';
import { ERROR, testOf } from './node.ts';
import { CelError } from './problem.ts';
import type { Result } from './values.ts';

/** A compiled expression. `bind` comes before rows are asked; the answers are about the bound batch. */
export type CelProgram = {
  readonly type: Type;
  /** What Envoy would only notice when it evaluates. */
  readonly warnings: readonly CelError[];
  bind(batch: Batch): void;
  /** 1, 0, or 2: an error. */
  test(row: number): number;
  value(row: number): Result;
};

export type CelOptions = {
  /** A filter: the expression has to give true or false. */
  readonly wantsTruth?: boolean;
  /** As Envoy: wrong names and types are errors of evaluation, not of the configuration. */
  readonly lenient?: boolean;
};

const environment = new Environment({
  unlistedVariablesAreDyn: true,
  limits: { maxAstNodes: 10_000, maxDepth: 100, maxListElements: 10_000 },
});

/** Compiles an expression, or throws a CelError with the character at which it is wrong. */
export function compileCel(source: string, options: CelOptions = {}): CelProgram {
  const compiler = new Compiler(options.lenient === true);
  const compiled = compiler.compile(parse(source));
  // By themselves flags and statuses are the numbers that they are to Envoy.
  const node = compiled.asInt ?? compiled;
  if (options.wantsTruth === true && node.type !== 'bool' && node.type !== 'dyn') {
    const problem = new CelError(`gives ${node.type}, not true or false`, 0);
    if (options.lenient !== true) throw problem;
    compiler.warnings.push(problem);
  }
  const { bound } = compiler.fields;
  const test = node.type === 'bool' || node.type === 'dyn' ? testOf(node) : () => ERROR;
  return {
    type: node.type,
    warnings: compiler.warnings,
    bind: (batch) => {
      for (const one of bound) one.bind(batch);
    },
    test,
    value: node.value,
  };
}

function parse(source: string) {
  try {
    return environment.parse(source).ast;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const offset = error.range?.start ?? error.node?.pos ?? 0;
    throw new CelError(lowerFirst(error.summary), offset, 'parse');
  }
}

/** cel-js begins its messages with a capital; ours chain. */
function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
