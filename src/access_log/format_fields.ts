// Formats, bodies and attributes as kinds of configuration fields (config/fields.ts has the other kinds). Each takes the
// words of its component (`json`, `original`, `all` ...) besides what formats are.

import { z } from 'zod';
import { type KeyNode, readAttributes, readBody, type ValueNode } from './any_value.ts';
import { kumaDefault, parseFormatConfig } from './format/config.ts';
import type { Format, NamedFormat } from './format/format.ts';
import { FormatError } from './format/format_error.ts';
import { parseFormat } from './format/grammar.ts';
import { envoyJson } from './format/json_format.ts';
import type { Problem } from './format/problem.ts';
import { lineParserFor } from './format_parser.ts';
import { istioLabels, namedTexts } from './formats.ts';
import { compileRenderer } from './renderer.ts';

type Issues = z.core.$RefinementCtx<unknown>;

function report(context: Issues, problems: readonly Problem[]): void {
  for (const { message, path } of problems) {
    context.addIssue({ code: 'custom', message, path: [...path] });
  }
}

function reportError(context: Issues, error: unknown): void {
  if (!(error instanceof FormatError)) throw error;
  context.addIssue({ code: 'custom', message: error.message });
}

/** Whether a value is one of a component's own words. */
const isWord = <W extends string>(value: unknown, words: readonly W[]): value is W =>
  typeof value === 'string' && (words as readonly string[]).includes(value);

/** Names that the parse processor reads itself. */
const processorNames = ['auto', 'json', 'istio_json', 'als_json', 'cri'] as const;

/** How lines are written that come in: a name, a format string, or a format object. */
export function parseFormatField() {
  return z
    .unknown()
    .transform((value, context): Format | NamedFormat => {
      const { format, problems } = parseFormatConfig(value);
      report(context, problems);
      if (format === undefined) return z.NEVER;
      if (format.kind === 'named' && isWord(format.name, processorNames)) return format;
      try {
        lineParserFor(format);
      } catch (error) {
        reportError(context, error);
      }
      return format;
    })
    .meta({ kind: 'format' });
}

/** How records are written: one of `words`, or a format. Formats that have names are resolved. */
export function lineFormatField<W extends string>(words: readonly W[]) {
  return z
    .unknown()
    .transform((value, context): W | Format => {
      if (isWord(value, words)) return value;
      const { format, problems } = parseFormatConfig(value);
      report(context, problems);
      if (format === undefined) return z.NEVER;
      const resolved = format.kind === 'named' ? namedFormat(format.name) : format;
      if (resolved === undefined) {
        const message = `${JSON.stringify(value)} is no format for writing: expected ${words.join(', ')} or a format`;
        context.addIssue({ code: 'custom', message });
        return z.NEVER;
      }
      try {
        compileRenderer(resolved);
      } catch (error) {
        reportError(context, error);
      }
      return resolved;
    })
    .meta({ kind: 'format' });
}

/** The format behind a name, when it can be written. Of several variants the latest. */
export function namedFormat(name: string): Format | undefined {
  if (name === 'istio_json') return envoyJson(istioLabels, [], [], false);
  if (name === 'kuma_http' || name === 'kuma_tcp') {
    const pair = kumaDefault();
    if (pair.kind === 'pair') return name === 'kuma_http' ? pair.http : pair.tcp;
  }
  const text = namedTexts[name]?.[0]?.[1];
  if (text === undefined) return undefined;
  return { kind: 'text', text, segments: parseFormat(text), omitEmpty: false };
}

/** An OTLP body: one of `words`, or an AnyValue with operators in its strings. */
export function bodyField<W extends string>(words: readonly W[]) {
  return z
    .unknown()
    .transform((value, context): W | ValueNode => {
      if (isWord(value, words)) return value;
      if (typeof value === 'string' && !value.includes('%')) {
        const message = `${JSON.stringify(value)} is no body: expected ${words.join(', ')}, or an object such as {stringValue: "%KUMA_MESH%"}`;
        context.addIssue({ code: 'custom', message });
        return z.NEVER;
      }
      const { value: node, problems } = readBody(value);
      report(context, problems);
      return node ?? z.NEVER;
    })
    .meta({ kind: 'body' });
}

/** OTLP attributes: one of `words`, or a list of {key, value, typed}. */
export function attributesField<W extends string>(words: readonly W[]) {
  return z
    .unknown()
    .transform((value, context): W | readonly KeyNode[] => {
      if (isWord(value, words)) return value;
      const { value: entries, problems } = readAttributes(value);
      report(context, problems);
      return entries ?? z.NEVER;
    })
    .meta({ kind: 'attributes' });
}
