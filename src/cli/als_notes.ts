// What `meshlog check` says about formats that are fed from Envoy's access log service: it does not carry everything
// that an operator can print (envoy.md section 2.5).

import { inAls } from '../access_log/als_gaps.ts';
import { parseFormat } from '../access_log/format/grammar.ts';
import { namedTexts } from '../access_log/formats.ts';
import type { Config, Instance } from '../config/config.ts';

/** One line per exporter and kind of gap; none when no pipeline has an `envoy_als` receiver. */
export function alsNotes(config: Config): string[] {
  const isAls = (id: string): boolean =>
    config.receivers.some((receiver) => receiver.id === id && receiver.type === 'envoy_als');
  const fed = config.pipelines.filter(({ receivers }) => receivers.some(isAls));
  const ids = new Set(fed.flatMap(({ exporters }) => exporters));
  return config.exporters.filter(({ id }) => ids.has(id)).flatMap(notesOf);
}

function notesOf({ id, raw }: Instance): string[] {
  const { format, body, attributes } = (raw ?? {}) as Record<string, unknown>;
  const never = new Set<string>();
  const configured = new Set<string>();
  for (const text of [format, body, attributes].flatMap((part) => templatesIn(part, 0))) {
    for (const segment of segmentsOf(text)) {
      if (typeof segment === 'string') continue;
      const known = inAls(segment);
      if (known === 'never') never.add(`%${segment.source}%`);
      if (known === 'configured') configured.add(`%${segment.source}%`);
    }
  }
  const note = (operators: Set<string>, why: string): string[] =>
    operators.size === 0 ? [] : [`exporters.${id}: ${[...operators].join(' ')} ${why}`];
  return [
    ...note(never, 'is not carried by envoy_als: printed as absent'),
    ...note(configured, "is carried by envoy_als only if the proxy's logger is told to add it"),
  ];
}

const depthMax = 16;

/** Every text with operators in a part of a configuration; names of formats stand for their text. */
function templatesIn(part: unknown, depth: number): string[] {
  if (typeof part === 'string') {
    return part.includes('%')
      ? [part]
      : (namedTexts[part] ?? []).slice(0, 1).map(([, text]) => text);
  }
  if (typeof part !== 'object' || part === null || depth > depthMax) return [];
  return Object.values(part).flatMap((inner) => templatesIn(inner, depth + 1));
}

function segmentsOf(text: string): ReturnType<typeof parseFormat> {
  try {
    return parseFormat(text);
  } catch {
    // What cannot be parsed was reported as a problem, or is no template.
    return [];
  }
}
