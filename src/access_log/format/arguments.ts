// What stands between the parentheses of a command operator, read once when a format is compiled. The refusals are in
// Envoy's words where it has some.

import type { Operator } from '../operators.ts';
import { FormatError } from './format_error.ts';
import { compileTimeFormat, type TimeFormat } from './time_format.ts';

/** `(X?Y)` of headers: lower-case names; `other` is asked for when `name` is missing. */
export type HeaderArguments = { readonly name: string; readonly other: string | undefined };
/** `(NS:KEY*)`: the namespace and the path inside it, under the fields that begin with `prefix`. */
export type MetadataArguments = {
  readonly prefix: string;
  readonly namespace: string;
  readonly path: readonly string[];
};
export type FilterStateArguments = {
  readonly key: string;
  readonly how: 'PLAIN' | 'TYPED' | 'FIELD';
  readonly field: string;
};
/** Nanoseconds per unit printed. */
export type DurationArguments = {
  readonly start: string;
  readonly end: string;
  readonly unit: number;
};
export type GrpcSpelling = 'CAMEL_STRING' | 'SNAKE_STRING' | 'NUMBER';
export type PathArguments = {
  readonly query: boolean;
  readonly from: 'ORIG' | 'PATH' | 'ORIG_OR_PATH';
};
export type ServerNameArguments = {
  readonly from: 'SNI_ONLY' | 'SNI_FIRST' | 'HOST_FIRST';
};

/** The arguments of a command, by the kind of its operator. */
export type Arguments = {
  readonly header?: HeaderArguments;
  readonly metadata?: MetadataArguments;
  readonly filterState?: FilterStateArguments;
  readonly duration?: DurationArguments;
  readonly time?: TimeFormat;
  readonly grpc?: GrpcSpelling;
  readonly path?: PathArguments;
  readonly serverName?: ServerNameArguments;
  /** Bits of the network that an address is cut to. */
  readonly mask?: number;
  /** QUERY_PARAM, ENVIRONMENT, XFCC_VALUE, CEL: the parameter as it is. */
  readonly word?: string;
  /** COALESCE: the operators that are tried in turn, as written without percent signs. */
  readonly choices?: readonly string[];
};

const none: Arguments = {};

/** Reads the parameters of an operator. Throws FormatError. */
export function readArguments(operator: Operator, params: string): Arguments {
  switch (operator.kind) {
    case 'header':
      return { header: headerArguments(params) };
    case 'metadata':
      return { metadata: metadataArguments(operator, params) };
    case 'filter_state':
      return { filterState: filterStateArguments(params) };
    case 'common_duration':
      return { duration: durationArguments(params) };
    case 'time':
      return { time: compileTimeFormat(params, operator.name.endsWith('_LOCAL')) };
    case 'grpc_status':
      return { grpc: operator.name === 'GRPC_STATUS' ? grpcSpelling(params) : 'NUMBER' };
    case 'path':
      return { path: pathArguments(params) };
    case 'server_name':
      return { serverName: serverNameArguments(params) };
    case 'address':
    case 'ip':
      return params === '' ? none : { mask: maskOf(operator, params) };
    case 'xfcc':
      return { word: xfccKey(params) };
    case 'coalesce':
      return { choices: coalesceChoices(params) };
    case 'query_param':
    case 'environment':
    case 'cel':
    case 'query':
      return { word: params };
    case 'details':
      return { word: detailsOption(params) };
    default:
      return none;
  }
}

const forbidden = /[^!#$%&'*+\-.^_`|~0-9a-z:]/;

function headerArguments(params: string): HeaderArguments {
  const names = params.toLowerCase().split('?');
  if (names.length > 2) {
    throw new FormatError(`More than 1 alternative header specified in token: ${params}`);
  }
  if (names.some((name) => forbidden.test(name))) {
    throw new FormatError(
      'Invalid header configuration. Format string contains invalid characters.',
    );
  }
  const [name = '', other] = names;
  return { name, other: other === undefined || other === '' ? undefined : other };
}

const metadataPrefixes: Readonly<Record<string, string>> = {
  DYNAMIC: 'metadata.',
  CLUSTER: 'xds.cluster_metadata.',
  ROUTE: 'xds.route_metadata.',
  UPSTREAM_HOST: 'xds.upstream_host_metadata.',
  LISTENER: 'xds.listener_metadata.',
  LISTENER_FILTER_CHAIN: 'xds.listener_filter_chain_metadata.',
  VIRTUAL_HOST: 'xds.virtual_host_metadata.',
};

function metadataArguments(operator: Operator, params: string): MetadataArguments {
  const parts = params.split(':');
  let prefix = operator.field;
  if (prefix === '') {
    const type = parts.shift() ?? '';
    prefix = metadataPrefixes[type] ?? '';
    if (prefix === '') throw new FormatError(`${type} is not supported type of metadata`);
  }
  const [namespace = '', ...path] = parts;
  return { prefix, namespace, path };
}

function filterStateArguments(params: string): FilterStateArguments {
  const [key = '', how = '', field = ''] = params.split(':');
  if (key === '') {
    throw new FormatError('Invalid filter state configuration, key cannot be empty.');
  }
  if (how !== '' && how !== 'PLAIN' && how !== 'TYPED' && how !== 'FIELD') {
    throw new FormatError('Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.');
  }
  if ((how === 'FIELD') !== (field !== '')) {
    throw new FormatError(
      'Invalid filter state serialize type, FIELD should be used with the field name.',
    );
  }
  return { key, how: how === '' ? 'TYPED' : how, field };
}

const units: Readonly<Record<string, number>> = { ms: 1e6, us: 1e3, ns: 1 };

function durationArguments(params: string): DurationArguments {
  const [start, end, precision = 'ms', ...more] = params.split(':');
  if (start === undefined || end === undefined || more.length > 0) {
    throw new FormatError(`Invalid common duration configuration: ${params}.`);
  }
  const unit = units[precision];
  if (unit === undefined) {
    throw new FormatError(`Invalid common duration precision: ${precision}.`);
  }
  return { start, end, unit };
}

function grpcSpelling(params: string): GrpcSpelling {
  if (params === '' || params === 'CAMEL_STRING') return 'CAMEL_STRING';
  if (params === 'SNAKE_STRING' || params === 'NUMBER') return params;
  throw new FormatError('GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER.');
}

function pathArguments(params: string): PathArguments {
  const [query = '', from = '', ...more] = params.split(':');
  if (query !== '' && query !== 'WQ' && query !== 'NQ') {
    throw new FormatError(`Invalid PATH option: '${query}', only 'WQ'/'NQ' are allowed`);
  }
  if (more.length > 0 || !['', 'ORIG', 'PATH', 'ORIG_OR_PATH'].includes(from)) {
    throw new FormatError(
      `Invalid PATH option: '${from}', only 'ORIG'/'PATH'/'ORIG_OR_PATH' are allowed`,
    );
  }
  return {
    query: query !== 'NQ',
    from: from === '' ? 'ORIG_OR_PATH' : (from as PathArguments['from']),
  };
}

function serverNameArguments(params: string): ServerNameArguments {
  const [from = '', host = '', ...more] = params.split(':');
  const known = ['', 'SNI_ONLY', 'SNI_FIRST', 'HOST_FIRST'].includes(from);
  if (!known || more.length > 0 || !['', 'ORIG', 'HOST', 'ORIG_OR_HOST'].includes(host)) {
    throw new FormatError(`Invalid REQUESTED_SERVER_NAME option: '${params}'`);
  }
  return { from: from === '' ? 'SNI_ONLY' : (from as ServerNameArguments['from']) };
}

function maskOf(operator: Operator, params: string): number {
  const bits = /^\d{1,3}$/.test(params) ? Number(params) : Number.NaN;
  if (!(bits <= 128)) {
    throw new FormatError(`${operator.name}: expected the bits of a mask, got '${params}'`);
  }
  return bits;
}

const xfccKeys = ['by', 'hash', 'cert', 'chain', 'subject', 'uri', 'dns'];

function xfccKey(params: string): string {
  const key = params.toLowerCase();
  if (key === '') throw new FormatError('XFCC_VALUE command requires a subcommand');
  if (!xfccKeys.includes(key)) {
    throw new FormatError(`XFCC_VALUE command does not support subcommand: ${key}`);
  }
  return key;
}

function detailsOption(params: string): string {
  if (params === '' || params === 'ALLOW_WHITESPACES') return params;
  throw new FormatError(
    `Unknown argument: ${params}, only ALLOW_WHITESPACES is supported by RESPONSE_CODE_DETAILS`,
  );
}

function coalesceChoices(params: string): string[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(params);
  } catch {
    throw new FormatError(`COALESCE: expected a JSON object, got '${params}'`);
  }
  const list = (parsed as { operators?: unknown } | null)?.operators;
  if (!Array.isArray(list) || list.length === 0) {
    throw new FormatError('COALESCE: "operators" must be a list with at least one operator');
  }
  return list.map((entry: unknown) => {
    if (typeof entry === 'string') return entry;
    const { command, param, max_length } = (entry ?? {}) as Record<string, unknown>;
    if (typeof command !== 'string') {
      throw new FormatError('COALESCE: an operator is a name or {command, param, max_length}');
    }
    const inner = param === undefined ? '' : `(${String(param)})`;
    return `${command}${inner}${max_length === undefined ? '' : `:${String(max_length)}`}`;
  });
}
