// A format explained: which field each operator fills, what kind of value that is, and what is lost.

import { type InAls, inAls } from './als_gaps.ts';
import { fields } from './fields.ts';
import { type Format, type JsonNode, loneCommand } from './format/format.ts';
import { FormatError } from './format/format_error.ts';
import type { Command, Segment } from './format/grammar.ts';
import type { Alphabet } from './operators.ts';
import { type Finding, findingsOf } from './parse/findings.ts';
import { compileProgram } from './parse/program.ts';
import { type Target, targetOf } from './parse/target.ts';

/** One operator of a format, or a text between operators (then `field` is undefined). */
export type Line = {
  /** The operator with the brackets and quotes around it, or the text in quotes. */
  readonly label: string;
  readonly field: string | undefined;
  readonly what: string;
};

export type Description = {
  readonly title: string | undefined;
  readonly lines: readonly Line[];
  readonly findings: readonly Finding[];
  /** Fields that ALS would carry and this format does not print. */
  readonly missing: readonly string[];
  /** Operators that print nothing for ALS entries, or only if the proxy logs more than it does by itself. */
  readonly neverInAls: readonly string[];
  readonly configuredInAls: readonly string[];
};

/** Describes a format; a pair becomes two descriptions. */
export function describeFormat(format: Format): Description[] {
  if (format.kind === 'pair') {
    const [http, tcp] = [describeFormat(format.http), describeFormat(format.tcp)];
    return [
      ...http.map((one) => ({ ...one, title: 'HTTP' })),
      ...tcp.map((one) => ({ ...one, title: 'TCP' })),
    ];
  }
  const lines = format.kind === 'text' ? textLines(format.segments) : jsonLines(format.root, '');
  const segments = format.kind === 'text' ? [format.segments] : templatesOf(format.root);
  const findings = format.kind === 'text' ? textFindings(format.segments) : segments.flatMap(mixed);
  const printed = new Set(
    segments
      .flat()
      .flatMap((segment) => (typeof segment === 'string' ? [] : [targetOf(segment).field])),
  );
  const missing = [...fields.values()]
    .filter(({ als, name }) => als !== undefined && !printed.has(name))
    .map(({ name }) => name);
  const commands = segments.flat().filter((segment) => typeof segment !== 'string');
  const sources = (known: InAls): string[] => [
    ...new Set(commands.filter((one) => inAls(one) === known).map(({ source }) => source)),
  ];
  return [
    {
      title: undefined,
      lines,
      findings: sorted(findings),
      missing,
      neverInAls: sources('never'),
      configuredInAls: sources('configured'),
    },
  ];
}

const order = ['error', 'warning', 'note'];
const sorted = (findings: readonly Finding[]): Finding[] =>
  [...findings].sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));

function textFindings(segments: readonly Segment[]): Finding[] {
  try {
    return findingsOf(compileProgram(segments));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return [{ severity: 'error', message: error.message }];
  }
}

/** In JSON a value that is one operator is read back whatever it holds; only its losses are worth a word. */
function mixed(segments: readonly Segment[]): Finding[] {
  const found = textFindings(segments);
  return loneCommand(segments) === undefined
    ? found
    : found.filter(({ severity }) => severity !== 'error');
}

function templatesOf(node: JsonNode): (readonly Segment[])[] {
  switch (node.kind) {
    case 'object':
      return node.entries.flatMap(([, value]) => templatesOf(value));
    case 'list':
      return node.items.flatMap(templatesOf);
    case 'template':
      return [node.segments];
    default:
      return [];
  }
}

function textLines(segments: readonly Segment[]): Line[] {
  const lines: Line[] = [];
  segments.forEach((segment, i) => {
    if (typeof segment === 'string') {
      const middle = middleOf(segment, i > 0, i + 1 < segments.length);
      if (middle.trim() !== '')
        lines.push({ label: JSON.stringify(middle), field: undefined, what: '' });
      return;
    }
    const before = segments[i - 1];
    const after = segments[i + 1];
    const left = typeof before === 'string' ? lastWord(before, i > 1) : '';
    const right = typeof after === 'string' ? firstWord(after) : '';
    const label = [left, segment.source, right].filter((part) => part !== '').join(' ');
    lines.push({ label, ...lineOf(segment) });
  });
  return lines;
}

/** What clings to the operator before it; a text without spaces does as a whole. */
const firstWord = (text: string): string => /^\S*/.exec(text)?.[0] ?? '';

/** What clings to the operator after it, unless it clings to the one before already. */
function lastWord(text: string, taken: boolean): string {
  if (taken && !/\s/.test(text)) return '';
  return /\S*$/.exec(text)?.[0] ?? '';
}

/** What stands free between two operators. */
function middleOf(text: string, hasBefore: boolean, hasAfter: boolean): string {
  const start = hasBefore ? firstWord(text).length : 0;
  const end = text.length - (hasAfter ? lastWord(text, hasBefore).length : 0);
  return text.slice(start, Math.max(start, end)).replace(/\n$/, '');
}

function jsonLines(node: JsonNode, key: string): Line[] {
  switch (node.kind) {
    case 'object':
      return node.entries.flatMap(([name, value]) =>
        jsonLines(value, key === '' ? name : `${key}.${name}`),
      );
    case 'list':
      return node.items.flatMap((item, i) => jsonLines(item, `${key}[${i}]`));
    case 'constant':
      return [{ label: `${key}: ${JSON.stringify(node.value)}`, field: undefined, what: '' }];
    default:
      break;
  }
  const command = loneCommand(node.segments);
  if (command !== undefined) return [{ label: `${key}: ${command.source}`, ...lineOf(command) }];
  return textLines(node.segments).map((line) => ({ ...line, label: `${key}: ${line.label}` }));
}

function lineOf(command: Command): { field: string; what: string } {
  const target = targetOf(command);
  if (target.store === 'none') return { field: '-', what: 'not read back' };
  return { field: target.field, what: whatOf(command, target) };
}

const ofAlphabet: Readonly<Record<Alphabet, string>> = {
  digits: 'count',
  duration: 'milliseconds',
  flags: 'list of flags',
  protocol: 'HTTP version',
  method: 'method',
  address: 'address',
  name: 'text without spaces',
  token: 'text without spaces',
  server_name: 'server name',
  id: 'id',
  sentence: 'text without quotes',
  path: 'path',
  authority: 'text without spaces',
  time: 'time, milliseconds',
  free: 'any text',
};

function whatOf({ args }: Command, target: Target): string {
  switch (target.store) {
    case 'time':
      return args.time!.isDefault ? 'time, milliseconds' : 'time';
    case 'number':
      return fields.get(target.field)?.type === 'bytes' ? 'bytes' : ofAlphabet[target.alphabet];
    case 'flags':
    case 'flags_long':
      return 'list of flags';
    case 'direction':
      return 'inbound or outbound';
    case 'grpc':
      return 'gRPC status';
    case 'json':
      return 'text or JSON';
    default:
      return args.time === undefined ? ofAlphabet[target.alphabet] : 'text: not all of the time';
  }
}
