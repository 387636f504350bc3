// A CEL expression as a condition.

import { compileCel } from './cel/cel.ts';
import { CelError } from './cel/problem.ts';
import type { Plan } from './condition.ts';

type Tell = (message: string, offset: number, isWarning?: boolean) => void;

/**
 * The condition of an expression; undefined when it is wrong, which `tell` hears with the character. `lenient`: as
 * Envoy, which refuses only what it cannot read and takes wrong names for errors of evaluation.
 */
export function celFilter(
  expression: string,
  { lenient }: { readonly lenient: boolean },
  tell: Tell,
): Plan | undefined {
  const compile = () => compileCel(expression, { wantsTruth: true, lenient });
  try {
    for (const { message, offset } of compile().warnings) {
      tell(`${message}; as in Envoy, whatever needs it counts as false`, offset, true);
    }
  } catch (error) {
    if (!(error instanceof CelError)) throw error;
    tell(lenient ? envoyMessage(error) : error.message, error.offset);
    return undefined;
  }
  return ({ faults }) => {
    const program = compile();
    return {
      bind: (batch) => program.bind(batch),
      test: (row) => {
        const truth = program.test(row);
        if (truth === 2) faults.count++;
        return truth === 1;
      },
    };
  };
}

function envoyMessage(error: CelError): string {
  const start =
    error.stage === 'parse'
      ? 'Not able to parse filter expression'
      : 'failed to create an expression';
  return `${start}: ${error.message}`;
}
