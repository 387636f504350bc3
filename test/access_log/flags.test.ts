import { expect, test } from 'vitest';
import {
  flagOfAlsName,
  flagOfAlsNumber,
  flagOfLong,
  flagOfShort,
  flagsOfMask,
  flagTable,
  longNames,
  maskOfFlags,
} from '../../src/access_log/flags.ts';

// Envoy's CORE_RESPONSE_FLAGS, written down once more and independently: index, short, long, ALS field, its number.
const facts = `
0 LH FailedLocalHealthCheck failed_local_healthcheck 1
1 UH NoHealthyUpstream no_healthy_upstream 2
2 UT UpstreamRequestTimeout upstream_request_timeout 3
3 LR LocalReset local_reset 4
4 UR UpstreamRemoteReset upstream_remote_reset 5
5 UF UpstreamConnectionFailure upstream_connection_failure 6
6 UC UpstreamConnectionTermination upstream_connection_termination 7
7 UO UpstreamOverflow upstream_overflow 8
8 NR NoRouteFound no_route_found 9
9 DI DelayInjected delay_injected 10
10 FI FaultInjected fault_injected 11
11 RL RateLimited rate_limited 12
12 UAEX UnauthorizedExternalService unauthorized_details 13
13 RLSE RateLimitServiceError rate_limit_service_error 14
14 DC DownstreamConnectionTermination downstream_connection_termination 15
15 URX UpstreamRetryLimitExceeded upstream_retry_limit_exceeded 16
16 SI StreamIdleTimeout stream_idle_timeout 17
17 IH InvalidEnvoyRequestHeaders invalid_envoy_request_headers 18
18 DPE DownstreamProtocolError downstream_protocol_error 19
19 UMSDR UpstreamMaxStreamDurationReached upstream_max_stream_duration_reached 20
20 RFCF ResponseFromCacheFilter response_from_cache_filter 21
21 NFCF NoFilterConfigFound no_filter_config_found 22
22 DT DurationTimeout duration_timeout 23
23 UPE UpstreamProtocolError upstream_protocol_error 24
24 NC NoClusterFound no_cluster_found 25
25 OM OverloadManagerTerminated overload_manager 26
26 DF DnsResolutionFailed dns_resolution_failure 27
27 DO DropOverload
28 DR DownstreamRemoteReset downstream_remote_reset 28
29 UDO UnconditionalDropOverload
`;

for (const fact of facts.trim().split('\n')) {
  const [index, short, long, alsName, alsNumber] = fact.split(' ');
  test(`flags knows ${short} by index, names and ALS field`, () => {
    const flag = flagTable[Number(index)]!;
    expect(flag).toMatchObject({ index: Number(index), short, long });
    expect(flag.als).toEqual(
      alsName === undefined ? undefined : { name: alsName, number: Number(alsNumber) },
    );
    expect(flagOfShort(short!)).toBe(flag);
    expect(flagOfLong(long!)).toBe(flag);
    if (alsName === undefined) return;
    expect(flagOfAlsName(alsName)).toBe(flag);
    expect(flagOfAlsNumber(Number(alsNumber))).toBe(flag);
  });
}

test('flags has nothing but these thirty', () => {
  expect(flagTable).toHaveLength(30);
  expect(flagOfAlsName('noHealthyUpstream')?.short).toBe('UH');
  expect(flagOfShort('XX')).toBeUndefined();
});

test('flags turns names into the bit mask and back, in the order of the bits', () => {
  expect(maskOfFlags(['URX', 'UF'])).toBe((1 << 15) | (1 << 5));
  expect(maskOfFlags(['CUSTOM', 7])).toBe(0);
  expect(flagsOfMask(maskOfFlags(['UDO', 'URX', 'UF']))).toEqual(['UF', 'URX', 'UDO']);
});

test('flags prints long names, custom ones as they are, a dash for none', () => {
  expect(longNames(['UF', 'CUSTOM'])).toBe('UpstreamConnectionFailure,CUSTOM');
  expect(longNames([])).toBe('-');
});

test('flags explains the nineteen flags of the Hango manual', () => {
  for (const short of 'UH UF UO NR URX DC LH UT LR UR UC DI FI RL UAEX RLSE IH SI DPE'.split(' ')) {
    expect(flagOfShort(short)?.meaning.length).toBeGreaterThan(15);
  }
});
