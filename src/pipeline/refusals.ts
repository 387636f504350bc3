// Peers that a receiver closes at once, and requests that it refuses: counted under a reason, strangers named, each once.

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

/** Counts requests that were answered with an error, or broke off. */
export function requestRefusals(context: Context): (reason: string) => void {
  return (reason) =>
    context.metrics
      .counter(
        'meshlog_receiver_requests_refused_total',
        'Requests and streams that were answered with an error, or broke off in the middle.',
        { receiver: context.id, reason },
      )
      .add(1);
}
