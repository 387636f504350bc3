// JSON formats: Envoy's `json_format` (keys sorted, values of any shape) and Kuma's list of keys and values (kept in
// order).

import type { JsonFormat, JsonNode } from './format.ts';
import { FormatError } from './format_error.ts';
import { type Dialect, parseFormat } from './grammar.ts';
import { type Path, type Problem, problemOf } from './problem.ts';

const depthMax = 32;

/** Envoy's `json_format`, Istio's `labels`. Undefined when there are problems. */
export function envoyJson(
  value: unknown,
  path: Path,
  problems: Problem[],
  omitEmpty: boolean,
): JsonFormat | undefined {
  if (!isObject(value)) {
    problems.push({ path, message: 'expected an object of keys and values' });
    return undefined;
  }
  const before = problems.length;
  const root = nodeOf(value, path, problems, 0);
  return problems.length > before ? undefined : { kind: 'json', root, omitEmpty, numbers: 'envoy' };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function nodeOf(value: unknown, path: Path, problems: Problem[], depth: number): JsonNode {
  if (depth > depthMax) {
    problems.push({ path, message: `nested deeper than ${depthMax}` });
    return nothing;
  }
  if (typeof value === 'string') return templateOf(value, path, problems, 'envoy');
  if (Array.isArray(value)) {
    return {
      kind: 'list',
      items: value.map((item, i) => nodeOf(item, [...path, i], problems, depth + 1)),
    };
  }
  if (isObject(value)) {
    const keys = Object.keys(value).sort(byBytes);
    return {
      kind: 'object',
      entries: keys.map((key) => [key, nodeOf(value[key], [...path, key], problems, depth + 1)]),
    };
  }
  if (value === null || typeof value === 'boolean' || typeof value === 'number') {
    return { kind: 'constant', value };
  }
  problems.push({ path, message: 'expected a string, number, boolean, null, list or object' });
  return nothing;
}

const nothing: JsonNode = { kind: 'constant', value: null };

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** A string of a JSON format: a constant when it holds no command. */
export function templateOf(
  text: string,
  path: Path,
  problems: Problem[],
  dialect: Dialect,
): JsonNode {
  try {
    const segments = parseFormat(text, dialect);
    if (segments.some((segment) => typeof segment !== 'string')) {
      return { kind: 'template', segments };
    }
    return { kind: 'constant', value: segments.join('') };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    problems.push(problemOf(error, path));
    return nothing;
  }
}

/**
 * Kuma's `json: [{key, value}]`. Of a key that stands twice the last value counts. Quotes around a value are left out:
 * Kuma's own documentation has some by mistake, and Kuma itself refuses them.
 */
export function kumaJson(
  list: unknown,
  path: Path,
  problems: Problem[],
  omitEmpty: boolean,
): JsonFormat | undefined {
  if (!Array.isArray(list) || list.length === 0) {
    problems.push({ path, message: 'must be a list of {key, value} with at least one entry' });
    return undefined;
  }
  const before = problems.length;
  const entries = new Map<string, JsonNode>();
  list.forEach((entry: unknown, i) => {
    const at = [...path, i];
    const { key, value, ...more } = isObject(entry) ? entry : {};
    if (!isObject(entry) || Object.keys(more).length > 0) {
      problems.push({ path: at, message: 'expected {key, value}' });
    } else if (typeof key !== 'string' || key === '') {
      problems.push({ path: [...at, 'key'], message: 'key cannot be empty' });
    } else if (typeof value !== 'string' || value === '') {
      problems.push({ path: [...at, 'value'], message: 'value cannot be empty' });
    } else entries.set(key, templateOf(withoutQuotes(value), [...at, 'value'], problems, 'kuma'));
  });
  if (problems.length > before) return undefined;
  const root: JsonNode = { kind: 'object', entries: [...entries] };
  return { kind: 'json', root, omitEmpty, numbers: 'plain' };
}

function withoutQuotes(value: string): string {
  return /^"?(%[^"]+%)"?$/.exec(value)?.[1] ?? value;
}
