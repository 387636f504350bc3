// Why a request failed, in plain words: response flags, code details and failure reasons turned into a sentence.

import { type Cause, causeOfDetails, causeOfReason } from './failure_reasons.ts';
import { adviceOf } from './flag_advice.ts';
import { flagOfShort } from './flags.ts';

/** What a record says about a failure. */
export type Failure = {
  readonly code: number;
  readonly flags: readonly string[];
  readonly details: string | undefined;
  /** Transport failure reason, or termination details of a connection. */
  readonly reason: string | undefined;
  /** Who was called, for hints: `ratings:9080`. */
  readonly upstream: string | undefined;
};

/** Quoted evidence is cut here: some TLS errors go on for pages. */
const evidenceMax = 160;

/**
 * One sentence: what the flags say, the proxy's own words, cause and hint in parentheses; undefined when the record
 * says nothing that needs an explanation.
 */
export function explain(failure: Failure): string | undefined {
  const { evidence, cause } = evidenceOf(failure);
  const upstream = failure.upstream ?? 'the upstream';
  const inWords = (text: string) => text.replaceAll('{upstream}', upstream);
  if (failure.flags.length === 0) {
    if (cause === undefined) return undefined;
    const why = inWords(`${cause.cause}: ${cause.hint}`);
    return evidence === undefined ? why : `${evidence} (${why})`;
  }
  const head = failure.flags.map(phraseOf).join(', ');
  if (evidence === undefined) {
    // The flags have already said what it is; only the hint is new.
    const hint = cause?.hint ?? firstHint(failure.flags);
    return hint === undefined ? head : inWords(`${head}: ${hint}`);
  }
  const why = cause === undefined ? '' : inWords(` (${cause.cause}: ${cause.hint})`);
  return `${head}: ${evidence}${why}`;
}

function phraseOf(flag: string): string {
  return adviceOf(flag)?.phrase ?? flagOfShort(flag)?.long ?? flag;
}

function firstHint(flags: readonly string[]): string | undefined {
  for (const flag of flags) {
    const [first] = adviceOf(flag)?.lookAt ?? [];
    if (first !== undefined) return `look at ${first}`;
  }
  return undefined;
}

/** The most telling of the proxy's own words, and the cause that they name. */
function evidenceOf(failure: Failure): {
  evidence: string | undefined;
  cause: Cause | undefined;
} {
  const { details, reason } = failure;
  if (reason !== undefined) return { evidence: cut(reason), cause: causeOfReason(reason) };
  if (details === undefined) return { evidence: undefined, cause: undefined };
  const cause = causeOfDetails(details);
  // A plain name says no more than its cause does; what stands in brackets does.
  const tellsMore = /[[{(]/.test(details) || cause === undefined;
  return { evidence: tellsMore ? cut(details) : undefined, cause };
}

function cut(text: string): string {
  return text.length <= evidenceMax ? text : `${text.slice(0, evidenceMax)}…`;
}
