// Envoy's StringMatcher: a text compared with a constant or a regular expression, over bytes.

import { Matcher } from './regex/matcher.ts';
import { RegexError } from './regex/syntax.ts';
import { type Span, spanContains, spanEndsWith, spanEquals, spanStartsWith } from './spans.ts';
import type { Struct } from './struct.ts';

export type TextTest = (span: Span) => boolean;
type Way = 'exact' | 'prefix' | 'suffix' | 'contains';

const ways = ['exact', 'prefix', 'suffix', 'contains'] as const;

/** The fields of a StringMatcher. */
export const stringMatcherFields = [...ways, 'safe_regex', 'ignore_case', 'custom'];

/** Reads a StringMatcher; undefined when it is wrong (reported). */
export function readStringMatcher(struct: Struct): TextTest | undefined {
  const given = struct.only([...ways, 'safe_regex', 'custom'], true);
  if (given === undefined) return undefined;
  if (given === 'safe_regex') return readRegex(struct, given);
  if (given === 'custom') {
    struct.problem('custom string matchers are not supported', given);
    return undefined;
  }
  const text = struct.text(given);
  return text === undefined
    ? undefined
    : textTest(given as Way, text, struct.truth('ignore_case') === true);
}

/** Reads a RegexMatcher; it has to match the whole text. */
export function readRegex(parent: Struct, name: string): TextTest | undefined {
  const struct = parent.struct(name, ['regex', 'google_re2']);
  const source = struct?.text('regex');
  if (struct === undefined || source === undefined) {
    struct?.problem('regex is missing');
    return undefined;
  }
  return regexTest(source, (message, offset) => struct.problem(message, 'regex', offset));
}

/** A test for a regular expression that has to match the whole text; undefined when it is wrong (told). */
export function regexTest(
  source: string,
  tell: (message: string, offset: number) => void,
): TextTest | undefined {
  try {
    const matcher = new Matcher(source, 'full');
    return (span) => matcher.test(span.bytes, span.start, span.end);
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    tell(`bad regular expression: ${error.message}`, error.offset);
    return undefined;
  }
}

export function textTest(way: Way, text: string, ignoreCase: boolean): TextTest {
  if (ignoreCase) return caselessTest(way, text);
  const bytes = Buffer.from(text);
  switch (way) {
    case 'exact':
      return (span) => spanEquals(span, bytes);
    case 'prefix':
      return (span) => spanStartsWith(span, bytes);
    case 'suffix':
      return (span) => spanEndsWith(span, bytes);
    default:
      return (span) => spanContains(span, bytes);
  }
}

/** Without regard to case a text is a regular expression without operators. */
function caselessTest(way: Way, text: string): TextTest {
  const quoted = text.replace(
    /[^\p{L}\p{N}]/gu,
    (char) => `\\x{${char.codePointAt(0)!.toString(16)}}`,
  );
  const start = way === 'exact' || way === 'prefix' ? '^' : '';
  const end = way === 'exact' || way === 'suffix' ? '$' : '';
  const matcher = new Matcher(`(?i)${start}${quoted}${end}`, 'search');
  return (span) => matcher.test(span.bytes, span.start, span.end);
}
