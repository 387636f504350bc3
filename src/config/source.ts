// A text that configuration is read from, and places in it.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

export type Source = {
  /** The name in messages, as the user wrote it: `config.yaml`, `env:MESHLOG_CONFIG`. */
  readonly file: string;
  readonly text: string;
  /** Where relative paths start. Absent: the folder of `file`. */
  readonly directory?: string;
  /** Keys may be written `exporters::otlp::timeout`. */
  readonly delimited?: boolean;
};

/** A stretch of a source's text, in UTF-16 units. */
export type Place = { readonly source: Source; readonly start: number; readonly end: number };

const sourceBytesMax = 4 * 1024 ** 2;

export const startOf = (source: Source): Place => ({ source, start: 0, end: 0 });

export function directoryOf(source: Source): string {
  return source.directory ?? dirname(resolve(source.file));
}

/** The text of a file, or why there is none: `cannot be read: no such file`. */
export function readText(path: string): { text: string } | { why: string } {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    return { why: `cannot be read: ${reasons[(error as { code: string }).code] ?? String(error)}` };
  }
  if (bytes.length > sourceBytesMax) return { why: 'cannot be used: larger than 4 MiB' };
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { why: 'cannot be read: not UTF-8 text' };
  }
}

const reasons: Record<string, string> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
  ENOTDIR: 'no such folder',
  ELOOP: 'symbolic links in a circle',
};

const lineStartsOf = new WeakMap<Source, number[]>();

function lineStarts(source: Source): number[] {
  const known = lineStartsOf.get(source);
  if (known !== undefined) return known;
  const starts = [0];
  for (let at = source.text.indexOf('\n'); at >= 0; at = source.text.indexOf('\n', at + 1)) {
    starts.push(at + 1);
  }
  lineStartsOf.set(source, starts);
  return starts;
}

/** Line and column of an offset, both from 1. */
export function positionOf(source: Source, offset: number): { line: number; column: number } {
  const starts = lineStarts(source);
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
}

/** The offsets where a line begins and ends, its newline left out. */
export function lineSpan(source: Source, line: number): { start: number; end: number } {
  const start = lineStarts(source)[line - 1] ?? source.text.length;
  const newline = source.text.indexOf('\n', start);
  const end = newline < 0 ? source.text.length : newline;
  return { start, end: source.text[end - 1] === '\r' && end > start ? end - 1 : end };
}
