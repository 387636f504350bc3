// The formats that have names, each in all its variants.

const request = `"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"`;
const traffic = '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%';
const client = `"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%"`;
const istioEnd =
  '%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME%';
const head = `[%START_TIME%] ${request} %RESPONSE_CODE% %RESPONSE_FLAGS%`;
const tail = `${traffic} ${client} "%UPSTREAM_HOST%"`;
const reason = '"%UPSTREAM_TRANSPORT_FAILURE_REASON%"';
const mixer = '"%DYNAMIC_METADATA(istio.mixer:status)%"';
const details = '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS%';

/** What Envoy prints when it is told no format. */
export const envoyDefault = `${head} ${tail}\n`;

/** Istio's text format since 1.24. */
export const istioText = `${head} ${details} ${reason} ${tail} %UPSTREAM_CLUSTER_RAW% ${istioEnd} %ROUTE_NAME%\n`;

/** Every text format that Istio has had by default, latest first; those that print alike are one. */
export const istioTexts: readonly (readonly [releases: string, text: string])[] = [
  ['Istio 1.9 and later', istioText],
  ['Istio 1.8', `${head} ${reason} ${tail} %UPSTREAM_CLUSTER% ${istioEnd} %ROUTE_NAME%\n`],
  [
    'Istio 1.3 to 1.7',
    `${head} ${mixer} ${reason} ${tail} %UPSTREAM_CLUSTER% ${istioEnd} %ROUTE_NAME%\n`,
  ],
  [
    'Istio 1.3, older proxies',
    `${head} ${mixer} ${reason} ${tail} %UPSTREAM_CLUSTER% ${istioEnd}\n`,
  ],
  ['Istio 1.1 and 1.2', `${head} ${mixer} ${tail} %UPSTREAM_CLUSTER% ${istioEnd}\n`],
];

/** Istio's JSON format since 1.24. Older ones have fewer of these keys, or `istio_policy_status` besides. */
export const istioLabels: Readonly<Record<string, string>> = {
  start_time: '%START_TIME%',
  route_name: '%ROUTE_NAME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
};

/** Kuma's default for TCP. */
export const kumaTcp =
  '[%START_TIME%] %RESPONSE_FLAGS% %KUMA_MESH% %KUMA_SOURCE_ADDRESS_WITHOUT_PORT%(%KUMA_SOURCE_SERVICE%)->%UPSTREAM_HOST%(%KUMA_DESTINATION_SERVICE%) took %DURATION%ms, sent %BYTES_SENT% bytes, received: %BYTES_RECEIVED% bytes';

const kumaServices =
  '"%KUMA_SOURCE_SERVICE%" "%KUMA_DESTINATION_SERVICE%" "%KUMA_SOURCE_ADDRESS_WITHOUT_PORT%" "%UPSTREAM_HOST%"';
const kumaHead = `[%START_TIME%] %KUMA_MESH% ${request} %RESPONSE_CODE% %RESPONSE_FLAGS% ${traffic} "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%"`;
const kumaIds = '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%"';

/** Kuma's default for HTTP as its code has it: with a trace id. */
export const kumaHttp = `${kumaHead} "%REQ(X-B3-TRACEID?X-DATADOG-TRACEID)%" ${kumaIds} ${kumaServices}`;

/** The same as Kuma documents it. */
export const kumaHttpDocumented = `${kumaHead} ${kumaIds} ${kumaServices}`;

const hangoKeys: readonly (readonly [key: string, value: string])[] = [
  ['method', '%REQ(:METHOD)%'],
  ['uri', '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%'],
  ['protocol', '%PROTOCOL%'],
  ['duration', '%DURATION%'],
  ['respCode', '%RESPONSE_CODE%'],
  ['userIp', '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'],
  ['xffIp', '%REQ(X-FORWARDED-FOR)%'],
  ['requestId', '%REQ(X-REQUEST-ID)%'],
  ['time', '%START_TIME(%s%3f)%'],
  ['upstreamHost', '%UPSTREAM_HOST%'],
  ['originHost', '%FILTER_STATE(x-envoy-origin-host:PLAIN)%'],
  ['originMethod', '%FILTER_STATE(x-envoy-origin-method:PLAIN)%'],
  ['originPath', '%FILTER_STATE(x-envoy-origin-path:PLAIN)%'],
  ['originStatus', '%FILTER_STATE(x-envoy-origin-status:PLAIN)%'],
  ['upstreamServiceTime', '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%'],
  ['cacheStatus', '%RESP(X-Cache-Status)%'],
  ['fuseStatus', '%RESP(X-Envoy-Circuitbreaking)%'],
  ['downgradeStatus', '%RESP(X-Downgrade-Status)%'],
  ['secureStatus', '%RESP(X-Secure-Status)%'],
  ['userAgent', '%REQ(USER-AGENT)%'],
  ['remoteUser', '%REQ(REMOTE-USER)%'],
  ['bodyBytesSent', '%BYTES_SENT%'],
  ['httpReferer', '%REQ(HTTP-REFERER)%'],
  ['requestAuthority', '%REQ(:AUTHORITY)%'],
  ['clusterName', '%FILTER_STATE(qz_cluster_name:PLAIN)%'],
  ['serviceName', '%FILTER_STATE(qz_svc_id:PLAIN)%'],
  ['apiId', '%FILTER_STATE(qz_api_id:PLAIN)%'],
  ['apiName', '%FILTER_STATE(qz_api_name:PLAIN)%'],
  ['responseFlags', '%RESPONSE_FLAGS%'],
  ['projectId', '%FILTER_STATE(qz_project_id:PLAIN)%'],
];

/** Hango's gateway: JSON by hand in a text format, so that values are not escaped. */
export const hango = `{${hangoKeys.map(([key, value]) => `"${key}":"${value}"`).join(',')}}\n`;

/** The text formats behind each name, most likely first. */
export const namedTexts: Readonly<
  Record<string, readonly (readonly [what: string, text: string])[]>
> = {
  envoy: [['Envoy', envoyDefault]],
  istio_text: istioTexts,
  kuma_tcp: [['Kuma, TCP', kumaTcp]],
  kuma_http: [
    ['Kuma, HTTP', kumaHttp],
    ['Kuma, HTTP without trace id', kumaHttpDocumented],
  ],
  hango: [['Hango', hango]],
};

/** Every name of a format. `auto`, `json`, `istio_json`, `als_json` and `cri` are read by the parse processor itself. */
export const formatNames = [
  'auto',
  'json',
  'als_json',
  'cri',
  'envoy',
  'istio_text',
  'istio_json',
  'kuma_tcp',
  'kuma_http',
  'hango',
  'ztunnel',
] as const;

export type FormatName = (typeof formatNames)[number];

export function isFormatName(text: string): text is FormatName {
  return (formatNames as readonly string[]).includes(text);
}
