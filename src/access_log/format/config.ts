// Formats as users write them: a name, a format string, or an object pasted from Envoy, Istio or Kuma.

import {
  envoyDefault,
  formatNames,
  isFormatName,
  istioLabels,
  istioText,
  kumaHttp,
  kumaTcp,
} from '../formats.ts';
import type { Format, JsonFormat, NamedFormat, TextFormat } from './format.ts';
import { FormatError } from './format_error.ts';
import { type Dialect, parseFormat } from './grammar.ts';
import { envoyJson, isObject, kumaJson } from './json_format.ts';
import { type Path, type Problem, problemOf } from './problem.ts';

export type FormatReading = {
  readonly format: Format | NamedFormat | undefined;
  readonly problems: readonly Problem[];
};

/** Reads a format in any of its forms. The format is undefined when there are problems. */
export function parseFormatConfig(value: unknown): FormatReading {
  const problems: Problem[] = [];
  const format = read(value, [], problems);
  return { format: problems.length > 0 ? undefined : format, problems };
}

function read(value: unknown, path: Path, problems: Problem[]): Format | NamedFormat | undefined {
  if (typeof value === 'string') return readString(value, path, problems);
  if (Array.isArray(value)) return readOnly(value, path, problems);
  if (isObject(value)) return readObject(value, path, problems);
  problems.push({ path, message: `expected ${expected}` });
  return undefined;
}

const expected = `a name (${formatNames.join(', ')}), a format string with command operators (%START_TIME%), or a format object of Envoy, Istio or Kuma`;

function readString(
  value: string,
  path: Path,
  problems: Problem[],
): TextFormat | NamedFormat | undefined {
  if (isFormatName(value)) return { kind: 'named', name: value };
  if (value.includes('%')) return readText(value, path, problems, {});
  problems.push({ path, message: `${JSON.stringify(value)} is no format: expected ${expected}` });
  return undefined;
}

type TextOptions = { readonly omitEmpty?: boolean; readonly dialect?: Dialect };

function readText(
  text: unknown,
  path: Path,
  problems: Problem[],
  { omitEmpty = false, dialect = 'envoy' }: TextOptions,
): TextFormat | undefined {
  if (typeof text !== 'string') {
    problems.push({ path, message: 'expected a format string' });
    return undefined;
  }
  try {
    return { kind: 'text', text, segments: parseFormat(text, dialect), omitEmpty };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    problems.push(problemOf(error, path));
    return undefined;
  }
}

/** A list with one entry: `backends:` or `access_log:` pasted as they stand. */
function readOnly(
  list: readonly unknown[],
  path: Path,
  problems: Problem[],
): Format | NamedFormat | undefined {
  if (list.length === 1) return read(list[0], [...path, 0], problems);
  problems.push({ path, message: `expected one entry that has a format, got ${list.length}` });
  return undefined;
}

type Shape = {
  readonly key: string;
  readonly read: (
    object: Record<string, unknown>,
    path: Path,
    problems: Problem[],
  ) => Format | NamedFormat | undefined;
};

const inside =
  (key: string): Shape['read'] =>
  (object, path, problems) =>
    read(object[key], [...path, key], problems);

/** A backend of Kuma: without a format it has Kuma's default. */
function readBackend(key: string): Shape['read'] {
  return (object, path, problems) => {
    const inner = object[key];
    if (isObject(inner) && inner['format'] === undefined) return kumaDefault();
    return read(inner, [...path, key], problems);
  };
}

/** What an object is, by the first of these keys that it has. */
const shapes: readonly Shape[] = [
  { key: 'text_format_source', read: readSource },
  {
    key: 'text_format',
    read: (object, path, problems) => readEnvoyText('text_format', object, path, problems),
  },
  {
    key: 'json_format',
    read: (object, path, problems) => readEnvoyJson('json_format', object, path, problems),
  },
  {
    key: 'typed_json_format',
    read: (object, path, problems) => readEnvoyJson('typed_json_format', object, path, problems),
  },
  { key: 'log_format', read: inside('log_format') },
  { key: 'typed_config', read: inside('typed_config') },
  { key: 'access_log', read: inside('access_log') },
  { key: 'accessLog', read: inside('accessLog') },
  { key: 'meshConfig', read: inside('meshConfig') },
  { key: 'accessLogFormat', read: readIstioMesh },
  { key: 'accessLogEncoding', read: readIstioMesh },
  { key: 'extensionProviders', read: inside('extensionProviders') },
  { key: 'envoyFileAccessLog', read: inside('envoyFileAccessLog') },
  { key: 'envoyOtelAls', read: inside('envoyOtelAls') },
  { key: 'logFormat', read: readIstioProvider },
  { key: 'labels', read: readIstioLabels },
  {
    key: 'text',
    read: (object, path, problems) =>
      readIstioText(object['text'], [...path, 'text'], problems, false),
  },
  { key: 'spec', read: inside('spec') },
  { key: 'to', read: inside('to') },
  { key: 'from', read: inside('from') },
  { key: 'rules', read: inside('rules') },
  { key: 'default', read: inside('default') },
  { key: 'backends', read: inside('backends') },
  { key: 'file', read: readBackend('file') },
  { key: 'tcp', read: readBackend('tcp') },
  { key: 'plain', read: readKuma },
  { key: 'json', read: readKuma },
  { key: 'format', read: inside('format') },
  { key: 'type', read: readKuma },
  { key: 'omitEmptyValues', read: readKuma },
];

function readObject(
  object: Record<string, unknown>,
  path: Path,
  problems: Problem[],
): Format | NamedFormat | undefined {
  const type = object['type'];
  if (type === 'Plain' || type === 'Json') return readKuma(object, path, problems);
  const shape = shapes.find(({ key }) => Object.hasOwn(object, key));
  if (shape !== undefined) return shape.read(object, path, problems);
  problems.push({
    path,
    message: `no format found in it: expected ${expected}, for example {type: Plain, plain: "..."}, {text_format_source: {inline_string: "..."}} or {json_format: {...}}`,
  });
  return undefined;
}

const omits = (object: Record<string, unknown>): boolean => object['omit_empty_values'] === true;

function readSource(
  object: Record<string, unknown>,
  path: Path,
  problems: Problem[],
): TextFormat | undefined {
  const source = object['text_format_source'];
  const at = [...path, 'text_format_source'];
  const text = isObject(source) ? source['inline_string'] : undefined;
  if (text === undefined) {
    problems.push({
      path: at,
      message: 'expected {inline_string: "..."}: other sources of Envoy are not read',
    });
    return undefined;
  }
  const format = text === '' ? envoyDefault : text;
  return readText(format, [...at, 'inline_string'], problems, { omitEmpty: omits(object) });
}

function readEnvoyText(
  key: string,
  object: Record<string, unknown>,
  path: Path,
  problems: Problem[],
): TextFormat | undefined {
  const text = object[key] === '' ? envoyDefault : object[key];
  return readText(text, [...path, key], problems, { omitEmpty: omits(object) });
}

function readEnvoyJson(
  key: string,
  object: Record<string, unknown>,
  path: Path,
  problems: Problem[],
): JsonFormat | undefined {
  return envoyJson(object[key], [...path, key], problems, omits(object));
}

/** meshConfig: a text, or a text that is the JSON of the keys. */
function readIstioMesh(
  object: Record<string, unknown>,
  path: Path,
  problems: Problem[],
): Format | undefined {
  const text = object['accessLogFormat'] ?? '';
  const at = [...path, 'accessLogFormat'];
  if (object['accessLogEncoding'] !== 'JSON') return readIstioText(text, at, problems, false);
  if (text === '') return envoyJson(istioLabels, at, problems, false);
  if (isObject(text)) return envoyJson(text, at, problems, false);
  try {
    return envoyJson(JSON.parse(String(text)), at, problems, false);
  } catch {
    problems.push({
      path: at,
      message: 'accessLogEncoding is JSON, so the format must be a JSON object',
    });
    return undefined;
  }
}

/** Istio's own rules: an empty format is the default one, and every line ends with a newline. */
function readIstioText(
  text: unknown,
  path: Path,
  problems: Problem[],
  omitEmpty: boolean,
): TextFormat | undefined {
  if (text === '' || text === undefined || text === null) {
    return readText(istioText, path, problems, { omitEmpty });
  }
  const line = typeof text === 'string' && !text.endsWith('\n') ? `${text}\n` : text;
  return readText(line, path, problems, { omitEmpty });
}

function readIstioProvider(
  object: Record<string, unknown>,
  path: Path,
  problems: Problem[],
): Format | undefined {
  const inner = object['logFormat'];
  const at = [...path, 'logFormat'];
  const omitEmpty = object['omitEmptyValues'] === true;
  if (isObject(inner) && inner['labels'] !== undefined) {
    return readIstioLabels(inner, at, problems, omitEmpty);
  }
  if (isObject(inner) && typeof inner['text'] === 'string') {
    return readIstioText(inner['text'], [...at, 'text'], problems, omitEmpty);
  }
  problems.push({ path: at, message: 'expected {text: "..."} or {labels: {...}}' });
  return undefined;
}

/** `labels: {}` stands for Istio's default keys. */
function readIstioLabels(
  object: Record<string, unknown>,
  path: Path,
  problems: Problem[],
  omitEmpty = false,
): JsonFormat | undefined {
  const labels = object['labels'];
  const empty = isObject(labels) && Object.keys(labels).length === 0;
  return envoyJson(empty ? istioLabels : labels, [...path, 'labels'], problems, omitEmpty);
}

const kumaKeys = ['type', 'plain', 'json', 'omitEmptyValues'];

/** Kuma's `{type, plain, json, omitEmptyValues}`; without plain and json it is Kuma's default. */
function readKuma(
  object: Record<string, unknown>,
  path: Path,
  problems: Problem[],
): Format | undefined {
  const unknown = Object.keys(object).find((key) => !kumaKeys.includes(key));
  if (unknown !== undefined) {
    problems.push({
      path: [...path, unknown],
      message: 'unknown field: expected type, plain, json or omitEmptyValues',
    });
  }
  const { type, plain, json } = object;
  const omitEmpty = object['omitEmptyValues'] === true;
  if (type !== undefined && type !== 'Plain' && type !== 'Json') {
    problems.push({
      path: [...path, 'type'],
      message: `expected Plain or Json, got ${JSON.stringify(type)}`,
    });
    return undefined;
  }
  if (type === 'Json' || (type === undefined && json !== undefined)) {
    if (json !== undefined) return kumaJson(json, [...path, 'json'], problems, omitEmpty);
    problems.push({ path: [...path, 'json'], message: 'must be defined' });
    return undefined;
  }
  if (plain === undefined) return kumaDefault(omitEmpty);
  if (plain === '') {
    problems.push({ path: [...path, 'plain'], message: 'must not be empty' });
    return undefined;
  }
  return readText(plain, [...path, 'plain'], problems, { omitEmpty, dialect: 'kuma' });
}

/** Kuma's default formats: one for HTTP, one for TCP. */
export function kumaDefault(omitEmpty = false): Format {
  const text = (source: string): TextFormat => ({
    kind: 'text',
    text: source,
    segments: parseFormat(source),
    omitEmpty,
  });
  return { kind: 'pair', http: text(kumaHttp), tcp: text(kumaTcp) };
}
