// Four or eight bytes at a time. Positions are kept 32-bit (`| 0`): the compiler then neither checks for overflow nor converts.
// A read may reach 3 bytes beyond what it is about, which a batch's slack allows for.

/** The first position from `at` on that holds a quote, a backslash or a control character; `end` or more: none. */
export function endOfPlainText(view: DataView, at: number, end: number): number {
  let i = at | 0;
  for (; i < end; i = (i + 4) | 0) {
    const word = view.getInt32(i, true);
    // Flipping one bit puts the quote next to the control characters, with space and `!` out of the way, so that one
    // subtraction finds both: the lowest byte that borrowed is exact.
    const low = (word ^ 0x02020202) - 0x21212121;
    const slash = (word ^ 0x5c5c5c5c) - 0x01010101;
    const marks = (low | slash) & ~word & 0x80808080;
    if (marks !== 0) return (i + ((31 - Math.clz32(marks & -marks)) >> 3)) | 0;
  }
  return i;
}

/**
 * Bytes that are looked for, eight at a time as one double: with half the reads of four at a time. The words begin at
 * `word`; that at `last` holds the last eight bytes, which begin at `end` and may overlap those before. Fewer than
 * eight bytes are `low` and, from `end` on, `high`.
 */
export type Pattern = {
  readonly length: number;
  readonly word: number;
  readonly last: number;
  readonly end: number;
  readonly low: number;
  readonly high: number;
};

/** All of one shape. */
const patternOf = (length: number, rest: Omit<Pattern, 'length'>): Pattern => {
  const { word, last, end, low, high } = rest;
  return { length, word, last, end, low, high };
};

/** The pattern that is found nowhere: four bytes would have to be two numbers. */
export const noPattern = patternOf(0, { word: 0, last: 0, end: 0, low: 0, high: 1 });

/** Patterns in one array, so that comparing follows no pointers. */
export class Patterns {
  words = new Float64Array(512);
  #used = 0;

  clear(): void {
    this.#used = 0;
  }

  /** Keeps a pattern; its text is Latin-1, one byte a character. `noPattern`: it cannot be compared as words. */
  add(text: string): Pattern {
    const { length } = text;
    const bytes = Buffer.from(text, 'latin1');
    if (length < 4) return noPattern;
    if (length < 8) {
      const end = length - 4;
      const low = bytes.readInt32LE(0);
      return patternOf(length, { word: 0, last: 0, end, low, high: bytes.readInt32LE(end) });
    }
    const end = length - 8;
    const doubles: number[] = [];
    for (let at = 0; at < end; at += 8) doubles.push(bytes.readDoubleLE(at));
    doubles.push(bytes.readDoubleLE(end));
    // Zero has two spellings, and what is no number is equal to nothing.
    if (doubles.some((double) => double === 0 || Number.isNaN(double))) return noPattern;
    const word = this.#keep(doubles);
    return patternOf(length, { word, last: word + doubles.length - 1, end, low: 0, high: 0 });
  }

  /** Returns where they are. */
  #keep(doubles: readonly number[]): number {
    const word = this.#used;
    this.#used += doubles.length;
    if (this.#used > this.words.length) {
      const grown = new Float64Array(Math.max(this.#used, this.words.length * 2));
      grown.set(this.words);
      this.words = grown;
    }
    this.words.set(doubles, word);
    return word;
  }
}

/** Whether the bytes from `at` on are those of a pattern. There are as many. */
export function matches(
  words: Float64Array,
  pattern: Pattern,
  view: DataView,
  at: number,
): boolean {
  const { length } = pattern;
  if (length < 8) {
    const end = (at + pattern.end) | 0;
    return view.getInt32(at, true) === pattern.low && view.getInt32(end, true) === pattern.high;
  }
  // Without a loop for nearly all keys: a processor guesses its end wrong.
  const { word } = pattern;
  if (view.getFloat64(at, true) !== words[word]) return false;
  const end = (at + pattern.end) | 0;
  if (view.getFloat64(end, true) !== words[pattern.last]) return false;
  if (length > 16) {
    if (view.getFloat64((at + 8) | 0, true) !== words[(word + 1) | 0]) return false;
    if (length > 24) {
      if (view.getFloat64((at + 16) | 0, true) !== words[(word + 2) | 0]) return false;
      for (let i = (word + 3) | 0; i < pattern.last; i = (i + 1) | 0) {
        if (view.getFloat64((at + ((i - word) << 3)) | 0, true) !== words[i]) return false;
      }
    }
  }
  return true;
}
