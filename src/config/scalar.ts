// Single YAML values: what an unquoted one means, and where a character of a value stands in the file.

/**
 * What an unquoted scalar means to the Collector's YAML reader (yaml.v3), which differs from YAML 1.2 in that 0600 is
 * octal and 1_000 a number. Dates stay text.
 */
export function plainValue(text: string): string | number | boolean | null {
  const first = text.charCodeAt(0);
  // Most values are words: a number begins with a digit, a sign or a dot.
  if (text !== '' && (first > 57 || first < 43))
    return words.get(text) ?? (nulls.has(text) ? null : text);
  if (nulls.has(text)) return null;
  const special = words.get(text);
  if (special !== undefined) return special;
  const digits = text.replaceAll('_', '');
  const integer = /^([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)$/.exec(digits);
  if (integer !== null && first !== 95) {
    const magnitude = Number((integer[2] ?? '').replace(/^0(?=[0-7])/, '0o'));
    return integer[1] === '-' ? -magnitude : magnitude;
  }
  const float = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
  return float.test(digits) ? Number(digits) : text;
}

const nulls = new Set(['', '~', 'null', 'Null', 'NULL']);

const words = new Map<string, number | boolean>([
  ...['true', 'True', 'TRUE'].map((word) => [word, true] as const),
  ...['false', 'False', 'FALSE'].map((word) => [word, false] as const),
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, Number.NaN] as const),
  ...['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'].map(
    (word) => [word, Number.POSITIVE_INFINITY] as const,
  ),
  ...['-.inf', '-.Inf', '-.INF'].map((word) => [word, Number.NEGATIVE_INFINITY] as const),
]);

/**
 * The offset in the file of character `index` of a scalar's value, whatever the way it is written: plain, quoted with
 * escapes, a block. `start` and `end` are the scalar's place in `source`. Blanks may be fewer in the value than in the
 * file (folding), so value and file are walked side by side, and blanks are only matched loosely.
 */
export function offsetInScalar(
  source: string,
  scalar: { start: number; end: number; value: string },
  index: number,
): number {
  const quote = source[scalar.start] ?? '';
  if (quote === '|') return offsetInLiteral(source, scalar, index);
  let at = scalar.start;
  if (quote === '"' || quote === "'") at++;
  else if (quote === '>') at = afterLine(source, at);
  for (let done = 0; done < index && at < scalar.end; done++) {
    at = behind(source, at, { quote, wanted: scalar.value[done] ?? '' });
  }
  return isBlank(scalar.value[index]) ? at : skipBlanks(source, at, quote);
}

/** Lines of a literal block are the lines of its value, indented. */
function offsetInLiteral(
  source: string,
  { start, value }: { start: number; value: string },
  index: number,
): number {
  const before = value.slice(0, index).split('\n');
  let at = afterLine(source, start);
  const firstLine = /[^\n]/.exec(value)?.index ?? 0;
  for (let line = 0; line < firstLine; line++) at = afterLine(source, at);
  const firstWidth = value.slice(firstLine).search(/[^ ]/);
  const indent = source.slice(at).search(/[^ ]/) - Math.max(0, firstWidth);
  for (let line = firstLine + 1; line < before.length; line++) at = afterLine(source, at);
  return at + indent + (before.at(-1)?.length ?? 0);
}

/** The offset behind what stands for the character `wanted`. */
function behind(source: string, from: number, to: { quote: string; wanted: string }): number {
  const { quote, wanted } = to;
  const at = isBlank(wanted) ? from : skipBlanks(source, from, quote);
  if (quote === "'" && source.startsWith("''", at)) return at + 2;
  if (quote === '"' && source[at] === '\\') return at + escapeLength(source[at + 1], wanted);
  return isBlank(wanted) && !isBlank(source[at]) ? at : at + 1;
}

function skipBlanks(source: string, from: number, quote: string): number {
  const blanks = quote === '"' ? /(?:\s|\\\r?\n)*/y : /\s*/y;
  blanks.lastIndex = from;
  blanks.test(source);
  return blanks.lastIndex;
}

function escapeLength(kind: string | undefined, wanted: string): number {
  if (kind === 'x') return 4;
  if (kind === 'u') return 6;
  if (kind !== 'U') return 2;
  // One escape may stand for two units of the value: it ends with the second.
  return /[\ud800-\udbff]/.test(wanted) ? 0 : 10;
}

const isBlank = (char: string | undefined): boolean => char !== undefined && /\s/.test(char);

function afterLine(source: string, at: number): number {
  const newline = source.indexOf('\n', at);
  return newline < 0 ? source.length : newline + 1;
}
