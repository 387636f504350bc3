// What one resource says about addresses: the common form of file entries, Kubernetes objects and Kuma's data planes.

import type { Party } from '../party.ts';

export type Address = {
  readonly ip: string;
  /** Given: only this port of the address. */
  readonly port: number | undefined;
};

/**
 * What a resource claims. `workload`: it runs at these addresses. `endpoint`: a service leads to them. `service`: the
 * addresses are the service's own. `name`: no address, but facts about a workload of that name.
 */
export type Claim = {
  readonly kind: 'workload' | 'endpoint' | 'service' | 'name';
  readonly party: Party;
  readonly addresses: readonly Address[];
  readonly pod: string | undefined;
};

/** `10.0.0.1`, `10.0.0.1:80`, `fd00::1`, `[fd00::1]:80`; undefined when it is none of these. */
export function parseAddress(text: string): Address | undefined {
  const match =
    /^(?:\[([0-9a-f:.%a-z]+)\]|([0-9.]+)|([0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*))(?::(\d{1,5}))?$/i.exec(
      text,
    );
  if (match === null) return undefined;
  // A bare IPv6 address takes its last group for itself.
  const ip = match[1] ?? match[2] ?? text;
  const port = match[3] === undefined ? match[4] : undefined;
  return { ip: ip.toLowerCase(), port: port === undefined ? undefined : Number(port) };
}
