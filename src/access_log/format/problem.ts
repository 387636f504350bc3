// What is wrong with a format in a configuration, and under which key.

import type { FormatError } from './format_error.ts';

export type Path = readonly (string | number)[];

export type Problem = { readonly path: Path; readonly message: string };

/** A mistake in a format string, with the place in it. */
export function problemOf(error: FormatError, path: Path): Problem {
  const where = error.position === undefined ? '' : ` (at character ${error.position + 1})`;
  return { path, message: `${error.message}${error.hint}${where}` };
}
