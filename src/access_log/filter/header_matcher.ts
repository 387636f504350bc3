// Envoy's route.v3.HeaderMatcher on request headers (envoy.md section 3: header_filter).

import type { Plan } from './condition.ts';
import { FieldReader } from './field_reader.ts';
import { entryOf } from './names.ts';
import type { Span } from './spans.ts';
import type { Struct } from './struct.ts';
import {
  readRegex,
  readStringMatcher,
  stringMatcherFields,
  type TextTest,
  textTest,
} from './text_matcher.ts';

const specifiers = [
  'exact_match',
  'range_match',
  'present_match',
  'prefix_match',
  'suffix_match',
  'safe_regex_match',
  'contains_match',
  'string_match',
];

/** The fields of a HeaderMatcher. */
export const headerMatcherFields = [
  'name',
  ...specifiers,
  'invert_match',
  'treat_missing_header_as_empty',
];

type Missing = { readonly invert: boolean; readonly asEmpty: boolean };

/** Reads a HeaderMatcher; undefined when it is wrong (reported). */
export function readHeaderMatcher(struct: Struct): Plan | undefined {
  const name = struct.text('name');
  if (name === undefined || name === '') {
    struct.problem('name is missing');
    return undefined;
  }
  const missing = {
    invert: struct.truth('invert_match') === true,
    asEmpty: struct.truth('treat_missing_header_as_empty') === true,
  };
  const specifier = struct.only(specifiers, false);
  if (specifier === undefined || specifier === 'present_match') {
    return presence(name, struct.truth('present_match') ?? true, missing);
  }
  const test = readTest(struct, specifier);
  return test === undefined ? undefined : valueMatch(name, test, missing);
}

/** A missing header counts as absent unless it is treated as empty; the result is inverted in any case. */
function presence(name: string, wanted: boolean, { invert, asEmpty }: Missing): Plan {
  return () => {
    const field = headerReader(name);
    return {
      bind: (batch) => field.bind(batch),
      test: (row) => ((field.has(row) || asEmpty) === wanted) !== invert,
    };
  };
}

/** A missing header does not match, not even inverted, unless it is treated as empty. */
function valueMatch(name: string, test: TextTest, { invert, asEmpty }: Missing): Plan {
  const empty: Span = { bytes: Buffer.alloc(0), start: 0, end: 0 };
  return () => {
    const field = headerReader(name);
    return {
      bind: (batch) => field.bind(batch),
      test: (row) => {
        if (field.span(row)) return test(field) !== invert;
        return asEmpty && test(empty) !== invert;
      },
    };
  };
}

export function headerReader(name: string): FieldReader {
  return new FieldReader(entryOf('request.headers', name).sources);
}

function readTest(struct: Struct, specifier: string): TextTest | undefined {
  if (specifier === 'safe_regex_match') return readRegex(struct, specifier);
  if (specifier === 'range_match') return readRange(struct);
  if (specifier === 'string_match') {
    const inner = struct.struct(specifier, stringMatcherFields);
    return inner && readStringMatcher(inner);
  }
  const text = struct.text(specifier);
  if (text === undefined) return undefined;
  // Envoy takes an empty exact_match as a mere test for presence.
  if (specifier === 'exact_match' && text === '') return () => true;
  const way = specifier.replace('_match', '') as 'exact' | 'prefix' | 'suffix' | 'contains';
  return textTest(way, text, false);
}

/** The whole value is an integer in [start, end). */
function readRange(struct: Struct): TextTest | undefined {
  const range = struct.struct('range_match', ['start', 'end']);
  if (range === undefined) return undefined;
  const start = range.number('start') ?? 0;
  const end = range.number('end') ?? 0;
  return (span) => {
    const text = span.bytes.latin1Slice(span.start, Math.min(span.end, span.start + 40));
    if (span.end - span.start > 40 || !/^\s*[-+]?\d+\s*$/.test(text)) return false;
    const value = Number(text);
    return value >= start && value < end;
  };
}
