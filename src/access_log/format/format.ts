// A whole format, whatever it was written as: Envoy's, Istio's and Kuma's objects all become one of these.

import type { Segment } from './grammar.ts';

/** A value in a JSON format. */
export type JsonNode =
  | { readonly kind: 'object'; readonly entries: readonly (readonly [string, JsonNode])[] }
  | { readonly kind: 'list'; readonly items: readonly JsonNode[] }
  /** A string with at least one command; one that is nothing but a command keeps its type. */
  | { readonly kind: 'template'; readonly segments: readonly Segment[] }
  | { readonly kind: 'constant'; readonly value: string | number | boolean | null };

export type TextFormat = {
  readonly kind: 'text';
  readonly text: string;
  readonly segments: readonly Segment[];
  /** What is missing is printed as nothing, not as `-`. */
  readonly omitEmpty: boolean;
};

export type JsonFormat = {
  readonly kind: 'json';
  readonly root: JsonNode;
  /** What is missing is left out. */
  readonly omitEmpty: boolean;
  /** How numbers are spelled: Envoy prints 100000 as 1e+05. */
  readonly numbers: 'envoy' | 'plain';
};

/** One format for HTTP requests and another one for TCP connections, as Kuma's defaults are. */
export type FormatPair = {
  readonly kind: 'pair';
  readonly http: TextFormat | JsonFormat;
  readonly tcp: TextFormat | JsonFormat;
};

export type Format = TextFormat | JsonFormat | FormatPair;

/** A format of formats.ts, by name. */
export type NamedFormat = { readonly kind: 'named'; readonly name: string };

/** Whether a value is a single command with nothing around it. */
export function loneCommand(segments: readonly Segment[]): Exclude<Segment, string> | undefined {
  const [only] = segments;
  return segments.length === 1 && typeof only === 'object' ? only : undefined;
}
