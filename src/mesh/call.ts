// The answer to `who called whom` for one row.

import { NO_NAME } from './names.ts';
import { clearCodes, noCodes, type PartyCodes } from './party.ts';
import type { Verdict } from './reporter.ts';

/** What named a side. */
export type PartyRule =
  | 'peer_metadata'
  | 'spiffe'
  | 'node'
  | 'resource'
  | 'cluster_name'
  | 'server_name'
  | 'authority'
  | 'inventory'
  | 'kuma'
  | 'none';

/** Whether Kuma's rules for what it cannot know hold: `unknown`, `*`. Auto: when node, resource or cluster are Kuma's. */
export type MeshRules = 'auto' | 'istio' | 'kuma';

/** The answer for one row; codes are of `names`. Reused for every row. */
export class Call {
  readonly verdict: Verdict = { direction: undefined, reporter: undefined, rule: 'none' };
  readonly source: PartyCodes = noCodes();
  readonly destination: PartyCodes = noCodes();
  host = NO_NAME;
  subset = NO_NAME;
  port = -1;
  zone = NO_NAME;
  meshName = NO_NAME;
  sourceRule: PartyRule = 'none';
  destinationRule: PartyRule = 'none';
  isKuma = false;

  clear(): void {
    clearCodes(this.source);
    clearCodes(this.destination);
    this.host = NO_NAME;
    this.subset = NO_NAME;
    this.port = -1;
    this.zone = NO_NAME;
    this.meshName = NO_NAME;
    this.sourceRule = 'none';
    this.destinationRule = 'none';
    this.isKuma = false;
  }
}
