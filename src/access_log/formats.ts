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
