// What each response flag means for a person who looks for the cause: a phrase for a sentence, whom it points at, and
// where to look. What the flags themselves are is in flags.ts.

/**
 * `upstream`: who was called, or the way there, failed. `client`: the caller went away, broke a rule or was turned
 * away. `neutral`: says nothing about success.
 */
export type Blame = 'upstream' | 'client' | 'neutral';

export type FlagAdvice = {
  readonly phrase: string;
  readonly blame: Blame;
  readonly lookAt: readonly string[];
};

type Row = readonly [short: string, blame: Blame, phrase: string, lookAt: readonly string[]];

const reason = 'upstream.transport_failure_reason';
const details = 'response.code_details';
const listening = "the endpoint's listening port";
const policies = 'network policies';
const mtls = 'mTLS mode of both sides';
const readiness = 'readiness and logs of the upstream pods';
const duration = 'request.duration against the timeout of the route';
const client = 'the client and its timeout';

// biome-ignore format: a table reads best with one row a line.
const rows: readonly Row[] = [
  ['LH', 'upstream', 'local health check failed', ['health check of the local service']],
  ['UH', 'upstream', 'no healthy upstream', ['endpoints of the service', readiness, 'outlier detection', 'subset labels of the DestinationRule']],
  ['UT', 'upstream', 'upstream request timed out', [duration, readiness]],
  ['LR', 'upstream', 'connection reset by the proxy', [details, readiness]],
  ['UR', 'upstream', 'upstream reset the connection', [details, readiness]],
  ['UF', 'upstream', 'upstream connection failed', [reason, listening, policies, mtls]],
  ['UC', 'upstream', 'upstream closed the connection', [readiness, 'keep-alive timeout of the upstream against the idle timeout of the proxy']],
  ['UO', 'upstream', 'circuit breaker open', ['connectionPool of the DestinationRule', readiness]],
  ['NR', 'client', 'no route matched', ['hosts and matches of the routes', 'port name and protocol of the service', details]],
  ['DI', 'neutral', 'delay injected', ['fault rules of the route']],
  ['FI', 'neutral', 'fault injected', ['fault rules of the route']],
  ['RL', 'client', 'rate limited', ['rate limits of the route']],
  ['UAEX', 'client', 'denied by external authorization', ['the external authorization service', details]],
  ['RLSE', 'upstream', 'rate limit service failed', ['the rate limit service']],
  ['DC', 'client', 'client closed the connection', [client, duration]],
  ['URX', 'upstream', 'retries used up', [reason]],
  ['SI', 'client', 'stream idle for too long', ['stream_idle_timeout', 'whether both sides still send']],
  ['IH', 'client', 'bad x-envoy header', ['x-envoy- headers of the client']],
  ['DPE', 'client', 'client broke the HTTP protocol', [details, 'whether the client speaks HTTP at all']],
  ['UMSDR', 'upstream', 'longest stream duration reached', ['max_stream_duration of the route']],
  ['RFCF', 'neutral', 'served from the cache', []],
  ['NFCF', 'upstream', 'configuration of a filter missing', ['the extension configuration service', 'logs of the control plane']],
  ['DT', 'client', 'longest duration reached', ['max_connection_duration', duration]],
  ['UPE', 'upstream', 'upstream broke the HTTP protocol', [details, 'port name and protocol of the service']],
  ['NC', 'upstream', 'cluster not found', ['host of the route against the services that exist', 'logs of the control plane']],
  ['OM', 'upstream', 'proxy overloaded', ['memory and connections of the proxy']],
  ['DF', 'upstream', 'name of the upstream not resolved', ['the host name', 'DNS of the proxy']],
  ['DO', 'upstream', 'dropped to shed load', ['drop_overload of the endpoints']],
  ['DR', 'client', 'client reset the stream', [client]],
  ['UDO', 'upstream', 'all load dropped', ['drop_overload of the endpoints']],
];

const byShort: ReadonlyMap<string, FlagAdvice> = new Map(
  rows.map(([short, blame, phrase, lookAt]) => [short, { blame, phrase, lookAt }]),
);

/** Advice on a flag by its short name; undefined for flags of extensions. */
export function adviceOf(short: string): FlagAdvice | undefined {
  return byShort.get(short);
}
