// Peers that a receiver closes at once: counted under a reason, and strangers named, each once.

import type { Context } from './component.ts';

/** Names are kept and said for this many peers: whoever knocks often must not fill the log. */
const namedMax = 20;

/** Counts a refused connection; a `peer` is named because its identity is not allowed. */
export function refusals(context: Context): (reason: string, peer?: string) => void {
  const named = new Set<string>();
  return (reason, peer) => {
    context.metrics
      .counter(
        'meshlog_receiver_connections_refused_total',
        'Connections closed at once: too many, a failed TLS handshake, or an identity not allowed.',
        { receiver: context.id, reason },
      )
      .add(1);
    if (peer === undefined || named.has(peer) || named.size >= namedMax) return;
    named.add(peer);
    context.log.warn(`refuses ${peer}: not in allowed_spiffe_ids`);
  };
}
