// OpenTelemetry bodies and attributes as Kuma's users write them: an AnyValue in YAML whose strings may hold command
// operators. The result is a tree that an encoder walks for each row; its leaves print what they stand for.

import { didYouMean } from '../config/words.ts';
import type { Batch } from '../pipeline/batch.ts';
import type { AnyValue } from '../pipeline/record.ts';
import { kumaDefault } from './format/config.ts';
import { loneCommand } from './format/format.ts';
import { FormatError } from './format/format_error.ts';
import { parseFormat } from './format/grammar.ts';
import { isObject } from './format/json_format.ts';
import { type Path, type Problem, problemOf } from './format/problem.ts';
import type { Piece } from './render/piece.ts';
import { pieceOf } from './render/piece_of.ts';
import { compileRenderer, type Renderer, templateRenderer } from './renderer.ts';

/** What a leaf prints: `begin` turns it to a batch, `render` writes text without a newline of its own. */
export type TextLeaf = Renderer;

export type ValueNode =
  | { readonly kind: 'text'; readonly leaf: TextLeaf }
  /** A lone operator that keeps its type: `json` of the piece is the value, false: there is none. */
  | { readonly kind: 'typed'; readonly piece: Piece }
  | { readonly kind: 'constant'; readonly value: AnyValue }
  /** A double even when it is a whole number. */
  | { readonly kind: 'double'; readonly value: number }
  | { readonly kind: 'array'; readonly items: readonly ValueNode[] }
  | { readonly kind: 'kvlist'; readonly entries: readonly KeyNode[] };

/** A key is text, too: Kuma replaces its own operators in keys. */
export type KeyNode = { readonly key: TextLeaf; readonly value: ValueNode };

export type Reading<T> = { readonly value: T | undefined; readonly problems: readonly Problem[] };

const shapes = [
  'stringValue',
  'boolValue',
  'intValue',
  'doubleValue',
  'bytesValue',
  'arrayValue',
  'kvlistValue',
];
const depthMax = 16;

/** Reads a body. Nothing, or an empty object, is Kuma's default format; a bare string is a stringValue. */
export function readBody(value: unknown): Reading<ValueNode> {
  const problems: Problem[] = [];
  const node = bodyNode(value, problems);
  return problems.length > 0 ? { value: undefined, problems } : { value: node, problems };
}

function bodyNode(value: unknown, problems: Problem[]): ValueNode {
  const empty = value === undefined || value === null || (isObject(value) && isEmpty(value));
  if (empty) return { kind: 'text', leaf: compileRenderer(kumaDefault(), { newline: false }) };
  if (typeof value === 'string') return textNode(value, false, [], problems);
  return valueNode(value, { path: [], typed: false, depth: 0 }, problems);
}

const isEmpty = (object: object): boolean => Object.keys(object).length === 0;

type Place = { readonly path: Path; readonly typed: boolean; readonly depth: number };

function valueNode(value: unknown, place: Place, problems: Problem[]): ValueNode {
  const { path, depth } = place;
  if (!isObject(value)) return wrong(path, problems, `expected one of ${shapes.join(', ')}`);
  if (depth > depthMax) return wrong(path, problems, `nested deeper than ${depthMax}`);
  const keys = Object.keys(value).filter((key) => key !== 'typed');
  const misplaced = ['kvlistValue', 'arrayValue'].find((key) => Object.hasOwn(value, key));
  if (misplaced !== undefined && keys.includes('values')) {
    const message = `"values" belongs under ${misplaced}, indent it by two more`;
    return wrong([...path, misplaced], problems, message);
  }
  const unknown = keys.find((key) => !shapes.includes(key));
  if (unknown !== undefined) {
    const hint = didYouMean(unknown, shapes);
    return wrong(
      [...path, unknown],
      problems,
      `unknown field${hint || `: expected one of ${shapes.join(', ')}`}`,
    );
  }
  const [shape, ...more] = keys;
  if (shape === undefined || more.length > 0) {
    return wrong(path, problems, `expected exactly one of ${shapes.join(', ')}`);
  }
  const typed = place.typed || value['typed'] === true;
  return shapeNode(shape, value[shape], { path: [...path, shape], typed, depth }, problems);
}

function shapeNode(shape: string, value: unknown, place: Place, problems: Problem[]): ValueNode {
  const { path, typed } = place;
  switch (shape) {
    case 'stringValue':
      if (typeof value === 'string') return textNode(value, typed, path, problems);
      return wrong(path, problems, 'expected a string');
    case 'boolValue':
      if (typeof value === 'boolean') return { kind: 'constant', value };
      return wrong(path, problems, 'expected true or false');
    case 'intValue':
      return intNode(value, path, problems);
    case 'doubleValue':
      return doubleNode(value, path, problems);
    case 'bytesValue':
      return bytesNode(value, path, problems);
    case 'arrayValue':
      return arrayNode(value, place, problems);
    default:
      return kvlistNode(value, place, problems);
  }
}

function wrong(path: Path, problems: Problem[], message: string): ValueNode {
  problems.push({ path, message });
  return { kind: 'constant', value: null };
}

function intNode(value: unknown, path: Path, problems: Problem[]): ValueNode {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return { kind: 'constant', value };
  const digits = typeof value === 'bigint' ? String(value) : value;
  if (typeof digits !== 'string' || !/^-?\d{1,19}$/.test(digits)) {
    return wrong(path, problems, 'expected a whole number');
  }
  const whole = BigInt(digits);
  if (BigInt.asIntN(64, whole) !== whole) return wrong(path, problems, 'does not fit 64 bits');
  const number = Number(whole);
  return { kind: 'constant', value: Number.isSafeInteger(number) ? number : whole };
}

function doubleNode(value: unknown, path: Path, problems: Problem[]): ValueNode {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  if (typeof number !== 'number' || (Number.isNaN(number) && value !== 'NaN')) {
    return wrong(path, problems, 'expected a number');
  }
  return { kind: 'double', value: number };
}

function bytesNode(value: unknown, path: Path, problems: Problem[]): ValueNode {
  if (typeof value !== 'string' || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) {
    return wrong(path, problems, 'expected bytes in base64');
  }
  return { kind: 'constant', value: new Uint8Array(Buffer.from(value, 'base64')) };
}

function arrayNode(value: unknown, place: Place, problems: Problem[]): ValueNode {
  const values = isObject(value) ? (value['values'] ?? []) : undefined;
  if (!Array.isArray(values)) {
    return wrong(place.path, problems, 'expected {values: [...]}');
  }
  const items = values.map((item: unknown, i) =>
    valueNode(item, inside(place, ['values', i]), problems),
  );
  return { kind: 'array', items };
}

function kvlistNode(value: unknown, place: Place, problems: Problem[]): ValueNode {
  const values = isObject(value) ? (value['values'] ?? []) : undefined;
  if (!Array.isArray(values)) {
    return wrong(place.path, problems, 'expected {values: [{key, value}]}');
  }
  const entries = values.map((entry: unknown, i) => {
    const at = inside(place, ['values', i]);
    const { key, value: inner } = isObject(entry) ? entry : {};
    if (typeof key !== 'string' || key === '') {
      problems.push({ path: [...at.path, 'key'], message: 'key cannot be empty' });
    }
    return {
      key: leafOf(typeof key === 'string' ? key : '', [...at.path, 'key'], problems),
      value: valueNode(inner, { ...at, path: [...at.path, 'value'] }, problems),
    };
  });
  return { kind: 'kvlist', entries };
}

const inside = (place: Place, more: Path): Place => ({
  ...place,
  path: [...place.path, ...more],
  depth: place.depth + 1,
});

function textNode(text: string, typed: boolean, path: Path, problems: Problem[]): ValueNode {
  if (!text.includes('%')) return { kind: 'constant', value: text };
  if (!typed) return { kind: 'text', leaf: leafOf(text, path, problems) };
  return compiled(path, problems, () => {
    const command = loneCommand(parseFormat(text));
    if (command === undefined) return { kind: 'text', leaf: leafOf(text, path, problems) };
    return { kind: 'typed', piece: pieceOf(command, 'plain') };
  });
}

function leafOf(text: string, path: Path, problems: Problem[]): TextLeaf {
  const node = compiled(path, problems, () => ({
    kind: 'text',
    leaf: templateRenderer(parseFormat(text)),
  }));
  return node.kind === 'text' ? node.leaf : templateRenderer([]);
}

function compiled(path: Path, problems: Problem[], make: () => ValueNode): ValueNode {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    problems.push(problemOf(error, path));
    return { kind: 'constant', value: null };
  }
}

/** Reads `attributes: [{key, value}]`, whose values are strings with operators; `typed: true` keeps a lone one's type. */
export function readAttributes(value: unknown): Reading<readonly KeyNode[]> {
  const problems: Problem[] = [];
  if (!Array.isArray(value)) {
    return {
      value: undefined,
      problems: [{ path: [], message: 'expected a list of {key, value}' }],
    };
  }
  const entries = value.map((entry: unknown, i): KeyNode => {
    const { key, value: text, typed, ...more } = isObject(entry) ? entry : {};
    if (typeof key !== 'string' || key === '') {
      problems.push({ path: [i, 'key'], message: 'key cannot be empty' });
    }
    if (typeof text !== 'string' || text === '') {
      problems.push({ path: [i, 'value'], message: 'value cannot be empty' });
    }
    const [unknown] = Object.keys(more);
    if (unknown !== undefined) {
      problems.push({ path: [i, unknown], message: 'unknown field: expected key, value or typed' });
    }
    return {
      key: leafOf(typeof key === 'string' ? key : '', [i, 'key'], problems),
      value: textNode(typeof text === 'string' ? text : '', typed === true, [i, 'value'], problems),
    };
  });
  return problems.length > 0 ? { value: undefined, problems } : { value: entries, problems };
}

/** Turns every leaf of a tree to a batch. */
export function beginValue(node: ValueNode, batch: Batch): void {
  switch (node.kind) {
    case 'text':
      node.leaf.begin(batch);
      break;
    case 'typed':
      node.piece.begin(batch);
      break;
    case 'array':
      for (const item of node.items) beginValue(item, batch);
      break;
    case 'kvlist':
      for (const { key, value } of node.entries) {
        key.begin(batch);
        beginValue(value, batch);
      }
      break;
    default:
  }
}
