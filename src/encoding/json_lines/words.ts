// Four bytes at a time. Positions are kept 32-bit (`| 0`): the compiler then neither checks for overflow nor converts.
// Every read may reach 3 bytes beyond what it is about, which a batch's slack allows for.

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

/** Bytes that are looked for: `whole` words from `word` on, then one of which the bytes in `mask` count. */
export type Pattern = {
  readonly length: number;
  readonly word: number;
  readonly whole: number;
  readonly mask: number;
};

/** Patterns in one array, so that comparing follows no pointers. */
export class Patterns {
  /** Word 0 is for patterns of no length, whose mask leaves nothing of any word: they match nowhere. */
  words = Int32Array.of(1, ...new Int32Array(1023));
  #used = 1;

  clear(): void {
    this.#used = 1;
  }

  /** Keeps a pattern; its text is Latin-1, one byte a character. */
  add(text: string): Pattern {
    const length = text.length;
    const bytes = Buffer.alloc(length + 4);
    bytes.latin1Write(text, 0);
    const word = this.#used;
    const whole = length >> 2;
    this.#used += whole + 1;
    if (this.#used > this.words.length) {
      const grown = new Int32Array(Math.max(this.#used, this.words.length * 2));
      grown.set(this.words);
      this.words = grown;
    }
    for (let i = 0; i <= whole; i++) this.words[word + i] = bytes.readInt32LE(i * 4);
    return { length, word, whole, mask: (1 << ((length & 3) * 8)) - 1 };
  }
}

/** The pattern that is found nowhere. */
export const noPattern: Pattern = { length: 0, word: 0, whole: 0, mask: 0 };

/** Whether the bytes from `at` on are those of a pattern. */
export function matches(words: Int32Array, pattern: Pattern, view: DataView, at: number): boolean {
  let word = pattern.word;
  let i = at | 0;
  const last = (word + pattern.whole) | 0;
  for (; word < last; word = (word + 1) | 0) {
    if (view.getInt32(i, true) !== words[word]) return false;
    i = (i + 4) | 0;
  }
  return (view.getInt32(i, true) & pattern.mask) === words[word];
}
