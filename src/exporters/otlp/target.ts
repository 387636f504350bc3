// Where records go and how: the settings, and OpenTelemetry's environment variables for what they leave out.

import { type Endpoint, endpointText, parseEndpoint } from '../../config/fields.ts';
import type { ClientTls } from '../../wire/tls.ts';
import type { OtlpSettings } from './settings.ts';

export type Protocol = 'grpc' | 'http/protobuf' | 'http/json';

export type Target = {
  readonly protocol: Protocol;
  readonly address: Endpoint;
  /** For http. */
  readonly path: string;
  /** Undefined: plain text. */
  readonly tls: ClientTls | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: 'none' | 'gzip' | 'zstd';
  /** As people write it. */
  readonly text: string;
};

type Environment = Readonly<Record<string, string | undefined>>;

type Parsed = {
  readonly scheme: 'http' | 'https' | undefined;
  readonly path: string;
  /** The port is undefined when the text has none. */
  readonly withPort: (port: number) => Endpoint;
};

/** Reads an endpoint in any of the forms that users of OpenTelemetry and of Kuma write. */
export function parseTarget(text: string): Parsed | undefined {
  const match = /^(?:(https?):\/\/|dns:\/\/\/)?(.*)$/i.exec(text.trim());
  const rest = match?.[2] ?? '';
  const slash = rest.startsWith('unix:') ? -1 : rest.indexOf('/');
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  if (authority === '' || authority.startsWith(':')) {
    // `:4317` would mean all interfaces, which nobody can connect to; `::1` is an address.
    if (!/^:[0-9a-f:.]*:/i.test(authority)) return undefined;
  }
  if (parseEndpoint(authority, 0) === undefined) return undefined;
  return {
    scheme: match?.[1]?.toLowerCase() as Parsed['scheme'],
    path: slash < 0 ? '' : rest.slice(slash),
    withPort: (port) => parseEndpoint(authority, port) as Endpoint,
  };
}

/** Of one variable, first as it is for logs alone. Empty counts as unset. */
function variable(environment: Environment, name: string): string | undefined {
  for (const key of [`OTEL_EXPORTER_OTLP_LOGS_${name}`, `OTEL_EXPORTER_OTLP_${name}`]) {
    const value = environment[key]?.trim();
    if (value !== undefined && value !== '') return value;
  }
  return undefined;
}

export function environmentEndpoint(environment: Environment): string | undefined {
  return variable(environment, 'ENDPOINT');
}

/** Milliseconds, as the specification has it; what is no number counts as unset. */
export function environmentTimeoutMs(environment: Environment): number | undefined {
  const value = variable(environment, 'TIMEOUT');
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}

/** Puts settings and environment together. The settings have been checked. */
export function resolveTarget(settings: OtlpSettings, environment: Environment): Target {
  const protocol =
    settings.protocol ?? oneOf(variable(environment, 'PROTOCOL'), protocols) ?? 'grpc';
  const whole = wholeUrl(settings, environment);
  const text = whole ?? settings.endpoint ?? environmentEndpoint(environment) ?? '';
  const parsed = parseTarget(text);
  if (parsed === undefined) throw new Error(`cannot use the endpoint "${text}"`);
  const address = parsed.withPort(defaultPort(protocol, parsed.scheme));
  const base = parsed.path.replace(/\/+$/, '');
  const asIs = whole !== undefined || base.endsWith('/v1/logs');
  const compression =
    settings.compression ?? oneOf(variable(environment, 'COMPRESSION'), compressions) ?? 'none';
  return {
    protocol,
    address,
    path: asIs ? parsed.path || '/' : `${base}/v1/logs`,
    tls: tlsOf(settings, parsed.scheme, environment),
    headers: { ...environmentHeaders(environment), ...lowerCase(settings.headers) },
    compression: protocol === 'grpc' && compression === 'zstd' ? 'none' : compression,
    text: endpointText(address),
  };
}

const protocols = ['grpc', 'http/protobuf', 'http/json'] as const;
const compressions = ['none', 'gzip', 'zstd'] as const;

const oneOf = <T extends string>(value: string | undefined, words: readonly T[]): T | undefined =>
  words.find((word) => word === value);

/** A URL to which no path is added. */
function wholeUrl(settings: OtlpSettings, environment: Environment): string | undefined {
  if (settings.logs_endpoint !== undefined) return settings.logs_endpoint;
  if (settings.endpoint !== undefined) return undefined;
  const value = environment['OTEL_EXPORTER_OTLP_LOGS_ENDPOINT']?.trim();
  return value === '' ? undefined : value;
}

function defaultPort(protocol: Protocol, scheme: Parsed['scheme']): number {
  if (protocol === 'grpc') return 4317;
  if (scheme === undefined) return 4318;
  return scheme === 'https' ? 443 : 80;
}

function tlsOf(
  settings: OtlpSettings,
  scheme: Parsed['scheme'],
  environment: Environment,
): ClientTls | undefined {
  if (settings.tls !== undefined) return settings.tls.insecure ? undefined : settings.tls;
  const ca_file = variable(environment, 'CERTIFICATE');
  const insecure = variable(environment, 'INSECURE')?.toLowerCase();
  const wanted =
    scheme === undefined
      ? insecure === 'false' || (ca_file !== undefined && insecure === undefined)
      : scheme === 'https';
  if (!wanted) return undefined;
  const cert_file = variable(environment, 'CLIENT_CERTIFICATE');
  const key_file = variable(environment, 'CLIENT_KEY');
  const both = cert_file !== undefined && key_file !== undefined;
  return {
    insecure: false,
    insecure_skip_verify: false,
    min_version: '1.2',
    ca_file,
    ...(both ? { cert_file, key_file } : {}),
  };
}

/** `k=v,k2=v2`, values percent-encoded, as in the specification. Those for logs alone win. */
function environmentHeaders(environment: Environment): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of ['OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_LOGS_HEADERS']) {
    for (const pair of (environment[name] ?? '').split(',')) {
      const equals = pair.indexOf('=');
      if (equals < 1) continue;
      const key = pair.slice(0, equals).trim().toLowerCase();
      const value = decoded(pair.slice(equals + 1).trim());
      if (/^[a-z0-9_.-]+$/.test(key) && /^[\x20-\x7e]*$/.test(value)) headers[key] = value;
    }
  }
  return headers;
}

const lowerCase = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([key, value]) => [key.toLowerCase(), value]));

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
