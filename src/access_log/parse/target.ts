// Where a parsed value goes: the field of a command, how its cell is kept, and what reading it back loses.

import type { Command } from '../format/grammar.ts';
import { timeReader } from '../format/time_reading.ts';
import {
  hasOwnField,
  headerAlphabet,
  headerField,
  headerShape,
  type Shape,
} from '../header_fields.ts';
import type { Alphabet } from '../operators.ts';
import { pointField, startPoint } from '../time_points.ts';

/** How a value becomes a cell. `-` is ABSENT in all of them but NONE. */
export type Store =
  /** It is checked and dropped. */
  | 'none'
  | 'text'
  | 'number'
  | 'flags'
  | 'flags_long'
  | 'time'
  | 'direction'
  | 'grpc'
  /** A number in other units than milliseconds. */
  | 'scaled'
  /** JSON or text, as metadata is printed. */
  | 'json'
  /** `ip:0`, kept without the port. */
  | 'kuma_address';

export type Target = {
  readonly field: string;
  readonly store: Store;
  readonly alphabet: Alphabet;
  readonly shape: Shape;
  /** What cannot be had back, in a few words. */
  readonly loses?: string;
};

/** What parsing makes of a command. */
export function targetOf(command: Command): Target {
  const target = whole(command);
  const { length } = command;
  if (length === undefined || target.loses !== undefined) return target;
  return { ...target, loses: `bytes after the first ${length}` };
}

function whole(command: Command): Target {
  const { operator, args } = command;
  const plain = { field: operator.field, alphabet: operator.alphabet, shape: 'none' as const };
  switch (operator.kind) {
    case 'count':
    case 'duration':
      return { ...plain, store: 'number' };
    case 'flags':
      return { ...plain, store: 'flags' };
    case 'flags_long':
      return { ...plain, store: 'flags_long' };
    case 'direction':
      return { ...plain, store: 'direction' };
    case 'grpc_status':
      return { ...plain, store: 'grpc' };
    case 'kuma_address':
      return { ...plain, store: 'kuma_address' };
    case 'time':
      return timeTarget(command);
    case 'header':
      return headerTarget(command);
    case 'ip':
      return { ...plain, store: 'text', loses: args.mask === undefined ? 'the port' : 'the host' };
    case 'address':
      return args.mask === undefined
        ? { ...plain, store: 'text' }
        : { ...plain, store: 'text', loses: 'the host and the port' };
    case 'port':
      return { ...plain, field: plain.field.replace(/address$/, 'port'), store: 'number' };
    case 'path':
      return pathTarget(command);
    case 'query_param':
      return { ...plain, field: `${operator.field}${args.word}`, store: 'text' };
    case 'environment':
      return { ...plain, field: `${operator.field}${args.word}`, store: 'text' };
    case 'metadata': {
      const { prefix, namespace, path } = args.metadata!;
      return { ...plain, field: prefix + [namespace, ...path].join('.'), store: 'json' };
    }
    case 'filter_state': {
      const { key, field } = args.filterState!;
      const name = operator.field + (field === '' ? key : `${key}.${field}`);
      return { ...plain, field: name, store: 'json' };
    }
    case 'common_duration':
      return durationTarget(command);
    case 'xfcc':
    case 'headers':
    case 'coalesce':
    case 'cel':
    case 'nothing':
      return { ...plain, field: '', store: 'none', loses: 'which fields it was made of' };
    default:
      return {
        ...plain,
        store: 'text',
        ...(isStreamId(command) ? { shape: 'uuid' as const } : {}),
      };
  }
}

const isStreamId = (command: Command): boolean => command.operator.name === 'STREAM_ID';

function timeTarget({ operator, args }: Command): Target {
  const plain = { field: operator.field, alphabet: operator.alphabet, shape: 'none' as const };
  const readable = args.time!.isDefault || timeReader(args.time!) !== undefined;
  if (readable) return { ...plain, store: 'time' };
  return { ...plain, store: 'text', loses: 'the time as a number: it does not print all of it' };
}

/** Of two headers the one with a field of its own, else the first: which one was printed cannot be known. */
function headerTarget({ operator, args }: Command): Target {
  const { name, other } = args.header!;
  const prefix = operator.field;
  const chosen =
    other !== undefined &&
    (name === '' || (!hasOwnField(prefix, name) && hasOwnField(prefix, other)))
      ? other
      : name;
  const field = headerField(prefix, chosen);
  const alphabet = headerAlphabet(prefix, chosen);
  const shape = headerShape(prefix, chosen);
  const store = field === 'response.code' ? 'number' : 'text';
  if (operator.name === 'REQ_WITHOUT_QUERY')
    return { field, store, alphabet, shape, loses: 'the query' };
  if (other === undefined) return { field, store, alphabet, shape };
  return { field, store, alphabet, shape, loses: 'which of the two headers it was' };
}

function pathTarget({ operator, args }: Command): Target {
  const { query, from } = args.path!;
  const field = from === 'ORIG' ? 'request.headers.x-envoy-original-path' : operator.field;
  const target = { field, store: 'text', alphabet: operator.alphabet, shape: 'none' } as const;
  if (!query) return { ...target, loses: 'the query' };
  return from === 'ORIG_OR_PATH' ? { ...target, loses: 'which of the two paths it was' } : target;
}

function durationTarget({ operator, args }: Command): Target {
  const { start, end, unit } = args.duration!;
  const point = start === startPoint ? pointField(end) : undefined;
  const field = point ?? `timing.${start}.${end}`;
  const store = unit === 1e6 ? 'number' : 'scaled';
  return { field, store, alphabet: operator.alphabet, shape: 'none' };
}
