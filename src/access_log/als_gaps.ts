// What ALS entries cannot say: operators that print `-` for them, and those that need the proxy to log more.

import { fields } from './fields.ts';
import type { Command } from './format/grammar.ts';
import { targetOf } from './parse/target.ts';

/** never: no ALS entry carries it. configured: only if the proxy's logger is told to add it. always: it is there. */
export type InAls = 'always' | 'configured' | 'never';

/** Request headers that Envoy puts into every entry. */
const always = [
  ':method',
  ':scheme',
  ':authority',
  'host',
  ':path',
  'user-agent',
  'referer',
  'x-forwarded-for',
  'x-request-id',
  'x-envoy-original-path',
];

/** What is worked out from other fields, or is ours to say. */
const derived = [
  'response.tx_duration',
  'request.query',
  'access_log.emit_time',
  'access_log.unique_id',
];

/** Whether ALS entries carry what a command prints. */
export function inAls(command: Command): InAls {
  const { operator, args } = command;
  switch (operator.kind) {
    case 'header': {
      const { name, other } = args.header!;
      const names = [name, ...(other === undefined ? [] : [other])];
      const isRequest = operator.field === 'request.headers.';
      if (isRequest && names.some((one) => always.includes(one))) return 'always';
      return operator.field === 'response.headers.' && name === ':status' ? 'always' : 'configured';
    }
    case 'path':
    case 'query':
    case 'query_param':
    case 'cel':
    case 'coalesce':
    case 'environment':
      return 'always';
    case 'grpc_status':
    case 'xfcc':
    case 'headers':
    case 'filter_state':
      return operator.field.startsWith('upstream.') ? 'never' : 'configured';
    case 'metadata':
      return args.metadata!.prefix === 'metadata.' ? 'always' : 'never';
    case 'nothing':
      return 'never';
    case 'common_duration':
      return [args.duration!.start, args.duration!.end].every(isAlsPoint) ? 'always' : 'never';
    default:
      break;
  }
  const field = operator.kind === 'port' ? operator.field : targetOf(command).field;
  if (field.startsWith('mesh.') || derived.includes(field)) return 'always';
  return fields.get(field)?.als === undefined ? 'never' : 'always';
}

const alsPoints =
  /^(DS_RX_BEG|DS_RX_END|US_TX_BEG|US_TX_END|US_RX_BEG|US_RX_END|DS_TX_BEG|DS_TX_END)$/;
const isAlsPoint = (point: string): boolean => alsPoints.test(point);
