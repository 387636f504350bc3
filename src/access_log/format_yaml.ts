// One format in the words of Istio, Kuma and Envoy.

import { stringify } from 'yaml';
import type { Format, JsonFormat, JsonNode, TextFormat } from './format/format.ts';
import type { Segment } from './format/grammar.ts';

export type Dialects = { readonly istio: string; readonly kuma: string; readonly envoy: string };

/** YAML for each; of a pair the part for HTTP. */
export function formatYaml(format: Format): Dialects {
  const one = format.kind === 'pair' ? format.http : format;
  return one.kind === 'text' ? ofText(one) : ofJson(one);
}

const yaml = (value: unknown): string => stringify(value, { lineWidth: 0 });

function ofText({ text, omitEmpty }: TextFormat): Dialects {
  const line = text.endsWith('\n') ? text : `${text}\n`;
  const plain = text.replace(/\n$/, '');
  return {
    istio: yaml({ meshConfig: { accessLogFile: '/dev/stdout', accessLogFormat: line } }),
    kuma: yaml({
      format: { type: 'Plain', plain, ...(omitEmpty ? { omitEmptyValues: true } : {}) },
    }),
    envoy: yaml({
      log_format: {
        text_format_source: { inline_string: line },
        ...(omitEmpty ? { omit_empty_values: true } : {}),
      },
    }),
  };
}

function ofJson({ root, omitEmpty }: JsonFormat): Dialects {
  const value = plainOf(root);
  const accessLogFormat = JSON.stringify(value);
  const isFlat = root.kind === 'object' && root.entries.every(([, node]) => isString(node));
  const json =
    root.kind === 'object'
      ? root.entries.map(([key, node]) => ({ key, value: String(plainOf(node)) }))
      : [];
  return {
    istio: yaml({
      meshConfig: { accessLogFile: '/dev/stdout', accessLogEncoding: 'JSON', accessLogFormat },
    }),
    kuma: isFlat
      ? yaml({ format: { type: 'Json', json, ...(omitEmpty ? { omitEmptyValues: true } : {}) } })
      : '# not possible: Kuma has a flat list of keys only\n',
    envoy: yaml({
      log_format: { json_format: value, ...(omitEmpty ? { omit_empty_values: true } : {}) },
    }),
  };
}

const isString = (node: JsonNode): boolean =>
  node.kind === 'template' || (node.kind === 'constant' && typeof node.value === 'string');

function plainOf(node: JsonNode): unknown {
  switch (node.kind) {
    case 'object':
      return Object.fromEntries(node.entries.map(([key, inner]) => [key, plainOf(inner)]));
    case 'list':
      return node.items.map(plainOf);
    case 'template':
      return sourceOf(node.segments);
    case 'constant':
      return typeof node.value === 'string' ? node.value.replaceAll('%', '%%') : node.value;
  }
}

/** Segments as a format string. */
export function sourceOf(segments: readonly Segment[]): string {
  return segments
    .map((part) => (typeof part === 'string' ? part.replaceAll('%', '%%') : `%${part.source}%`))
    .join('');
}
