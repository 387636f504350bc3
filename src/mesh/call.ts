// The answer to `who called whom`.

import type { Direction } from './cluster_name.ts';
import { NO_NAME } from './names.ts';
import { noCodes, type PartyCodes } from './party.ts';
import type { Reporter } from './reporter.ts';

/** What named a side, as small numbers: combinations of rules are looked up in a table. */
export const partyRules = {
  none: 0,
  record: 1,
  peer_metadata: 2,
  spiffe: 3,
  node: 4,
  resource: 5,
  cluster_name: 6,
  server_name: 7,
  authority: 8,
  inventory: 9,
  kuma: 10,
  seen_before: 11,
} as const;

/** Whether Kuma's rules for what it cannot know hold: `unknown`, `*`. Auto: when node, resource or cluster are Kuma's. */
export type MeshRules = 'auto' | 'istio' | 'kuma';

/** The answer for all rows of which the rules see the same. Codes are of `Names`; what the rules found is not changed any more. */
export class Call {
  direction: Direction | undefined = undefined;
  reporter: Reporter | undefined = undefined;
  /** Of `reporterRules`. */
  reporterRule = 0;
  readonly source: PartyCodes = noCodes();
  readonly destination: PartyCodes = noCodes();
  host = NO_NAME;
  subset = NO_NAME;
  port = -1;
  zone = NO_NAME;
  meshName = NO_NAME;
  /** Of `partyRules`. */
  sourceRule = 0;
  destinationRule = 0;
  isKuma = false;
  /** What a processor makes of it, kept with it: one code per column, in the order of its columns. */
  codes: Int32Array | undefined = undefined;
  /** The batch in which a processor met it last, as a running number, and its place among the answers there. */
  batch = 0;
  place = 0;
}
