// Envoy's response flags in one table, in the order of their bits, which is also the order in which Envoy prints them.

export type Flag = {
  /** Bit of CEL's `response.flags`; also the print order. */
  readonly index: number;
  /** What %RESPONSE_FLAGS% prints. */
  readonly short: string;
  /** What %RESPONSE_FLAGS_LONG% prints. */
  readonly long: string;
  /** Field of ALS' ResponseFlags, by name and number; undefined: ALS cannot carry this flag. */
  readonly als: { readonly name: string; readonly number: number } | undefined;
  /** What happened, in plain words, one line. */
  readonly meaning: string;
};

type Row = readonly [short: string, long: string, alsNumber: number, als: string, meaning: string];

// biome-ignore format: a table reads best with one row a line.
const rows: readonly Row[] = [
  ['LH', 'FailedLocalHealthCheck', 1, 'failed_local_healthcheck', 'the local service failed its health check (503)'],
  ['UH', 'NoHealthyUpstream', 2, 'no_healthy_upstream', 'the upstream cluster has no healthy endpoint (503)'],
  ['UT', 'UpstreamRequestTimeout', 3, 'upstream_request_timeout', 'the upstream did not answer within the timeout of the route (504)'],
  ['LR', 'LocalReset', 4, 'local_reset', 'the proxy reset the connection (503)'],
  ['UR', 'UpstreamRemoteReset', 5, 'upstream_remote_reset', 'the upstream reset the connection (503)'],
  ['UF', 'UpstreamConnectionFailure', 6, 'upstream_connection_failure', 'the proxy could not connect to the chosen endpoint (503)'],
  ['UC', 'UpstreamConnectionTermination', 7, 'upstream_connection_termination', 'the upstream closed the connection before it had answered (503)'],
  ['UO', 'UpstreamOverflow', 8, 'upstream_overflow', 'too many connections or pending requests: the circuit breaker is open (503)'],
  ['NR', 'NoRouteFound', 9, 'no_route_found', 'no route matched (404), the service is not published (503), or no filter chain matched'],
  ['DI', 'DelayInjected', 10, 'delay_injected', 'the fault filter delayed the request'],
  ['FI', 'FaultInjected', 11, 'fault_injected', 'the fault filter aborted the request'],
  ['RL', 'RateLimited', 12, 'rate_limited', 'the request was rate limited (429)'],
  ['UAEX', 'UnauthorizedExternalService', 13, 'unauthorized_details', 'the external authorization service denied the request'],
  ['RLSE', 'RateLimitServiceError', 14, 'rate_limit_service_error', 'the rate limit service failed, so the request was rejected'],
  ['DC', 'DownstreamConnectionTermination', 15, 'downstream_connection_termination', 'the client closed the connection before it had its answer'],
  ['URX', 'UpstreamRetryLimitExceeded', 16, 'upstream_retry_limit_exceeded', 'every retry or connection attempt that the route allows failed too'],
  ['SI', 'StreamIdleTimeout', 17, 'stream_idle_timeout', 'the stream was idle for too long (408 or 504)'],
  ['IH', 'InvalidEnvoyRequestHeaders', 18, 'invalid_envoy_request_headers', 'an x-envoy header had a value that the strict check refuses (400)'],
  ['DPE', 'DownstreamProtocolError', 19, 'downstream_protocol_error', 'the client broke the HTTP protocol'],
  ['UMSDR', 'UpstreamMaxStreamDurationReached', 20, 'upstream_max_stream_duration_reached', 'the request took longer than the longest stream duration'],
  ['RFCF', 'ResponseFromCacheFilter', 21, 'response_from_cache_filter', 'the cache filter served the response'],
  ['NFCF', 'NoFilterConfigFound', 22, 'no_filter_config_found', 'the configuration of a filter had not arrived in time'],
  ['DT', 'DurationTimeout', 23, 'duration_timeout', 'the connection or the request outlived its longest duration'],
  ['UPE', 'UpstreamProtocolError', 24, 'upstream_protocol_error', 'the upstream broke the HTTP protocol'],
  ['NC', 'NoClusterFound', 25, 'no_cluster_found', 'the route names a cluster that does not exist'],
  ['OM', 'OverloadManagerTerminated', 26, 'overload_manager', 'the overload manager of the proxy ended the request'],
  ['DF', 'DnsResolutionFailed', 27, 'dns_resolution_failure', 'the name of the upstream could not be resolved'],
  ['DO', 'DropOverload', 0, '', 'the upstream asked for load to be dropped, and this request was (503)'],
  ['DR', 'DownstreamRemoteReset', 28, 'downstream_remote_reset', 'the client reset the stream'],
  ['UDO', 'UnconditionalDropOverload', 0, '', 'the upstream asked for all load to be dropped (503)'],
];

/** Every flag, by index. */
export const flagTable: readonly Flag[] = rows.map(
  ([short, long, number, name, meaning], index) => ({
    index,
    short,
    long,
    als: number === 0 ? undefined : { name, number },
    meaning,
  }),
);

/**
 * Of ALS' `unauthorized_details` (13), a message and no bool: the value of its `reason` that stands for UAEX.
 * Any other reason sets no flag.
 */
export const unauthorizedExternalService = { number: 1, name: 'EXTERNAL_SERVICE' } as const;

const byShort = new Map(flagTable.map((flag) => [flag.short, flag]));
const byLong = new Map(flagTable.map((flag) => [flag.long, flag]));
const byAlsNumber = new Map(
  flagTable.flatMap((flag) => (flag.als ? [[flag.als.number, flag]] : [])),
);
const byAlsName = new Map(flagTable.flatMap((flag) => (flag.als ? [[flag.als.name, flag]] : [])));

/** The flag of a short name (`UF`), if it is one of Envoy's own: extensions can register others. */
export function flagOfShort(short: string): Flag | undefined {
  return byShort.get(short);
}

/** The flag of a long name (`UpstreamConnectionFailure`). */
export function flagOfLong(long: string): Flag | undefined {
  return byLong.get(long);
}

/** The flag of a field number of ALS' ResponseFlags. */
export function flagOfAlsNumber(number: number): Flag | undefined {
  return byAlsNumber.get(number);
}

/** The flag of a field of ALS' ResponseFlags as proto-JSON spells it (`noRouteFound` or `no_route_found`). */
export function flagOfAlsName(name: string): Flag | undefined {
  return byAlsName.get(name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
}

/** The bit mask of short names, as CEL's `response.flags` has it. Names that Envoy does not know have no bit. */
export function maskOfFlags(names: readonly unknown[]): number {
  let mask = 0;
  for (const name of names) {
    const flag = typeof name === 'string' ? byShort.get(name) : undefined;
    if (flag !== undefined) mask |= 1 << flag.index;
  }
  return mask;
}

/** The short names of a bit mask, in Envoy's order. */
export function flagsOfMask(mask: number): string[] {
  return flagTable.filter((flag) => (mask & (1 << flag.index)) !== 0).map((flag) => flag.short);
}

/** Short names, or nothing, as %RESPONSE_FLAGS_LONG% prints them: `-` when there are none. */
export function longNames(names: readonly string[]): string {
  return names.length === 0 ? '-' : names.map((name) => byShort.get(name)?.long ?? name).join(',');
}
