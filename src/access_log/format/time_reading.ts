// Times read back from what a time format printed. A format that leaves out the year or the day cannot be read back.

import type { TimeFormat, TimePart } from './time_format.ts';
import { months } from './time_text.ts';

/** Whole seconds since 1970 and nanoseconds of the last time that was read. */
export const readTime = { seconds: 0, nanos: 0 };

/** Reads bytes[start, end) into `readTime`; false when they are no such time. */
export type TimeReader = (bytes: Uint8Array, start: number, end: number) => boolean;

/** Letters that stand for a run of others. */
const runs: Readonly<Record<string, string>> = {
  D: 'm/d/y',
  x: 'm/d/y',
  F: 'Y-m-d',
  R: 'H:M',
  T: 'H:M:S',
  X: 'H:M:S',
};

type Step = { readonly letter: string; readonly width: number; readonly literal: string };

/** The reader of a format, or undefined when the time cannot be had back from it. */
export function timeReader(format: TimeFormat): TimeReader | undefined {
  const steps = format.parts.flatMap((part) => stepsOf(part, format.local));
  const letters = new Set(steps.map((step) => step.letter));
  const hasDate =
    letters.has('Y') &&
    (letters.has('m') || letters.has('b')) &&
    (letters.has('d') || letters.has('e'));
  const hasClock = letters.has('H') && letters.has('M') && letters.has('S');
  if (!letters.has('s') && !(hasDate && hasClock)) return undefined;
  if (format.local && !letters.has('s') && !letters.has('z')) return undefined;
  if (steps.some((step) => step.letter === '?')) return undefined;
  if (steps.filter((step) => step.width < 0).length > 1) return undefined;
  const fixed = steps.reduce((sum, step) => sum + Math.max(0, step.width), 0);
  return (bytes, start, end) => read(steps, fixed, bytes, start, end);
}

function stepsOf(part: TimePart, local: boolean): Step[] {
  switch (part.kind) {
    case 'literal':
      return [{ letter: '', width: part.width, literal: part.text }];
    case 'fraction':
      return [{ letter: 'f', width: part.width, literal: '' }];
    case 'seconds':
      if (part.digits < 0) return [{ letter: '?', width: -1, literal: '' }];
      return [
        { letter: 'S', width: 2, literal: '' },
        { letter: '', width: 1, literal: '.' },
        { letter: 'f', width: part.digits, literal: '' },
      ];
    default:
      if (part.letter === 'Z' && !local) return [{ letter: '', width: 3, literal: 'UTC' }];
      return fieldSteps(part.letter, part.width, part.flag);
  }
}

function fieldSteps(letter: string, width: number, flag: string): Step[] {
  const run = runs[letter];
  if (run !== undefined) {
    return [...run].map((piece) =>
      /[a-zA-Z]/.test(piece)
        ? { letter: piece, width: piece === 'Y' ? 4 : 2, literal: '' }
        : { letter: '', width: 1, literal: piece },
    );
  }
  if (letter === 'Ez') return [{ letter: 'z', width: 6, literal: '' }];
  const known = letter === 'h' ? 'b' : letter;
  if (!'YmbdeHMSsz'.includes(known) || flag !== '') {
    // What says nothing new (the day of the week) is stepped over when its width is known.
    return [{ letter: 'ajuwp'.includes(letter) && width > 0 ? '-' : '?', width, literal: '' }];
  }
  return [{ letter: known, width, literal: '' }];
}

function read(
  steps: readonly Step[],
  fixed: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  const spare = end - start - fixed;
  if (spare < 0) return false;
  const fields: Record<string, number> = {};
  let nanos = 0;
  let at = start;
  for (const { letter, width, literal } of steps) {
    const to = at + (width < 0 ? spare : width);
    const text = String.fromCharCode(...bytes.subarray(at, to));
    at = to;
    if (letter === '') {
      if (text !== literal) return false;
    } else if (letter === 'f') {
      if (!/^\d+$/.test(text)) return false;
      nanos = Number(text.slice(0, 9).padEnd(9, '0'));
    } else if (letter !== '-') {
      const value = fieldValue(letter, text);
      if (Number.isNaN(value)) return false;
      fields[letter] = value;
    }
  }
  if (at !== end) return false;
  readTime.nanos = nanos;
  readTime.seconds = secondsOf(fields);
  return Number.isFinite(readTime.seconds);
}

function fieldValue(letter: string, text: string): number {
  if (letter === 'b') {
    const month = months.findIndex((name) => name.slice(0, 3) === text);
    return month < 0 ? Number.NaN : month + 1;
  }
  if (letter === 'z') {
    const match = /^([+-])(\d\d):?(\d\d)$/.exec(text);
    if (match === null) return Number.NaN;
    return (Number(match[2]) * 3600 + Number(match[3]) * 60) * (match[1] === '-' ? -1 : 1);
  }
  const digits = letter === 'e' ? text.trimStart() : text;
  return /^-?\d+$/.test(digits) ? Number(digits) : Number.NaN;
}

function secondsOf(fields: Record<string, number>): number {
  const epoch = fields['s'];
  if (epoch !== undefined) return epoch;
  const month = fields['m'] ?? fields['b'] ?? 1;
  const day = fields['d'] ?? fields['e'] ?? 1;
  const time = Date.UTC(
    fields['Y'] ?? 1970,
    month - 1,
    day,
    fields['H'] ?? 0,
    fields['M'] ?? 0,
    fields['S'] ?? 0,
  );
  return time / 1000 - (fields['z'] ?? 0);
}
