// Glob patterns in the manner of the Collector's: `*` and `?` within a name, `**` for any folders, `[a-z]`, `[!a-z]`,
// `{a,b}`. Names that begin with a dot are names like others.

import { resolve } from 'node:path';

/** One name of a path: literal, a pattern, or any number of folders. */
export type Segment = string | RegExp | typeof anyFolders;
export const anyFolders = Symbol('**');

export type Glob = {
  /** The folder in which the first segment stands; no pattern in it. */
  readonly base: string;
  readonly segments: readonly Segment[];
};

const alternativesMax = 1000;

/** The patterns that a glob stands for, its braces written out. Relative ones start in `folder`. */
export function parseGlob(pattern: string, folder: string): Glob[] {
  return expandBraces(pattern).map((plain) => {
    const names = resolve(folder, plain).split('/').slice(1);
    const first = names.findIndex((name) => /[*?[]/.test(name));
    const literal = first < 0 ? names.length - 1 : first;
    return {
      base: `/${names.slice(0, literal).join('/')}`,
      segments: names.slice(literal).map(segmentOf),
    };
  });
}

function segmentOf(name: string): Segment {
  if (name === '**') return anyFolders;
  return /[*?[]/.test(name) ? new RegExp(`^${nameSource(name)}$`, 'su') : name;
}

/** Matches whole paths, for `exclude`. */
export function pathMatcher(
  patterns: readonly string[],
  folder: string,
): (path: string) => boolean {
  const globs = patterns.flatMap((pattern) => parseGlob(pattern, folder));
  const matchers = globs.map(({ base, segments }) => {
    const parts = segments.map((segment, i) => {
      const last = i === segments.length - 1;
      if (segment === anyFolders) return last ? '.*' : '(?:.*/)?';
      const source = typeof segment === 'string' ? quoted(segment) : segment.source.slice(1, -1);
      return last ? source : `${source}/`;
    });
    const start = base === '/' ? '/' : `${quoted(base)}/`;
    return new RegExp(`^${start}${parts.join('')}$`, 'su');
  });
  return (path) => matchers.some((matcher) => matcher.test(path));
}

const quoted = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

function nameSource(name: string): string {
  let source = '';
  for (let i = 0; i < name.length; i++) {
    const character = name.charAt(i);
    if (character === '*') {
      // Several stars in a row mean one; as several they would make matching slow.
      while (name.charAt(i + 1) === '*') i++;
      source += '[^/]*';
    } else if (character === '?') source += '[^/]';
    else if (character === '[') {
      const end = name.indexOf(']', i + 2);
      if (end < 0) source += '\\[';
      else {
        source += classSource(name.slice(i + 1, end));
        i = end;
      }
    } else source += quoted(character);
  }
  return source;
}

function classSource(inside: string): string {
  const negated = inside.startsWith('!') || inside.startsWith('^');
  const members = inside.slice(negated ? 1 : 0).replace(/[\\^[\]&~|(){}/]/g, '\\$&');
  return negated ? `[^${members}/]` : `[${members}]`;
}

/** `a{b,c{d,e}}` as `ab`, `acd`, `ace`. A brace without its end, or without a comma, is a character like others. */
export function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf('{');
  if (open < 0) return [pattern];
  const parts: string[] = [];
  let depth = 0;
  let from = open + 1;
  for (let i = open; i < pattern.length; i++) {
    const character = pattern.charAt(i);
    if (character === '{') depth++;
    else if (character === ',' && depth === 1) {
      parts.push(pattern.slice(from, i));
      from = i + 1;
    } else if (character === '}' && --depth === 0) {
      parts.push(pattern.slice(from, i));
      const before = pattern.slice(0, open);
      const after = expandBraces(pattern.slice(i + 1));
      const inner = parts.length === 1 ? [`{${parts[0]}}`] : parts.flatMap(expandBraces);
      const all = inner.flatMap((part) => after.map((rest) => before + part + rest));
      if (all.length > alternativesMax) {
        throw new Error(`the pattern ${JSON.stringify(pattern)} stands for too many`);
      }
      return all;
    }
  }
  return [pattern];
}
