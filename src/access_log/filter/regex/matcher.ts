// Runs a regular expression over bytes as a deterministic machine whose states are made when they are first needed.
// One table look-up per byte, linear in the length of the value whatever the expression, and no string is made.

import { ACCEPT, ASSERT, assertions, BYTE, compileRegex, type Program, SPLIT } from './program.ts';

/** `search`: anywhere in the value; `full`: the whole value; `prefix`: the longest from a given place. */
type Mode = 'search' | 'full' | 'prefix';

const UNKNOWN = 0;
const DEAD = -1;
const FOUND = -2;
/** When there are more states than this, the table is forgotten and built anew: it costs time, never memory. */
const statesMax = 1000;

// What precedes a place decides which assertions hold there.
const AT_START = 0;
const AFTER_WORD = 1;
const AFTER_NEWLINE = 2;
const AFTER_OTHER = 3;

/** A compiled regular expression. Throws a RegexError when the source cannot be read. */
export class Matcher {
  readonly #program: Program;
  readonly #mode: Mode;
  /** Class of each byte: bytes that no instruction tells apart share one. The last class is the end of the value. */
  readonly #classOf: Uint16Array;
  readonly #byteOfClass: number[];
  readonly #stride: number;
  #next: Int32Array;
  /** Whether the expression accepts before the byte of a class is read. */
  #accepts: Uint8Array;
  #states: { readonly places: readonly number[]; readonly before: number }[] = [];
  #ids = new Map<string, number>();
  readonly #seen: Uint32Array;
  #stamp = 0;

  constructor(source: string, mode: Mode) {
    this.#program = compileRegex(source);
    this.#mode = mode;
    const { classOf, byteOfClass } = byteClasses(this.#program);
    this.#classOf = classOf;
    this.#byteOfClass = byteOfClass;
    this.#stride = byteOfClass.length + 1;
    this.#next = new Int32Array(this.#stride * 16);
    this.#accepts = new Uint8Array(this.#stride * 16);
    this.#seen = new Uint32Array(this.#program.kind.length);
    this.#forget();
  }

  /** Whether bytes[start, end) match (modes `search` and `full`). */
  test(bytes: Uint8Array, start: number, end: number): boolean {
    const classOf = this.#classOf;
    const stride = this.#stride;
    let next = this.#next;
    let state = AT_START + 1;
    for (let at = start; at < end; at++) {
      const group = classOf[bytes[at]!]!;
      let to = next[state * stride + group]!;
      if (to <= 0) {
        if (to === UNKNOWN) {
          to = this.#step(state, group);
          next = this.#next;
        }
        if (to === DEAD) return false;
        if (to === FOUND) return true;
      }
      state = to;
    }
    const last = next[state * stride + stride - 1]!;
    return (last === UNKNOWN ? this.#step(state, stride - 1) : last) === FOUND;
  }

  /** The end of the longest match that begins at `at`, or -1 (mode `prefix`). `steps` says what it cost. */
  longest(bytes: Uint8Array, range: { start: number; end: number }, at: number): number {
    const stride = this.#stride;
    let state = at === range.start ? AT_START + 1 : kindOf(bytes[at - 1]!) + 1;
    let found = -1;
    for (let i = at; ; i++) {
      this.steps++;
      const group = i < range.end ? this.#classOf[bytes[i]!]! : stride - 1;
      let to = this.#next[state * stride + group]!;
      // A step may forget the table, the state's number with it: what it accepts is read before.
      if (to === UNKNOWN) {
        to = this.#step(state, group);
        if (this.#accepted) found = i;
      } else if (this.#accepts[state * stride + group] === 1) found = i;
      if (to <= 0 || i >= range.end) return found;
      state = to;
    }
  }

  /** Bytes that `longest` has looked at since it was last set to 0. */
  steps = 0;
  #accepted = false;

  #forget(): void {
    this.#next.fill(UNKNOWN);
    this.#accepts.fill(0);
    this.#states = [{ places: [], before: 0 }];
    this.#ids.clear();
    for (const before of [AT_START, AFTER_WORD, AFTER_NEWLINE, AFTER_OTHER]) {
      this.#stateOf([this.#program.start], before);
    }
  }

  /** What follows `state` on a byte of class `group`; remembered. */
  #step(state: number, group: number): number {
    const { places, before } = this.#states[state]!;
    const atEnd = group === this.#stride - 1;
    const byte = atEnd ? -1 : this.#byteOfClass[group]!;
    const reached: number[] = [];
    this.#accepted = this.#follow(places, before, byte, reached);
    if (this.#accepted && (this.#mode === 'search' || (this.#mode === 'full' && atEnd))) {
      return this.#remember(state, group, FOUND);
    }
    if (atEnd) return this.#remember(state, group, DEAD);
    const onward = reached.map((place) => this.#program.next[place]!);
    if (this.#mode === 'search') onward.push(this.#program.start);
    if (onward.length === 0) return this.#remember(state, group, DEAD);
    if (this.#states.length >= statesMax) {
      this.#forget();
      return this.#stateOf(onward, kindOf(byte));
    }
    return this.#remember(state, group, this.#stateOf(onward, kindOf(byte)));
  }

  #remember(state: number, group: number, to: number): number {
    this.#next[state * this.#stride + group] = to;
    this.#accepts[state * this.#stride + group] = this.#accepted ? 1 : 0;
    return to;
  }

  /** Follows branches and assertions; collects the BYTE instructions that take `byte`. True when ACCEPT is reached. */
  #follow(places: readonly number[], before: number, byte: number, reached: number[]): boolean {
    const { kind, low, high, next, other } = this.#program;
    const stamp = ++this.#stamp;
    const stack = [...places];
    let accepted = false;
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (this.#seen[at] === stamp) continue;
      this.#seen[at] = stamp;
      const is = kind[at];
      if (is === BYTE) {
        if (byte >= low[at]! && byte <= high[at]!) reached.push(at);
      } else if (is === SPLIT) stack.push(next[at]!, other[at]!);
      else if (is === ACCEPT) accepted = true;
      else if (holds(low[at]!, before, byte)) stack.push(next[at]!);
    }
    return accepted;
  }

  #stateOf(places: readonly number[], before: number): number {
    const sorted = [...new Set(places)].sort((a, b) => a - b);
    const key = `${before}:${sorted.join()}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#states.length;
    this.#states.push({ places: sorted, before });
    this.#ids.set(key, id);
    if ((id + 1) * this.#stride > this.#next.length) {
      const next = new Int32Array(this.#next.length * 2);
      next.set(this.#next);
      this.#next = next;
      const accepts = new Uint8Array(next.length);
      accepts.set(this.#accepts);
      this.#accepts = accepts;
    }
    return id;
  }
}

const isWord = (byte: number): boolean =>
  (byte >= 48 && byte <= 57) ||
  (byte >= 65 && byte <= 90) ||
  byte === 95 ||
  (byte >= 97 && byte <= 122);

const kindOf = (byte: number): number =>
  isWord(byte) ? AFTER_WORD : byte === 10 ? AFTER_NEWLINE : AFTER_OTHER;

/** Whether an assertion holds between what was before and `byte` (-1 at the end). */
function holds(assertion: number, before: number, byte: number): boolean {
  switch (assertions[assertion]) {
    case 'text_start':
      return before === AT_START;
    case 'text_end':
      return byte === -1;
    case 'line_start':
      return before === AT_START || before === AFTER_NEWLINE;
    case 'line_end':
      return byte === -1 || byte === 10;
    case 'word_edge':
      return (before === AFTER_WORD) !== isWord(byte);
    default:
      return (before === AFTER_WORD) === isWord(byte);
  }
}

function byteClasses(program: Program): { classOf: Uint16Array; byteOfClass: number[] } {
  const starts = new Uint8Array(258);
  starts[0] = 1;
  for (let i = 0; i < program.kind.length; i++) {
    if (program.kind[i] === BYTE) {
      starts[program.low[i]!] = 1;
      starts[program.high[i]! + 1] = 1;
    } else if (program.kind[i] === ASSERT) {
      for (const edge of [10, 11, 48, 58, 65, 91, 95, 96, 97, 123]) starts[edge] = 1;
    }
  }
  const classOf = new Uint16Array(256);
  const byteOfClass: number[] = [];
  for (let byte = 0; byte < 256; byte++) {
    if (starts[byte] === 1) byteOfClass.push(byte);
    classOf[byte] = byteOfClass.length - 1;
  }
  return { classOf, byteOfClass };
}
