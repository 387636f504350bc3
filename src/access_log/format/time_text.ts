// Times printed by a time format. What stays the same within a second is kept, since records come in order.

import { asNeeded, type TimeFormat, type TimePart } from './time_format.ts';

/** Prints times of one format. One instance per renderer. */
export class TimePrinter {
  readonly #format: TimeFormat;
  #second = Number.NaN;
  /** What every part printed for `#second`; '' for fractions. */
  #kept: string[] = [];

  constructor(format: TimeFormat) {
    this.#format = format;
  }

  /** The text of whole seconds since 1970 and the nanoseconds of that second. */
  print(seconds: number, nanos: number): string {
    const parts = this.#format.parts;
    if (seconds !== this.#second) {
      const clock = clockOf(seconds, this.#format.local);
      this.#kept = parts.map((part) => textOf(part, clock));
      this.#second = seconds;
    }
    let text = '';
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i]!;
      text += this.#kept[i];
      if (part.kind === 'fraction') text += fractionText(nanos, part.digits, '0');
      else if (part.kind === 'seconds') {
        const digits = fractionText(nanos, part.digits, '');
        if (digits !== '') text += `.${digits}`;
      }
    }
    return text;
  }
}

/** The first digits of a fraction; as many as needed, but at least `least`, for `asNeeded`. */
function fractionText(nanos: number, digits: number, least: string): string {
  const all = String(nanos).padStart(9, '0');
  if (digits === asNeeded) return all.replace(/0+$/, '') || least;
  return digits <= 9 ? all.slice(0, digits) : all.padEnd(digits, '0');
}

type Clock = {
  /** A date whose UTC fields are the fields to print. */
  readonly date: Date;
  readonly seconds: number;
  /** Seconds east of Greenwich. */
  readonly offset: number;
  readonly zone: string;
};

function clockOf(seconds: number, local: boolean): Clock {
  const date = new Date(seconds * 1000);
  if (!local || Number.isNaN(date.getTime())) return { date, seconds, offset: 0, zone: 'UTC' };
  const offset = -date.getTimezoneOffset() * 60;
  const zone = zoneName(date);
  return { date: new Date((seconds + offset) * 1000), seconds, offset, zone };
}

function zoneName(date: Date): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(date);
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? 'UTC';
}

function textOf(part: TimePart, clock: Clock): string {
  if (part.kind === 'literal') return part.text;
  if (part.kind === 'fraction') return '';
  if (Number.isNaN(clock.date.getTime())) return '-';
  if (part.kind === 'seconds') return two(clock.date.getUTCSeconds());
  const text = letterText(part.letter, clock);
  return part.flag === '' ? text : flagged(text, part.flag);
}

function flagged(text: string, flag: string): string {
  switch (flag) {
    case '-':
      return text.replace(/^[ 0]+(?=.)/, '');
    case '_':
      return text.replace(/^0+(?=.)/, (zeros) => ' '.repeat(zeros.length));
    case '0':
      return text.replace(/^ +/, (spaces) => '0'.repeat(spaces.length));
    default:
      return text.toUpperCase();
  }
}

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
export const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

const two = (value: number): string => String(value).padStart(2, '0');
const blank = (value: number): string => String(value).padStart(2, ' ');
const hour12 = (date: Date): number => date.getUTCHours() % 12 || 12;
const year = (date: Date): number => date.getUTCFullYear();
const half = (date: Date): string => (date.getUTCHours() < 12 ? 'AM' : 'PM');
const dayOfYear = (date: Date): number =>
  Math.floor((date.getTime() - Date.UTC(year(date), 0, 1)) / 86_400_000);
/** Weeks of the year that begin on `first` (0 Sunday, 1 Monday). */
const week = (date: Date, first: number): number =>
  Math.floor((dayOfYear(date) + 7 - ((date.getUTCDay() + 7 - first) % 7)) / 7);

/** ISO 8601: the week belongs to the year of its Thursday. */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(date.getTime() + (3 - ((date.getUTCDay() + 6) % 7)) * 86_400_000);
  return { year: year(thursday), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}

function offsetText(offset: number, separator: string, seconds: boolean): string {
  const size = Math.abs(offset);
  const hours = two(Math.floor(size / 3600));
  const minutes = two(Math.floor(size / 60) % 60);
  const rest = seconds ? `${separator}${two(size % 60)}` : '';
  return `${offset < 0 ? '-' : '+'}${hours}${separator}${minutes}${rest}`;
}

/** What strftime prints for a letter, in the C locale. */
const letters: Readonly<Record<string, (clock: Clock) => string>> = {
  a: ({ date }) => (days[date.getUTCDay()] ?? '').slice(0, 3),
  A: ({ date }) => days[date.getUTCDay()] ?? '',
  b: ({ date }) => (months[date.getUTCMonth()] ?? '').slice(0, 3),
  h: ({ date }) => (months[date.getUTCMonth()] ?? '').slice(0, 3),
  B: ({ date }) => months[date.getUTCMonth()] ?? '',
  c: (clock) => letterTexts(clock, 'a', ' ', 'b', ' ', 'e', ' ', 'T', ' ', 'Y'),
  C: ({ date }) => two(Math.floor(year(date) / 100)),
  d: ({ date }) => two(date.getUTCDate()),
  D: (clock) => letterTexts(clock, 'm', '/', 'd', '/', 'y'),
  x: (clock) => letterTexts(clock, 'm', '/', 'd', '/', 'y'),
  e: ({ date }) => blank(date.getUTCDate()),
  F: (clock) => letterTexts(clock, 'Y', '-', 'm', '-', 'd'),
  g: ({ date }) => two(isoWeek(date).year % 100),
  G: ({ date }) => String(isoWeek(date).year),
  H: ({ date }) => two(date.getUTCHours()),
  I: ({ date }) => two(hour12(date)),
  j: ({ date }) => String(dayOfYear(date) + 1).padStart(3, '0'),
  k: ({ date }) => blank(date.getUTCHours()),
  l: ({ date }) => blank(hour12(date)),
  m: ({ date }) => two(date.getUTCMonth() + 1),
  M: ({ date }) => two(date.getUTCMinutes()),
  n: () => '\n',
  p: ({ date }) => half(date),
  P: ({ date }) => half(date).toLowerCase(),
  r: (clock) => letterTexts(clock, 'I', ':', 'M', ':', 'S', ' ', 'p'),
  R: (clock) => letterTexts(clock, 'H', ':', 'M'),
  s: ({ seconds }) => String(seconds),
  S: ({ date }) => two(date.getUTCSeconds()),
  t: () => '\t',
  T: (clock) => letterTexts(clock, 'H', ':', 'M', ':', 'S'),
  X: (clock) => letterTexts(clock, 'H', ':', 'M', ':', 'S'),
  u: ({ date }) => String(date.getUTCDay() || 7),
  U: ({ date }) => two(week(date, 0)),
  V: ({ date }) => two(isoWeek(date).week),
  w: ({ date }) => String(date.getUTCDay()),
  W: ({ date }) => two(week(date, 1)),
  y: ({ date }) => two(year(date) % 100),
  Y: ({ date }) => String(year(date)).padStart(4, '0'),
  z: ({ offset }) => offsetText(offset, '', false),
  Z: ({ zone }) => zone,
  Ez: ({ offset }) => offsetText(offset, ':', false),
  'E*z': ({ offset }) => offsetText(offset, ':', true),
};

const letterText = (letter: string, clock: Clock): string => letters[letter]?.(clock) ?? '';

function letterTexts(clock: Clock, ...pieces: string[]): string {
  return pieces.map((piece) => letters[piece]?.(clock) ?? piece).join('');
}
