// What container runtimes write around each line: CRI (containerd, CRI-O) and Docker's json-file.

import { parsedTime, parseTime, toWords, words } from '../pipeline/time.ts';

export type Framing = 'cri' | 'docker' | 'container';

/** Streams and tags as codes; the order is that of the dictionaries that a batch shows them with. */
export const streamNames = ['stdout', 'stderr'] as const;
export const tagNames = ['P', 'F'] as const;

/** What the last `readFrame` that returned true has found. */
export const frame = {
  /** The content: bytes start..end. */
  start: 0,
  end: 0,
  /** Nanoseconds since 1970 in two words. */
  timeLow: 0,
  timeHigh: 0,
  /** Index into `streamNames`. */
  stream: 0,
  /** The line goes on in the next frame of the same stream. */
  partial: false,
  /** Whether the runtime wrote Docker's framing: there a tag is not part of it. */
  docker: false,
};

/**
 * Reads the framing of one line into `frame`. False when it has none: then nothing was changed. Docker's content is
 * unescaped into the place where it stood. `container` tells the two apart by the first byte, as the Collector does.
 */
export function readFrame(framing: Framing, bytes: Buffer, start: number, end: number): boolean {
  const docker = framing === 'docker' || (framing === 'container' && bytes[start] === 123);
  frame.docker = docker;
  return docker ? readDockerFrame(bytes, start, end) : readCriFrame(bytes, start, end);
}

/** `2024-04-13T07:59:37.505201169Z stdout F content`; the content may begin with a space of its own. */
export function readCriFrame(bytes: Buffer, start: number, end: number): boolean {
  let at = start + 20;
  const timeMax = Math.min(end, start + 40);
  while (at < timeMax && bytes[at] !== 32) at++;
  if (at >= timeMax || !hasZone(bytes, at) || !readTime(bytes, start, at)) return false;
  const stream = streamAt(bytes, at + 1);
  if (stream < 0 || bytes[at + 7] !== 32 || at + 8 >= end) return false;
  const tag = bytes[at + 8];
  if (tag !== 70 && tag !== 80) return false;
  at += 9;
  // Tags may follow, separated by colons; the first one is all that the format defines.
  if (at < end && bytes[at] === 58) while (at < end && bytes[at] !== 32) at++;
  if (at < end && bytes[at++] !== 32) return false;
  frame.start = at;
  frame.end = end;
  frame.stream = stream;
  frame.partial = tag === 80;
  return true;
}

/** Every runtime writes Z or an offset. A time without one is no time of theirs. */
function hasZone(bytes: Buffer, end: number): boolean {
  if (bytes[end - 1] === 90) return true;
  const sign = bytes[end - 6];
  const shortSign = bytes[end - 5];
  return sign === 43 || sign === 45 || shortSign === 43 || shortSign === 45;
}

// Beyond this many seconds nanoseconds do not fit 64 bits.
const secondsMax = 9_223_372_036;

function readTime(bytes: Buffer, start: number, end: number): boolean {
  if (!parseTime(bytes, start, end)) return false;
  if (parsedTime.seconds > secondsMax || parsedTime.seconds < -secondsMax) return false;
  toWords(parsedTime.seconds, parsedTime.nanos);
  frame.timeLow = words.low;
  frame.timeHigh = words.high;
  return true;
}

/** The stream named at `at` (stdout or stderr), or -1. */
function streamAt(bytes: Buffer, at: number): number {
  if (bytes[at] !== 115 || bytes[at + 1] !== 116 || bytes[at + 2] !== 100) return -1;
  const a = bytes[at + 3];
  const b = bytes[at + 4];
  const c = bytes[at + 5];
  if (a === 111 && b === 117 && c === 116) return 0;
  return a === 101 && b === 114 && c === 114 ? 1 : -1;
}

const dockerStart = Buffer.from('{"log":"');
const dockerStream = Buffer.from('","stream":"std');
const dockerTime = Buffer.from('","time":"');
const dockerEnd = Buffer.from('"}');

let scratch = Buffer.allocUnsafeSlow(64 * 1024);

/** `{"log":"content\n","stream":"stdout","time":"2029-03-30T08:31:20.545192187Z"}`, keys in any order. */
export function readDockerFrame(bytes: Buffer, start: number, end: number): boolean {
  if (scratch.length < end - start) scratch = Buffer.allocUnsafeSlow(2 * (end - start));
  return readUsualDocker(bytes, start, end) || readAnyDocker(bytes, start, end);
}

/** The order in which Docker itself writes the keys, read backwards from the end where lengths are known. */
function readUsualDocker(bytes: Buffer, start: number, end: number): boolean {
  if (!holds(bytes, start, dockerStart) || !holds(bytes, end - 2, dockerEnd)) return false;
  const timeEnd = end - 2;
  let timeStart = timeEnd;
  const timeMin = Math.max(start, timeEnd - 40);
  while (timeStart > timeMin && bytes[timeStart - 1] !== 34) timeStart--;
  const close = timeStart - dockerTime.length - 3 - dockerStream.length;
  if (close < start + dockerStart.length || !holds(bytes, close, dockerStream)) return false;
  if (!holds(bytes, timeStart - dockerTime.length, dockerTime)) return false;
  const stream = streamAt(bytes, close + dockerStream.length - 3);
  if (stream < 0 || !readTime(bytes, timeStart, timeEnd)) return false;
  const from = start + dockerStart.length;
  const length = unescaped(bytes, from, close);
  if (length < 0) return false;
  takeContent(bytes, from, length);
  frame.stream = stream;
  return true;
}

function holds(bytes: Buffer, at: number, text: Buffer): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}

/** Other orders, spaces, labels (`attrs`): rare, so that JSON.parse may do it. */
function readAnyDocker(bytes: Buffer, start: number, end: number): boolean {
  let value: { log?: unknown; stream?: unknown; time?: unknown };
  try {
    value = JSON.parse(bytes.utf8Slice(start, end));
  } catch {
    return false;
  }
  if (typeof value?.log !== 'string' || typeof value.time !== 'string') return false;
  const stream = value.stream === 'stderr' ? 1 : 0;
  const time = Buffer.from(value.time);
  // Invalid UTF-8 grows when it is replaced; what would not fit the line stays as it came.
  if (Buffer.byteLength(value.log) > end - start || !readTime(time, 0, time.length)) return false;
  takeContent(bytes, start, scratch.utf8Write(value.log, 0));
  frame.stream = stream;
  return true;
}

/** Puts the first `length` bytes of `scratch` at `from` and says whether the line ends there. */
function takeContent(bytes: Buffer, from: number, length: number): void {
  scratch.copy(bytes, from, 0, length);
  let end = from + length;
  frame.partial = length === 0 || bytes[end - 1] !== 10;
  if (!frame.partial) end -= bytes[end - 2] === 13 && length > 1 ? 2 : 1;
  frame.start = from;
  frame.end = end;
}

/** Unescapes the inside of a JSON string into `scratch`; the length, or -1 when it is none. Never grows. */
function unescaped(bytes: Buffer, from: number, end: number): number {
  const to = scratch;
  let length = 0;
  for (let at = from; at < end; at++) {
    const byte = bytes[at]!;
    if (byte !== 92) {
      if (byte === 34 || byte < 32) return -1;
      to[length++] = byte;
      continue;
    }
    const letter = bytes[++at]!;
    if (at >= end) return -1;
    if (letter === 117) {
      const code = hex(bytes, at + 1, end);
      if (code < 0) return -1;
      at += 4;
      let point = code;
      if (code >= 0xd800 && code < 0xdc00 && bytes[at + 1] === 92 && bytes[at + 2] === 117) {
        const low = hex(bytes, at + 3, end);
        if (low >= 0xdc00 && low < 0xe000) {
          point = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          at += 6;
        }
      }
      length = writePoint(to, length, point);
      continue;
    }
    const plain = escapes[letter]!;
    if (plain === 0) return -1;
    to[length++] = plain;
  }
  return length;
}

const escapes = new Uint8Array(256);
for (const [letter, plain] of ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t']) {
  escapes[letter!.charCodeAt(0)] = plain!.charCodeAt(0);
}

function hex(bytes: Buffer, at: number, end: number): number {
  if (at + 4 > end) return -1;
  let value = 0;
  for (let i = at; i < at + 4; i++) {
    const byte = bytes[i]!;
    const digit = byte <= 57 ? byte - 48 : (byte | 32) - 87;
    if (digit < 0 || digit > 15 || (byte > 57 && digit < 10)) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/** UTF-8 of a code point; half of a pair becomes U+FFFD. */
function writePoint(to: Buffer, at: number, point: number): number {
  if (point < 0x80) {
    to[at] = point;
    return at + 1;
  }
  if (point < 0x800) {
    to[at] = 0xc0 | (point >> 6);
    to[at + 1] = 0x80 | (point & 63);
    return at + 2;
  }
  const shown = point >= 0xd800 && point < 0xe000 ? 0xfffd : point;
  if (shown < 0x10000) {
    to[at] = 0xe0 | (shown >> 12);
    to[at + 1] = 0x80 | ((shown >> 6) & 63);
    to[at + 2] = 0x80 | (shown & 63);
    return at + 3;
  }
  to[at] = 0xf0 | (shown >> 18);
  to[at + 1] = 0x80 | ((shown >> 12) & 63);
  to[at + 2] = 0x80 | ((shown >> 6) & 63);
  to[at + 3] = 0x80 | (shown & 63);
  return at + 4;
}
