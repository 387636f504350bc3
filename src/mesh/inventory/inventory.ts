// Who owns an IP address: what files and the Kubernetes API say, behind one lookup.

import type { Party } from '../party.ts';

/** What enrich asks. Answers hold until `generation` changes; the same answer is the same object. */
export type Inventory = {
  /** False: nobody has configured one, and asking is not worth while. */
  readonly isUsed: boolean;
  /** Grows with every change of any answer. */
  readonly generation: number;
  /** Who is behind an address as a proxy prints it, without port and brackets. */
  byIp(ip: string): Owners | undefined;
  /** A pod by namespace and name: what a log file's path says. */
  byPod(namespace: string, pod: string): Party | undefined;
};

/** Whoever shares one address. */
export type Owners = {
  /** Who it is whatever the port; undefined when several share the address and only the port tells them apart. */
  readonly any: Party | undefined;
  /** Those that own one port of it. */
  readonly byPort: ReadonlyMap<number, Party> | undefined;
};

export const emptyInventory: Inventory = {
  isUsed: false,
  generation: 0,
  byIp: () => undefined,
  byPod: () => undefined,
};
