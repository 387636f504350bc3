// Who owns an IP address: what files and the Kubernetes API say, behind one lookup.

import type { Party } from '../party.ts';

/** What enrich asks. Lookups are cheap and their answers are kept by the caller until `generation` changes. */
export type Inventory = {
  /** False: nobody has configured one, and asking is not worth while. */
  readonly isUsed: boolean;
  /** Grows with every change of any answer. */
  readonly generation: number;
  /** The owner of an address as a proxy prints it, without port. */
  byIp(ip: string): Party | undefined;
  /** A pod by namespace and name: what a log file's path says. */
  byPod(namespace: string, pod: string): Party | undefined;
};

export const emptyInventory: Inventory = {
  isUsed: false,
  generation: 0,
  byIp: () => undefined,
  byPod: () => undefined,
};
