// Regular expressions in RE2's syntax, which Envoy, Istio and Gloo use, read into a tree. Look-around and
// back-references do not exist there, and neither do they here: what remains can be matched in linear time.

import {
  digit,
  everything,
  foldCase,
  inverted,
  posix,
  type Ranges,
  space,
  unicodeClass,
  unite,
  word,
} from './classes.ts';

export type Assertion =
  | 'text_start'
  | 'text_end'
  | 'line_start'
  | 'line_end'
  | 'word_edge'
  | 'no_word_edge';

export type RegexNode =
  | { readonly kind: 'set'; readonly ranges: Ranges }
  | { readonly kind: 'sequence'; readonly items: readonly RegexNode[] }
  | { readonly kind: 'choice'; readonly items: readonly RegexNode[] }
  | {
      readonly kind: 'repeat';
      readonly item: RegexNode;
      readonly min: number;
      readonly max: number;
    }
  | { readonly kind: 'assert'; readonly what: Assertion };

/** A regular expression that cannot be read; `offset` is the character where reading stopped. */
export class RegexError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.name = 'RegexError';
    this.offset = offset;
  }
}

type Flags = { readonly ignoreCase: boolean; readonly dotAll: boolean; readonly lines: boolean };

/** RE2's own bound on `{n,m}`. */
const repeatMax = 1000;
const depthMax = 200;

const controls: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };

/** Reads a regular expression, or throws a RegexError. */
export function parseRegex(source: string): RegexNode {
  return new Reader(source).whole();
}

class Reader {
  readonly #source: string;
  #at = 0;
  #depth = 0;
  #flags: Flags = { ignoreCase: false, dotAll: false, lines: false };

  constructor(source: string) {
    this.#source = source;
  }

  whole(): RegexNode {
    const node = this.#choice();
    if (this.#at < this.#source.length) this.#fail('unexpected )');
    return node;
  }

  #fail(message: string): never {
    throw new RegexError(message, this.#at);
  }

  #takes(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #next(): string {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined) this.#fail('unexpected end');
    const char = String.fromCodePoint(code);
    this.#at += char.length;
    return char;
  }

  #choice(): RegexNode {
    if (++this.#depth > depthMax) this.#fail('nested too deeply');
    const items = [this.#sequence()];
    while (this.#takes('|')) items.push(this.#sequence());
    this.#depth--;
    return items.length === 1 ? items[0]! : { kind: 'choice', items };
  }

  #sequence(): RegexNode {
    const items: RegexNode[] = [];
    while (this.#at < this.#source.length) {
      const char = this.#source[this.#at];
      if (char === '|' || char === ')') break;
      const item = this.#atom();
      if (item !== undefined) items.push(this.#repeated(item));
    }
    return items.length === 1 ? items[0]! : { kind: 'sequence', items };
  }

  #repeated(item: RegexNode): RegexNode {
    let node = item;
    for (;;) {
      const bounds = this.#bounds();
      if (bounds === undefined) return node;
      // Whether it is lazy changes what is captured, never whether it matches.
      this.#takes('?');
      node = { kind: 'repeat', item: node, min: bounds[0], max: bounds[1] };
    }
  }

  #bounds(): [number, number] | undefined {
    if (this.#takes('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#takes('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#takes('?')) return [0, 1];
    const braces = /^\{(\d+)(?:(,)(\d*))?\}/.exec(this.#source.slice(this.#at, this.#at + 16));
    if (braces === null) return undefined;
    const min = Number(braces[1]);
    const open = braces[2] !== undefined && braces[3] === '';
    const max = open ? Number.POSITIVE_INFINITY : Number(braces[3] ?? braces[1]);
    if (min > repeatMax || (max > repeatMax && !open) || max < min) {
      this.#fail(`bad repetition ${braces[0]}`);
    }
    this.#at += braces[0].length;
    return [min, max];
  }

  #atom(): RegexNode | undefined {
    if (this.#takes('(')) return this.#group();
    if (this.#takes('[')) return this.#class();
    const start = this.#at;
    const char = this.#next();
    if (char === '\\') return this.#escape();
    if (char === '.') {
      return set(this.#flags.dotAll ? everything : inverted([[10, 10]]));
    }
    if (char === '^') return assertion(this.#flags.lines ? 'line_start' : 'text_start');
    if (char === '$') return assertion(this.#flags.lines ? 'line_end' : 'text_end');
    if (char === '*' || char === '+' || char === '?') {
      this.#at = start;
      this.#fail(`nothing to repeat before ${char}`);
    }
    return this.#literal(char.codePointAt(0)!);
  }

  #literal(code: number): RegexNode {
    return set(this.#folded([[code, code]]));
  }

  #folded(ranges: Ranges): Ranges {
    return this.#flags.ignoreCase ? foldCase(ranges) : ranges;
  }

  /** After `(`. Undefined: the group only set flags. */
  #group(): RegexNode | undefined {
    const outer = this.#flags;
    if (this.#takes('?')) {
      const name = /^P?<([A-Za-z_]\w*)>/.exec(this.#source.slice(this.#at, this.#at + 80));
      if (name !== null) this.#at += name[0].length;
      else if (this.#setsFlags()) return undefined;
    }
    const node = this.#choice();
    if (!this.#takes(')')) this.#fail('missing )');
    this.#flags = outer;
    return node;
  }

  /** After `(?`: `i-s)` sets flags for the rest of the group around, `i:` for this group. */
  #setsFlags(): boolean {
    const match = /^([imsU]*)(?:-([imsU]+))?([:)])/.exec(
      this.#source.slice(this.#at, this.#at + 16),
    );
    if (match === null) this.#fail('look-around and back-references are not supported');
    const [text, on = '', off = '', end] = match;
    const has = (flag: string, before: boolean): boolean =>
      off.includes(flag) ? false : on.includes(flag) || before;
    this.#flags = {
      ignoreCase: has('i', this.#flags.ignoreCase),
      dotAll: has('s', this.#flags.dotAll),
      lines: has('m', this.#flags.lines),
    };
    this.#at += text.length;
    return end === ')';
  }

  /** After a backslash, outside of a class. */
  #escape(): RegexNode {
    if (this.#takes('Q')) return this.#quoted();
    if (this.#takes('A')) return assertion('text_start');
    if (this.#takes('z')) return assertion('text_end');
    if (this.#takes('b')) return assertion('word_edge');
    if (this.#takes('B')) return assertion('no_word_edge');
    const ranges = this.#classEscape();
    if (ranges !== undefined) return set(this.#folded(ranges));
    return this.#literal(this.#escapedCode());
  }

  #quoted(): RegexNode {
    const end = this.#source.indexOf('\\E', this.#at);
    const text = this.#source.slice(this.#at, end < 0 ? undefined : end);
    this.#at = end < 0 ? this.#source.length : end + 2;
    const items = Array.from(text, (char) => this.#literal(char.codePointAt(0)!));
    return items.length === 1 ? items[0]! : { kind: 'sequence', items };
  }

  /** `\d \w \s \pL` and their opposites; undefined when the escape is one character. */
  #classEscape(): Ranges | undefined {
    const letter = this.#source[this.#at] ?? '';
    const simple = { d: digit, w: word, s: space }[letter.toLowerCase()];
    if (simple !== undefined) {
      this.#at++;
      return letter === letter.toLowerCase() ? simple : inverted(simple);
    }
    if (letter !== 'p' && letter !== 'P') return undefined;
    const match = /^[pP](?:\{(\^?)(\w+)\}|(\w))/.exec(this.#source.slice(this.#at, this.#at + 40));
    if (match === null) this.#fail('bad character class');
    const ranges = unicodeClass(match[2] ?? match[3] ?? '');
    if (ranges === undefined) this.#fail(`unknown character class \\${match[0]}`);
    this.#at += match[0].length;
    return (letter === 'P') !== (match[1] === '^') ? inverted(ranges) : ranges;
  }

  #escapedCode(): number {
    const rest = this.#source.slice(this.#at, this.#at + 12);
    const hex = /^x(?:([0-9a-f]{2})|\{([0-9a-f]{1,6})\})/i.exec(rest);
    if (hex !== null) {
      this.#at += hex[0].length;
      const code = Number.parseInt(hex[1] ?? hex[2]!, 16);
      if (code > 0x10ffff) this.#fail('bad character code');
      return code;
    }
    const octal = /^(?:0[0-7]{0,2}|[1-7][0-7]{2})/.exec(rest);
    if (octal !== null) {
      this.#at += octal[0].length;
      return Number.parseInt(octal[0], 8);
    }
    const char = this.#next();
    const control = controls[char];
    if (control !== undefined) return control;
    if (/[A-Za-z0-9]/.test(char)) {
      this.#at -= char.length;
      this.#fail(`bad escape \\${char}`);
    }
    return char.codePointAt(0)!;
  }

  /** After `[`. */
  #class(): RegexNode {
    const start = this.#at;
    const negated = this.#takes('^');
    const ranges: (readonly [number, number])[] = [];
    for (let first = true; ; first = false) {
      if (this.#at >= this.#source.length) {
        this.#at = start;
        this.#fail('missing ]');
      }
      if (!first && this.#takes(']')) break;
      ranges.push(...this.#classItem());
    }
    const united = this.#folded(unite(ranges));
    return set(negated ? inverted(united) : united);
  }

  #classItem(): Ranges {
    const named = /^\[:(\^?)(\w+):\]/.exec(this.#source.slice(this.#at, this.#at + 16));
    if (named !== null) {
      const ranges = posix[named[2]!];
      if (ranges === undefined) this.#fail(`unknown character class ${named[0]}`);
      this.#at += named[0].length;
      return named[1] === '^' ? inverted(ranges) : ranges;
    }
    const from = this.#classChar();
    if (typeof from !== 'number') return from;
    if (this.#source[this.#at] !== '-' || this.#source[this.#at + 1] === ']') return [[from, from]];
    this.#at++;
    const to = this.#classChar();
    if (typeof to !== 'number' || to < from) this.#fail('bad range in [...]');
    return [[from, to]];
  }

  #classChar(): number | Ranges {
    const char = this.#next();
    if (char !== '\\') return char.codePointAt(0)!;
    return this.#classEscape() ?? this.#escapedCode();
  }
}

const set = (ranges: Ranges): RegexNode => ({ kind: 'set', ranges });
const assertion = (what: Assertion): RegexNode => ({ kind: 'assert', what });
