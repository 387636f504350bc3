// The piece of every command: where the operator table meets what prints it.

import { type Command, parseCommand } from '../format/grammar.ts';
import { addressPiece, ipPiece, kumaAddressPiece, portPiece } from './address_pieces.ts';
import {
  alwaysPiece,
  commonDurationPiece,
  countPiece,
  detailsChange,
  directionPiece,
  durationPiece,
  environmentPiece,
  flagsPiece,
  reasonChange,
  responseTxPiece,
  textPiece,
  uniqueIdPiece,
} from './field_pieces.ts';
import {
  grpcPiece,
  headerPiece,
  hostNamePiece,
  pathPiece,
  queryParameterPiece,
  queryPiece,
  serverNamePiece,
  xfccPiece,
} from './http_pieces.ts';
import type { NumberStyle, Piece } from './piece.ts';
import {
  celPiece,
  coalescePiece,
  filterStatePiece,
  headersPiece,
  metadataPiece,
} from './struct_pieces.ts';
import { timePiece } from './time_piece.ts';

/** Fields that stand in for one that the record lacks, because they hold the same value. */
const standIns: Readonly<Record<string, readonly string[]>> = {
  'request.duration': ['request.duration', 'response.last_tx_duration'],
  'stream.id': ['stream.id', 'request.id'],
};

/** What prints a command. Throws FormatError for an expression that cannot be compiled. */
export function pieceOf(command: Command, style: NumberStyle): Piece {
  const { operator, args, length } = command;
  const { field } = operator;
  switch (operator.kind) {
    case 'count':
      return countPiece(field, style);
    case 'duration':
      if (operator.name === 'RESPONSE_TX_DURATION') return responseTxPiece(style);
      return durationPiece(standIns[field] ?? [field], style);
    case 'details':
      return textPiece([field], length, args.word === '' ? detailsChange : undefined);
    case 'reason':
      return textPiece([field], length, reasonChange);
    case 'always':
      return alwaysPiece(field, operator.name === 'ACCESS_LOG_TYPE' ? 'NotSet' : '');
    case 'server_name':
      return serverNamePiece(command);
    case 'address':
      return addressPiece(field, args.mask);
    case 'ip':
      return ipPiece(field, args.mask);
    case 'port':
      return portPiece(field, style);
    case 'host_name':
      return hostNamePiece(command);
    case 'flags':
      return flagsPiece(false);
    case 'flags_long':
      return flagsPiece(true);
    case 'time':
      return timePiece(command);
    case 'header':
      return headerPiece(command);
    case 'path':
      return pathPiece(command);
    case 'query':
      return queryPiece(command);
    case 'query_param':
      return queryParameterPiece(command);
    case 'metadata':
      return metadataPiece(command);
    case 'filter_state':
      return filterStatePiece(command);
    case 'common_duration':
      return commonDurationPiece(command, style);
    case 'grpc_status':
      return grpcPiece(args.grpc!, style);
    case 'xfcc':
      return xfccPiece(command);
    case 'headers':
      return headersPiece(command);
    case 'environment':
      return environmentPiece(command);
    case 'unique_id':
      return uniqueIdPiece();
    case 'coalesce': {
      const choices = args.choices!.map((source) => pieceOf(parseCommand(source), style));
      return coalescePiece(choices, length);
    }
    case 'cel':
      return celPiece(command);
    case 'direction':
      return directionPiece();
    case 'kuma_address':
      return kumaAddressPiece(field);
    case 'nothing':
      return textPiece([]);
    case 'text':
      return textPiece(standIns[field] ?? [field], length);
  }
}
