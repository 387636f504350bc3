// zod's issues -> faults in the user's words. A union tells what is wrong with the member that was probably meant.

import type { z } from 'zod';
import { choices, expectation, fieldsAt, type Schema, wantsPlainText } from './schema.ts';
import type { Path } from './tree.ts';
import { didYouMean, shown } from './words.ts';

export type Fault = {
  /** From the schema's root; of an unknown field, the field itself. */
  readonly path: Path;
  readonly kind: 'unknown' | 'missing' | 'mismatch' | 'custom';
  readonly message: string;
  readonly warning: boolean;
  /** The character of the field's text to point at. */
  readonly offset?: number | undefined;
};

type Issue = z.core.$ZodIssue;

/** Messages that schemas bring along are kept; for all others an empty one asks for ours. */
export const parseOptions = { error: () => '', reportInput: true } as const;

/** `spelling`: how the value at a path is written in the file. */
type Subject = { readonly schema: Schema; readonly spelling: (path: Path) => string | undefined };

export function faultsOf(issues: readonly Issue[], subject: Subject): Fault[] {
  return issues.flatMap((issue) => issueFaults(issue, [], subject));
}

function issueFaults(issue: Issue, above: Path, subject: Subject): Fault[] {
  const path = [...above, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => fault('unknown', [...path, key], 'unknown field'));
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0 && issue.message === '') {
    return unionFaults(issue.errors, path, subject);
  }
  if (issue.code === 'custom') return [customFault(issue, path)];
  if (issue.message !== '') return [fault('custom', path, issue.message)];
  if (issue.code === 'invalid_key' || issue.code === 'invalid_element') {
    const [inner] = issue.issues;
    const why = inner?.message || `not allowed as a key here`;
    return [fault('custom', path, why)];
  }
  const input = inputOf(issue);
  if (input === undefined) {
    return [
      fault('missing', path, `missing; expected ${expectation(fieldsAt(subject.schema, path))}`),
    ];
  }
  return [fault('mismatch', path, outOfBounds(issue) ?? mismatch(input, path, subject))];
}

/** Of a tagged union the tag is what does not fit, not the map that holds it. */
function inputOf(issue: Issue): unknown {
  if (issue.code !== 'invalid_union' || issue.discriminator === undefined) return issue.input;
  return (issue.input as Record<string, unknown>)[issue.discriminator];
}

/** Bounds that the description of what is expected does not tell. */
function outOfBounds(issue: Issue): string | undefined {
  const unit = 'origin' in issue && issue.origin === 'string' ? 'characters' : 'entries';
  const countable = 'origin' in issue && issue.origin !== 'number';
  if (issue.code === 'too_big' && countable) return `expected at most ${issue.maximum} ${unit}`;
  if (issue.code === 'too_small' && countable && Number(issue.minimum) > 1) {
    return `expected at least ${issue.minimum} ${unit}`;
  }
  if (issue.code === 'not_multiple_of') return `expected a multiple of ${issue.divisor}`;
  if (issue.code !== 'invalid_format') return undefined;
  return `expected ${issue.pattern ?? issue.format}, got ${shown(issue.input)}`;
}

const fault = (kind: Fault['kind'], path: Path, message: string): Fault => ({
  kind,
  path,
  message,
  warning: false,
});

function customFault(issue: Issue & { code: 'custom' }, path: Path): Fault {
  const params: { severity?: unknown; offset?: unknown } = issue.params ?? {};
  const offset = typeof params.offset === 'number' ? params.offset : undefined;
  const message = issue.message || 'this value is not allowed';
  return { kind: 'custom', path, message, warning: params.severity === 'warning', offset };
}

function mismatch(input: unknown, path: Path, { schema, spelling }: Subject): string {
  const fields = fieldsAt(schema, path);
  const secret = fields.some(({ kind }) => kind === 'secret');
  const written = typeof input === 'number' ? spelling(path) : undefined;
  const shownInput = written === undefined ? shown(input) : `the number ${written}`;
  const got = secret && typeof input !== 'object' ? `a ${typeof input}` : shownInput;
  const quotes = wantsPlainText(fields, written ?? String(input));
  const hint = ['number', 'boolean'].includes(typeof input) && quotes ? '; put it in quotes' : '';
  const meant = typeof input === 'string' ? didYouMean(input, choices(fields)) : '';
  return `expected ${expectation(fields)}, got ${got}${hint}${meant}`;
}

function unionFaults(branches: readonly Issue[][], path: Path, subject: Subject): Fault[] {
  const candidates = branches.filter((branch) => !branch.some(isAnotherType));
  const [best] = candidates
    .map((branch) => ({ branch, cost: branch.reduce((sum, issue) => sum + cost(issue), 0) }))
    .sort((a, b) => a.cost - b.cost);
  if (best !== undefined) return best.branch.flatMap((issue) => issueFaults(issue, path, subject));
  // Not even the type fits any member: what they all want, together.
  const input = branches.flat().find(({ path: deeper }) => deeper.length === 0)?.input;
  return [fault('mismatch', path, mismatch(input, path, subject))];
}

const isAnotherType = (issue: Issue): boolean =>
  issue.path.length === 0 && ['invalid_type', 'invalid_value'].includes(issue.code);

/** How far an issue says that another member was meant: a wrong or missing key at the top does, most others do not. */
function cost(issue: Issue): number {
  const depth = issue.path.length;
  if (issue.code === 'unrecognized_keys') return depth === 0 ? 10 * issue.keys.length : 1;
  if (depth !== 1) return 1;
  return issue.code === 'invalid_value' || issue.input === undefined ? 10 : 1;
}
