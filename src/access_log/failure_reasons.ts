// Causes in what Envoy writes when a connection, a handshake or a request fails: transport failure reasons, response
// code details, termination details.

/** Plain words: what it is, and what to look at. `{upstream}` stands for who was called. */
export type Cause = { readonly cause: string; readonly hint: string };

type Row = readonly [needle: string, cause: string, hint: string];

/**
 * Looked for in the text in lower case with blanks for underscores; the first that occurs counts, so the special comes
 * before the general.
 */
// biome-ignore format: a table reads best with one row a line.
const reasonRows: readonly Row[] = [
  ['secret is not supplied by sds', 'the proxy has no certificate yet', 'look whether the certificate files or the secret that the DestinationRule names exist, and whether the control plane is reachable'],
  ['certificate expired', 'a certificate has expired', 'look at its validity, at certificate rotation and at the clocks of both sides'],
  ['certificate has expired', 'a certificate has expired', 'look at its validity, at certificate rotation and at the clocks of both sides'],
  ['certificate revoked', 'the certificate was revoked', 'look at the revocation list of the peer'],
  ['unknown ca', 'the peer does not trust the CA of the certificate', 'compare the trust bundles of both sides'],
  ['certificate unknown', 'the peer did not accept the certificate', 'compare trust bundles and certificate pins of both sides'],
  ['certificate required', 'the peer wants a client certificate', 'one side has mTLS STRICT and the other none'],
  ['did not return a certificate', 'the client showed no certificate', 'one side has mTLS STRICT and the other none'],
  ['bad certificate', 'the peer did not accept the certificate', 'compare trust bundles and identities of both sides'],
  ['handshake failure', 'the peer refused the TLS handshake', 'it may want a client certificate, or share no cipher'],
  ['protocol version', 'the two sides share no TLS version', 'compare minimum and maximum TLS version of both sides'],
  ['unsupported protocol', 'the two sides share no TLS version', 'compare minimum and maximum TLS version of both sides'],
  ['no shared cipher', 'the two sides share no cipher', 'compare the cipher suites of both sides'],
  ['wrong version number', 'the other side answered TLS in plain text', 'the mTLS mode of the DestinationRule and of the PeerAuthentication do not agree, or the port is no TLS port'],
  ['http request', 'plain HTTP came in on a TLS port', 'the client has to use TLS, or the port has to be plain'],
  ['unrecognized name', 'the peer has no certificate for the server name', 'look at the SNI that the client sends'],
  ['san matcher', 'the certificate is of somebody else', 'compare the identity in the certificate with the subjectAltNames of the DestinationRule'],
  ['certificate verify failed', 'the certificate could not be verified', 'compare the trust bundles of both sides and the identity in the certificate'],
  ['verify cert failed', 'the certificate could not be verified', 'compare the trust bundles of both sides and the identity in the certificate'],
  ['clienthellonotdetected', 'the client did not begin with a TLS handshake', 'the client has to use TLS, or the port has to be plain'],
  ['transport socket timeout', 'the TLS handshake did not end in time', 'look at CPU and network of both sides, and whether the peer speaks TLS at all'],
  ['connection refused', 'connection refused', 'nothing listens on {upstream}'],
  ['connect error: 111', 'connection refused', 'nothing listens on {upstream}'],
  ['no route to host', 'no route to the host', '{upstream} is gone or its node is not reachable'],
  ['connect error: 113', 'no route to the host', '{upstream} is gone or its node is not reachable'],
  ['network is unreachable', 'the network is not reachable', 'look at routes and network policies towards {upstream}'],
  ['connect error: 101', 'the network is not reachable', 'look at routes and network policies towards {upstream}'],
  ['connect error: 104', 'the connection was reset while it was made', 'look at {upstream} and at network policies'],
  ['connection reset by peer', 'the peer reset the connection', 'look at the logs of {upstream}'],
  ['connect error: 110', 'nobody answered', 'look at network policies and at the node of {upstream}'],
  ['connection timed out', 'nobody answered', 'look at network policies and at the node of {upstream}'],
  ['connection timeout', 'nobody answered in time', 'look at network policies, at the node of {upstream} and at the connect timeout'],
  ['connect error: 99', 'the proxy has no local port left', 'look at the number of connections to {upstream}'],
  ['cannot assign requested address', 'the proxy has no local port left', 'look at the number of connections to {upstream}'],
  ['tls error', 'the TLS handshake failed', 'look at the mTLS mode and the certificates of both sides'],
  ['closed before', 'the peer closed the connection', 'look at the logs of {upstream}'],
];

/** Response code details and close reasons by their whole name, up to a bracket, brace or parenthesis. */
// biome-ignore format: a table reads best with one row a line.
const detailRows: readonly Row[] = [
  ['via_upstream', '{upstream} itself gave this answer', 'look at its logs'],
  ['direct_response', 'the route answers by itself', 'look at its direct response or redirect'],
  ['route_not_found', 'no route matched', 'look at hosts and matches of the routes'],
  ['route_configuration_not_found', 'the proxy has no routes yet', 'look at the control plane'],
  ['cluster_not_found', 'the route leads to a cluster that does not exist', 'look at the host that the route names'],
  ['no_healthy_upstream', 'no endpoint can be used', 'look at readiness of {upstream}, at outlier detection and at subset labels'],
  ['maintenance_mode', 'the cluster is in maintenance mode', 'look at its runtime settings'],
  ['response_timeout', '{upstream} did not answer within the timeout of the route', 'look at its latency or raise the timeout'],
  ['upstream_response_timeout', '{upstream} did not answer within the timeout of the route', 'look at its latency or raise the timeout'],
  ['upstream_per_try_timeout', 'no try got an answer within its timeout', 'look at the latency of {upstream} or raise perTryTimeout'],
  ['upstream_per_try_idle_timeout', 'the answer stopped flowing', 'look at {upstream}'],
  ['upstream_max_stream_duration_reached', 'the request took longer than a stream may', 'raise max_stream_duration if that is right'],
  ['filter_chain_not_found', 'no listener fits the connection', 'look at TLS mode, SNI and port of the client'],
  ['downstream_remote_disconnect', 'the client closed the connection', 'look at the timeout of the client'],
  ['downstream_local_disconnect', 'the proxy closed the connection of the client', 'look at the reason in parentheses'],
  ['duration_timeout', 'the connection lived as long as it may', 'raise its longest duration if that is right'],
  ['max_duration_timeout', 'the request took as long as it may', 'raise its longest duration if that is right'],
  ['stream_idle_timeout', 'nothing was sent for too long', 'look at both sides, or raise stream_idle_timeout'],
  ['request_overall_timeout', 'the request did not arrive in time', 'look at the client, or raise the request timeout'],
  ['request_header_timeout', 'the request headers did not arrive in time', 'look at the client'],
  ['downstream_header_timeout', 'the request headers did not arrive in time', 'look at the client'],
  ['request_payload_too_large', 'the request is larger than the buffer of a filter', 'raise the buffer limit if that is right'],
  ['response_payload_too_large', 'the response is larger than the buffer of a filter', 'raise the buffer limit if that is right'],
  ['request_payload_exceeded_retry_buffer_limit', 'the request is too large to be tried again', 'raise the retry buffer limit if that is right'],
  ['overload', 'the proxy is overloaded', 'look at its memory and connections'],
  ['low_version', 'the client speaks HTTP/1.0 or 0.9', 'accept_http_10 allows it'],
  ['missing_host_header', 'the request names no host', 'look at the client'],
  ['missing_path_rejected', 'the request has no path', 'look at the client'],
  ['invalid_path', 'the path is not valid', 'look at the client'],
  ['absolute_path_rejected', 'the request has a whole URL as its path', 'allow_absolute_url allows it'],
  ['path_normalization_failed', 'the path could not be normalised', 'look at the client'],
  ['request_headers_failed_strict_check', 'an x-envoy header has a value that is not allowed', 'look at the client'],
  ['upgrade_failed', 'the upgrade of the connection was refused', 'look whether upgrades are allowed on the route'],
  ['websocket_handshake_unsuccessful', '{upstream} refused the WebSocket', 'look at its logs'],
  ['rbac_access_denied_matched_policy', 'a policy denied the request', 'look at the AuthorizationPolicy in brackets and at the identity of the caller'],
  ['ext_authz_denied', 'the external authorization service denied the request', 'look at its logs'],
  ['ext_authz_error', 'the external authorization service failed', 'look whether it is reachable'],
  ['ext_proc_error', 'the external processing service failed', 'look whether it is reachable'],
  ['jwt_authn_access_denied', 'the token of the request was not accepted', 'look at the reason in braces, at issuer, audience and expiry of the token'],
  ['request_rate_limited', 'the request was rate limited', 'look at the limits of the route'],
  ['local_rate_limited', 'the request was rate limited by the proxy', 'look at the local rate limit of the route'],
  ['rate_limiter_error', 'the rate limit service failed', 'look whether it is reachable'],
  ['fault_filter_abort', 'a fault was injected on purpose', 'look at the fault rules of the route'],
  ['csrf_origin_mismatch', 'the origin of the request is not allowed', 'look at the CSRF policy'],
  ['cdn_loop_detected', 'the request went round in a circle', 'look at the CDN and its origin'],
  ['denied_by_admission_control', 'admission control turned the request away', 'look at the success rate of {upstream}'],
  ['missing_api_key', 'the request has no API key', 'look at the client'],
  ['dns_resolution_failure', 'the name of the upstream was not resolved', 'look at the host name and at the DNS of the proxy'],
  ['drop_overload', 'load was dropped on purpose', 'look at drop_overload of the endpoints'],
  ['unconditional_drop_overload', 'all load is dropped on purpose', 'look at drop_overload of the endpoints'],
  ['on_idle_timeout', 'the connection was idle for too long', 'raise the idle timeout if that is right'],
  ['tcp_session_idle_timeout', 'the connection was idle for too long', 'raise the idle timeout of the TCP proxy if that is right'],
  ['max_connection_duration_reached', 'the connection lived as long as it may', 'raise max_connection_duration if that is right'],
  ['http2_ping_timeout', 'the other side did not answer HTTP/2 pings', 'look at network and load of the other side'],
];

/** What a reset of the request upstream was, inside `upstream_reset_..._started{...}`. */
// biome-ignore format: a table reads best with one row a line.
const resetRows: readonly Row[] = [
  ['local connection failure', 'the proxy could not connect', 'look at the proxy'],
  ['remote connection failure', '{upstream} did not take the connection', 'look whether it listens, at network policies and at the mTLS mode of both sides'],
  ['connection failure', '{upstream} did not take the connection', 'look whether it listens, at network policies and at the mTLS mode of both sides'],
  ['connection timeout', '{upstream} did not take the connection in time', 'look at network policies and at its node'],
  ['connection termination', '{upstream} closed the connection before it had answered', 'look at its logs and at its keep-alive timeout'],
  ['remote refused stream', '{upstream} refused the stream', 'look at its limits of concurrent streams'],
  ['local refused stream', 'the proxy refused the stream', 'look at its limits'],
  ['remote reset', '{upstream} reset the stream', 'look at its logs'],
  ['local reset', 'the proxy reset the stream', 'look at its logs'],
  ['overflow', 'the circuit breaker is open', 'look at the connectionPool of the DestinationRule and at {upstream}'],
  ['protocol error', '{upstream} broke the HTTP protocol', 'look at port name and protocol of the service'],
  ['overload manager', 'the proxy is overloaded', 'look at its memory and connections'],
];

const toCause = ([, cause, hint]: Row): Cause => ({ cause, hint });
const details: ReadonlyMap<string, Cause> = new Map(
  detailRows.map((row) => [row[0], toCause(row)]),
);

/** Texts beyond this are cut: the cause stands at the beginning. */
const textMax = 2048;

function find(rows: readonly Row[], text: string): Cause | undefined {
  const row = rows.find(([needle]) => text.includes(needle));
  return row === undefined ? undefined : toCause(row);
}

const plain = (text: string): string => text.slice(0, textMax).toLowerCase().replaceAll('_', ' ');

/** The cause in a transport failure reason or in termination details. */
export function causeOfReason(reason: string): Cause | undefined {
  return find(reasonRows, plain(reason)) ?? causeOfDetails(reason);
}

/** The cause in response code details. */
export function causeOfDetails(text: string): Cause | undefined {
  const end = text.search(/[[{(]/);
  const name = end < 0 ? text : text.slice(0, end);
  if (name.startsWith('upstream_reset_')) {
    return find(reasonRows, plain(text)) ?? find(resetRows, plain(text));
  }
  const known = details.get(name);
  if (known !== undefined) return known;
  if (/^http[123]\./.test(name)) {
    return {
      cause: 'HTTP was not spoken as it should be',
      hint: 'look at the client and the port',
    };
  }
  return undefined;
}
