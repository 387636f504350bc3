// What is wrong with a configuration, where, and how it is shown.

import { styleText } from 'node:util';
import { lineSpan, type Place, positionOf, type Source } from './source.ts';
import { visible } from './words.ts';

export type Problem = {
  readonly file: string;
  /** From 1. 0: the problem is with the file as a whole. */
  readonly line: number;
  readonly column: number;
  /** The whole text after the position, path included. */
  readonly message: string;
  /** The line in question and what to underline in it; secrets are blotted out. */
  readonly excerpt?: { readonly text: string; readonly from: number; readonly length: number };
};

const excerptColumnsMax = 110;
const shownMax = 100;

const looksSecret =
  /((?:^|[\s{,"'])[\w.-]*(?:password|passwd|secret|token|authorization|credential|api[_-]?key)[\w.-]*["']?\s*:\s*)([^\s#].*)$/i;

export function toProblem(place: Place, message: string, secrets: readonly Place[]): Problem {
  const { source, start, end } = place;
  const { line, column } = positionOf(source, start);
  const problem = { file: source.file, line, column, message };
  if (end === start) return problem;
  return { ...problem, ...excerptOf(source, line, { column, length: end - start }, secrets) };
}

function excerptOf(
  source: Source,
  line: number,
  mark: { column: number; length: number },
  secrets: readonly Place[],
): Pick<Problem, 'excerpt'> {
  const { start, end } = lineSpan(source, line);
  let text = source.text.slice(start, end);
  for (const secret of secrets) {
    if (secret.source !== source || secret.start >= end || secret.end <= start) continue;
    const from = Math.max(0, secret.start - start);
    const until = Math.min(text.length, secret.end - start);
    if (!text.slice(from, until).includes('${')) {
      text = text.slice(0, from) + '*'.repeat(until - from) + text.slice(until);
    }
  }
  text = text.replace(looksSecret, (_, key: string, value: string) =>
    /^["']?\$\{|^[[{]/.test(value) ? key + value : key + '*'.repeat(value.length),
  );
  const cut = Math.max(0, Math.min(mark.column - 30, text.length - excerptColumnsMax));
  const from = mark.column - 1 - cut;
  text = visible(text.slice(cut, cut + excerptColumnsMax));
  if (text.trim() === '') return {};
  const length = Math.max(1, Math.min(mark.length, text.trimEnd().length - from));
  return { excerpt: { text, from, length } };
}

/** Where a problem is, as editors and compilers write it: `config.yaml:12:7`. */
export function positionText(problem: Problem): string {
  return problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`;
}

export type Look = {
  /** Colours are used when this stream is a terminal and NO_COLOR is not set. */
  readonly stream?: NodeJS.WriteStream;
  /** `warning: ` in front of each. */
  readonly warning?: boolean;
};

/** Each problem on a line, with the line of the file and a caret below. Ends with a newline. */
export function formatProblems(problems: readonly Problem[], look: Look = {}): string {
  const style = (format: 'red' | 'yellow' | 'bold' | 'dim', text: string): string =>
    look.stream === undefined ? text : styleText(format, text, { stream: look.stream });
  const color = look.warning === true ? 'yellow' : 'red';
  let out = '';
  for (const problem of problems.slice(0, shownMax)) {
    const word = look.warning === true ? `${style('yellow', 'warning')}: ` : '';
    out += `${style('bold', `${positionText(problem)}:`)} ${word}${visible(problem.message)}\n`;
    if (problem.excerpt === undefined) continue;
    const { text, from, length } = problem.excerpt;
    const number = String(problem.line).padStart(6);
    out += `${style('dim', `${number} |`)} ${text}\n`;
    out += `${style('dim', '       |')} ${' '.repeat(from)}${style(color, '^'.repeat(length))}\n`;
  }
  const rest = problems.length - shownMax;
  return rest > 0 ? `${out}and ${rest} more\n` : out;
}

/** The whole report of a configuration that is refused. */
export function formatRefusal(problems: readonly Problem[], look: Look = {}): string {
  const files = [...new Set(problems.map(({ file }) => file))].join(', ');
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  const report = `${files}: ${count}, nothing was started\n\n${formatProblems(problems, look)}`;
  const unknown = problems.find(({ message }) => message.includes(': unknown field'));
  const type = /^(?:receivers|processors|exporters)\.([A-Za-z0-9_]+)/.exec(
    unknown?.message ?? '',
  )?.[1];
  return type === undefined ? report : `${report}\nmeshlog docs ${type} shows every field.\n`;
}
