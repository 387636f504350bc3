// Format strings taken apart: text and command operators, as Envoy reads them (envoy.md's grammar is Envoy's own
// recogniser). What Kuma says about a bad format is in kuma_words.ts.

import { didYouMean } from '../../config/words.ts';
import { type Operator, operators } from '../operators.ts';
import { type Arguments, readArguments } from './arguments.ts';
import { FormatError } from './format_error.ts';
import { kumaWords } from './kuma_words.ts';

/** `%NAME(params):length%`, understood. */
export type Command = {
  readonly operator: Operator;
  readonly params: string;
  /** `:Z`: bytes that are printed at most. */
  readonly length: number | undefined;
  readonly args: Arguments;
  /** As written, without the percent signs. */
  readonly source: string;
  /** Where its first percent sign stands. */
  readonly position: number;
};

/** Text that is printed as it stands, or a command. */
export type Segment = string | Command;

/** Whose words are used for what is wrong. */
export type Dialect = 'envoy' | 'kuma';

const recogniser = /%([A-Z0-9_]+)(?:\(([^\n]*?)\))?(?::([0-9]+))?%/y;

/** Takes a format string apart. Neighbouring texts are one segment. Throws FormatError. */
export function parseFormat(text: string, dialect: Dialect = 'envoy'): Segment[] {
  const segments: Segment[] = [];
  let literal = '';
  for (let at = 0; at < text.length; ) {
    const percent = text.indexOf('%', at);
    if (percent < 0) {
      literal += text.slice(at);
      break;
    }
    literal += text.slice(at, percent);
    if (text[percent + 1] === '%') {
      literal += '%';
      at = percent + 2;
      continue;
    }
    if (literal !== '') segments.push(literal);
    literal = '';
    const command = commandAt(text, percent, dialect);
    segments.push(command);
    at = percent + command.source.length + 2;
  }
  if (literal !== '') segments.push(literal);
  return segments;
}

/** One operator written without percent signs: `REQ(:METHOD):10`. Throws FormatError. */
export function parseCommand(source: string): Command {
  const text = `%${source}%`;
  const command = commandAt(text, 0, 'envoy');
  if (command.source === source) return command;
  throw new FormatError(`'${source}' is no command operator`, 0);
}

function commandAt(text: string, position: number, dialect: Dialect): Command {
  recogniser.lastIndex = position;
  const match = recogniser.exec(text);
  if (match === null) {
    const at = Buffer.byteLength(text.slice(0, position));
    const envoys = `Incorrect configuration: ${text}. Couldn't find valid command at position ${at}`;
    throw new FormatError(dialect === 'kuma' ? kumaWords({ text, position }) : envoys, position);
  }
  const [whole, name = '', params, length] = match;
  try {
    return understand(name, params ?? '', length, whole.slice(1, -1), position);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const words = { text, position, name, params, length, whole, envoys: error.message };
    const message = dialect === 'kuma' ? kumaWords(words) : error.message;
    throw new FormatError(message, position, error.hint);
  }
}

function understand(
  name: string,
  params: string,
  lengthText: string | undefined,
  source: string,
  position: number,
): Command {
  const operator = operators.get(name);
  if (operator === undefined) {
    const hint = didYouMean(name, operators.keys());
    throw new FormatError(`Not supported field in StreamInfo: ${name}`, position, hint);
  }
  const length = lengthText === undefined ? undefined : Number(lengthText);
  if (length !== undefined && !Number.isSafeInteger(length)) {
    throw new FormatError(`Length must be an integer, given: ${lengthText}`);
  }
  const problem = syntaxProblem(operator, params, length);
  if (problem !== undefined) throw new FormatError(problem);
  const args = readArguments(operator, params);
  if (args.choices !== undefined) args.choices.forEach(parseCommand);
  return { operator, params, length, args, source, position };
}

/** What is wrong with there being parameters or a length, or with there being none; in Envoy's words. */
export function syntaxProblem(
  operator: Pick<Operator, 'name' | 'params' | 'length'>,
  params: string,
  length: number | undefined,
): string | undefined {
  const { name } = operator;
  const bare = operator.params === '-' && !operator.length;
  if (bare && (params !== '' || length !== undefined)) {
    return `${name} does not take any parameters or length`;
  }
  if (operator.params === 'x!' && params === '') return `${name} requires parameters`;
  if (!operator.length && length !== undefined) {
    return `${name} does not allow length to be specified.`;
  }
  return undefined;
}
