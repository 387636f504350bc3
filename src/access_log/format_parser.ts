// The parser of every format: what the `parse` processor and `meshlog parse` ask for.

import { parseFormatConfig } from './format/config.ts';
import type { Format, NamedFormat, TextFormat } from './format/format.ts';
import { FormatError } from './format/format_error.ts';
import { type FormatName, namedTexts } from './formats.ts';
import type { LineParser } from './line_parser.ts';
import { type ChoiceParser, choiceParser } from './parse/choice.ts';
import { refuseErrors } from './parse/findings.ts';
import { jsonFormatParser } from './parse/json_format_parser.ts';
import { compileProgram, compileText } from './parse/program.ts';
import { type TextParser, textParser } from './parse/text_parser.ts';
import { ztunnelParser } from './parse/ztunnel.ts';

/**
 * The parser of a format: a name of formats.ts that stands for text, an inline format string, a format object, or what
 * parseFormatConfig made of one. Throws FormatError for what cannot be read back. `auto`, `json`, `istio_json`,
 * `als_json` and `cri` are not here: the processor reads them itself (`auto` asks `autoTextParser` for lines that are
 * no JSON).
 */
export function lineParserFor(format: unknown): LineParser {
  if (isRead(format)) return parserOf(format);
  const { format: read, problems } = parseFormatConfig(format);
  const [problem] = problems;
  if (problem !== undefined) throw new FormatError(problem.message);
  return parserOf(read!);
}

function isRead(format: unknown): format is Format | NamedFormat {
  const kind = (format as { kind?: unknown } | null)?.kind;
  return kind === 'text' || kind === 'json' || kind === 'pair' || kind === 'named';
}

function parserOf(format: Format | NamedFormat): LineParser {
  switch (format.kind) {
    case 'named':
      return namedParser(format.name);
    case 'text':
      return ofText('inline', format);
    case 'json':
      return jsonFormatParser('inline', format);
    case 'pair':
      return choiceParser('kuma', [
        ...(format.http.kind === 'text' ? [ofText('Kuma, HTTP', format.http)] : []),
        ...(format.tcp.kind === 'text' ? [ofText('Kuma, TCP', format.tcp)] : []),
        ...texts('kuma_http'),
      ]);
  }
}

function ofText(name: string, format: TextFormat): TextParser {
  const program = refuseErrors(compileProgram(format.segments));
  return textParser(name, program, { emptyIsAbsent: format.omitEmpty });
}

function texts(name: string): TextParser[] {
  return (namedTexts[name] ?? []).map(([what, text]) => textParser(what, compileText(text)));
}

function namedParser(name: string): LineParser {
  if (name === 'ztunnel') return ztunnelParser();
  const parsers = texts(name);
  if (parsers.length === 0) throw new FormatError(`${name} is no text format`);
  return parsers.length === 1 ? parsers[0]! : choiceParser(name, parsers);
}

/** Text formats in the order in which `auto` asks them. */
const autoNames: readonly FormatName[] = ['istio_text', 'envoy', 'kuma_http', 'kuma_tcp'];

/** A parser for lines of any named text format that begins with a time in brackets. It remembers what fitted. */
export function autoTextParser(): ChoiceParser {
  return choiceParser(
    'auto',
    autoNames.flatMap((name) => texts(name)),
  );
}

/** What a line may be, by its first bytes and without reading it. */
export type Glance = 'json' | 'text' | 'ztunnel' | 'cri' | 'unknown';

/** A first look at bytes[start, end): which family of formats to try. */
export function glance(bytes: Buffer, start: number, end: number): Glance {
  const first = bytes[start];
  if (end - start < 2) return 'unknown';
  if (first === 123) return 'json';
  if (first === 91) return 'text';
  if (first === undefined || first < 48 || first > 57) return 'unknown';
  // Both begin with a time; CRI goes on with the name of a stream.
  let at = start;
  while (at < end && at < start + 40 && bytes[at] !== 32 && bytes[at] !== 9) at++;
  const stream = bytes.latin1Slice(at + 1, Math.min(at + 5, end));
  if (bytes[at] === 32 && (stream === 'stdo' || stream === 'stde')) return 'cri';
  return bytes[start + 10] === 84 ? 'ztunnel' : 'unknown';
}
