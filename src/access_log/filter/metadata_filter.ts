// Envoy's metadata_filter: a value in the dynamic metadata, found by a path, matched by a ValueMatcher.

import type { Batch } from '../../pipeline/batch.ts';
import type { AnyValue } from '../../pipeline/record.ts';
import type { Plan } from './condition.ts';
import { FieldReader } from './field_reader.ts';
import { entryOf } from './names.ts';
import { type Path, Struct } from './struct.ts';
import { readStringMatcher, stringMatcherFields } from './text_matcher.ts';

type ValueTest = (value: AnyValue) => boolean;

const valueKinds = [
  'null_match',
  'double_match',
  'string_match',
  'bool_match',
  'present_match',
  'list_match',
  'or_match',
];

/** Reads a MetadataFilter; undefined when it is wrong (reported). */
export function readMetadataFilter(struct: Struct): Plan | undefined {
  const whenMissing = struct.truth('match_if_key_not_found') ?? true;
  if (!struct.has('matcher')) return () => ({ bind: () => undefined, test: () => whenMissing });
  const matcher = struct.struct('matcher', ['filter', 'path', 'value', 'invert']);
  const namespace = matcher?.text('filter');
  if (matcher === undefined || namespace === undefined) {
    matcher?.problem('filter is missing');
    return undefined;
  }
  const keys = matcher.items('path').map(({ value, path }) => {
    const key = Struct.read(value, path, matcher.report, ['key']);
    return key?.text('key') ?? '';
  });
  const test = readValue(matcher.value('value'), matcher.pathOf('value'), matcher);
  if (test === undefined) return undefined;
  const invert = matcher.truth('invert') === true;
  return () => {
    const read = metadataReader(namespace, keys);
    return {
      bind: read.bind,
      test: (row) => {
        const value = read.value(row);
        return value === undefined ? whenMissing : test(value) !== invert;
      },
    };
  };
}

function metadataReader(namespace: string, keys: readonly string[]) {
  const field = new FieldReader(entryOf('metadata', namespace).sources);
  return {
    bind: (batch: Batch) => field.bind(batch),
    value: (row: number): AnyValue | undefined => {
      let value = field.value(row);
      for (const key of keys) {
        if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
        const map = value as { readonly [key: string]: AnyValue };
        value = Object.hasOwn(map, key) ? map[key] : undefined;
      }
      return value;
    },
  };
}

function readValue(value: unknown, path: Path, parent: Struct): ValueTest | undefined {
  const struct = Struct.read(value ?? {}, path, parent.report, valueKinds);
  const kind = struct?.only(valueKinds, true);
  if (struct === undefined || kind === undefined) return undefined;
  switch (kind) {
    case 'null_match':
      return (found) => found === null;
    case 'bool_match': {
      const wanted = struct.truth(kind);
      return (found) => found === wanted;
    }
    case 'present_match': {
      const wanted = struct.truth(kind);
      return (found) => (found !== null) === wanted;
    }
    case 'double_match':
      return readNumber(struct);
    case 'string_match':
      return readText(struct);
    case 'list_match': {
      const list = struct.struct(kind, ['one_of']);
      const item = list && readValue(list.value('one_of'), list.pathOf('one_of'), list);
      return item && ((found) => Array.isArray(found) && found.some((one: AnyValue) => item(one)));
    }
    default: {
      const any = struct.struct(kind, ['value_matchers']);
      const tests = any?.items('value_matchers').map((one) => readValue(one.value, one.path, any));
      if (tests === undefined || tests.includes(undefined)) return undefined;
      return (found) => tests.some((test) => test!(found));
    }
  }
}

function readNumber(parent: Struct): ValueTest | undefined {
  const struct = parent.struct('double_match', ['range', 'exact']);
  if (struct === undefined) return undefined;
  if (struct.has('exact')) {
    const wanted = struct.number('exact');
    return (found) => found === wanted;
  }
  const range = struct.struct('range', ['start', 'end']);
  const start = range?.number('start') ?? 0;
  const end = range?.number('end') ?? 0;
  return range && ((found) => typeof found === 'number' && found >= start && found < end);
}

function readText(parent: Struct): ValueTest | undefined {
  const struct = parent.struct('string_match', stringMatcherFields);
  const test = struct && readStringMatcher(struct);
  if (test === undefined) return undefined;
  return (found) => {
    if (typeof found !== 'string') return false;
    const bytes = Buffer.from(found);
    return test({ bytes, start: 0, end: bytes.length });
  };
}
