// Entries as the very lines that Istio's proxies print: the JSON default of 1.9 and later (typed, null for what is
// absent) and the text default of 1.24 and later (meshes.md section 4).

import type { Entry } from './mesh.ts';

const iso = (ms: number): string => new Date(ms).toISOString();
const orDash = (value: string | number | undefined): string =>
  value === undefined ? '-' : String(value);

/** The entry as a line of Istio's text default. */
export function textLine(entry: Entry): string {
  const q = (value: string | undefined): string => `"${orDash(value)}"`;
  const request = `${orDash(entry.method)} ${orDash(entry.path)} ${orDash(entry.protocol)}`;
  return [
    `[${iso(entry.startMs)}]`,
    `"${request}"`,
    entry.code,
    orDash(entry.flags),
    orDash(entry.details),
    '-',
    q(entry.failure),
    entry.bytesReceived,
    entry.bytesSent,
    entry.durationMs,
    orDash(entry.serviceTimeMs),
    q(entry.forwardedFor),
    q(entry.userAgent),
    q(entry.requestId),
    q(entry.authority),
    q(entry.upstreamHost),
    orDash(entry.cluster),
    orDash(entry.upstreamLocal),
    entry.downstreamLocal,
    entry.downstreamRemote,
    orDash(entry.sni),
    orDash(entry.route),
  ].join(' ');
}

/** The entry as a line of Istio's JSON default. */
export function jsonLine(entry: Entry): string {
  return JSON.stringify({
    authority: entry.authority ?? null,
    bytes_received: entry.bytesReceived,
    bytes_sent: entry.bytesSent,
    connection_termination_details: null,
    downstream_local_address: entry.downstreamLocal,
    downstream_remote_address: entry.downstreamRemote,
    duration: entry.durationMs,
    method: entry.method ?? null,
    path: entry.path ?? null,
    protocol: entry.protocol ?? null,
    request_id: entry.requestId ?? null,
    requested_server_name: entry.sni ?? null,
    response_code: entry.code,
    response_code_details: entry.details ?? null,
    response_flags: entry.flags ?? '-',
    route_name: entry.route ?? null,
    start_time: iso(entry.startMs),
    upstream_cluster: entry.cluster ?? null,
    upstream_host: entry.upstreamHost ?? null,
    upstream_local_address: entry.upstreamLocal ?? null,
    upstream_service_time: entry.serviceTimeMs === undefined ? null : `${entry.serviceTimeMs}`,
    upstream_transport_failure_reason: entry.failure ?? null,
    user_agent: entry.userAgent ?? null,
    x_forwarded_for: entry.forwardedFor ?? null,
  });
}
