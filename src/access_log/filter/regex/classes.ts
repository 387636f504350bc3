// Sets of characters as ranges of code points: the classes that RE2 names, and what can be done with ranges.

/** Inclusive ranges of code points, ascending and apart. */
export type Ranges = readonly (readonly [from: number, to: number])[];

const lastCodePoint = 0x10ffff;
export const everything: Ranges = [[0, lastCodePoint]];

export const digit: Ranges = [[48, 57]];
export const word: Ranges = [
  [48, 57],
  [65, 90],
  [95, 95],
  [97, 122],
];
export const space: Ranges = [
  [9, 10],
  [12, 13],
  [32, 32],
];

/** The classes of `[[:name:]]`. */
export const posix: Readonly<Record<string, Ranges>> = {
  alnum: [
    [48, 57],
    [65, 90],
    [97, 122],
  ],
  alpha: [
    [65, 90],
    [97, 122],
  ],
  ascii: [[0, 127]],
  blank: [
    [9, 9],
    [32, 32],
  ],
  cntrl: [
    [0, 31],
    [127, 127],
  ],
  digit,
  graph: [[33, 126]],
  lower: [[97, 122]],
  print: [[32, 126]],
  punct: [
    [33, 47],
    [58, 64],
    [91, 96],
    [123, 126],
  ],
  space: [
    [9, 13],
    [32, 32],
  ],
  upper: [[65, 90]],
  word,
  xdigit: [
    [48, 57],
    [65, 70],
    [97, 102],
  ],
};

/** Ranges in order, touching ones joined. */
export function unite(ranges: Ranges): Ranges {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const united: [number, number][] = [];
  for (const [from, to] of sorted) {
    const last = united.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else united.push([from, to]);
  }
  return united;
}

/** Every character that is not in `ranges`. */
export function inverted(ranges: Ranges): Ranges {
  const result: [number, number][] = [];
  let from = 0;
  for (const [start, end] of unite(ranges)) {
    if (start > from) result.push([from, start - 1]);
    from = end + 1;
  }
  if (from <= lastCodePoint) result.push([from, lastCodePoint]);
  return result;
}

/** Adds the other case of every letter up to U+24F (Latin); header values and paths know no others. */
export function foldCase(ranges: Ranges): Ranges {
  const result: (readonly [number, number])[] = [...ranges];
  for (const [from, to] of ranges) {
    for (let code = from; code <= Math.min(to, 0x24f); code++) {
      const char = String.fromCodePoint(code);
      for (const other of [char.toLowerCase(), char.toUpperCase()]) {
        const otherCode = other.codePointAt(0)!;
        if (other.length === 1 && otherCode !== code) result.push([otherCode, otherCode]);
      }
    }
  }
  return unite(result);
}

/** The code points of a Unicode class (`L`, `Lu`, `Greek`), asked of the engine once per use in a pattern. */
export function unicodeClass(name: string): Ranges | undefined {
  let member: RegExp;
  try {
    member = new RegExp(/^[A-Z][a-z]?$/.test(name) ? `\\p{${name}}` : `\\p{Script=${name}}`, 'u');
  } catch {
    return undefined;
  }
  const ranges: [number, number][] = [];
  for (let code = 0; code <= lastCodePoint; code++) {
    if (!member.test(String.fromCodePoint(code))) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === code - 1) last[1] = code;
    else ranges.push([code, code]);
  }
  return ranges;
}
