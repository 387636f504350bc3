// Operators over headers and what is made of them: paths, query parameters, gRPC status, forwarded client certificates.

import type { Batch } from '../../pipeline/batch.ts';
import type { GrpcSpelling } from '../format/arguments.ts';
import type { Command } from '../format/grammar.ts';
import { grpcNumberOf, grpcOfHttp, grpcText } from '../grpc_status.ts';
import { headerField } from '../header_fields.ts';
import { FieldCells } from './field_cells.ts';
import { hostChange, queryCut, serverNameChange, textPiece } from './field_pieces.ts';
import type { Out } from './out.ts';
import { type NumberStyle, numberPiece, type Piece, stringPiece } from './piece.ts';

const path = 'request.path';
const originalPath = 'request.headers.x-envoy-original-path';

/** REQ, RESP, TRAILER and REQ_WITHOUT_QUERY. */
export function headerPiece({ operator, args, length }: Command): Piece {
  const { name, other } = args.header!;
  const names = [name, other].filter((one) => one !== undefined && one !== '') as string[];
  const change = operator.name === 'REQ_WITHOUT_QUERY' ? queryCut : undefined;
  return textPiece(
    names.map((one) => headerField(operator.field, one)),
    length,
    change,
  );
}

export function pathPiece({ args, length }: Command): Piece {
  const { query, from } = args.path!;
  const names = { ORIG: [originalPath], PATH: [path], ORIG_OR_PATH: [originalPath, path] };
  return textPiece(names[from], length, query ? undefined : queryCut);
}

/** Works out a text from one field; `given` is a field that holds it already. */
function derivedPiece(
  given: string,
  of: string,
  derive: (text: string) => string | undefined,
  length: number | undefined,
): Piece {
  const own = new FieldCells(given);
  const source = new FieldCells(of);
  return stringPiece(
    {
      begin: (batch) => {
        own.begin(batch);
        source.begin(batch);
      },
      text: (row, out) => {
        if (own.write(row, out)) return true;
        const text = source.text(row);
        const value = text === undefined ? undefined : derive(text);
        if (value === undefined) return false;
        out.text(value);
        return true;
      },
    },
    length,
  );
}

export function queryParameterPiece({ operator, args, length }: Command): Piece {
  const name = args.word ?? '';
  const derive = (text: string): string | undefined => {
    const question = text.indexOf('?');
    if (question < 0) return undefined;
    for (const pair of text.slice(question + 1).split('&')) {
      const equals = pair.indexOf('=');
      const key = equals < 0 ? pair : pair.slice(0, equals);
      if (decoded(key) === name) return decoded(equals < 0 ? '' : pair.slice(equals + 1));
    }
    return undefined;
  };
  return derivedPiece(operator.field + name, path, derive, length);
}

export function queryPiece({ operator, args, length }: Command): Piece {
  const derive = (text: string): string | undefined => {
    const question = text.indexOf('?');
    if (question < 0) return undefined;
    const query = text.slice(question + 1);
    return args.word === 'DECODED' ? decoded(query) : query;
  };
  return derivedPiece(operator.field, path, derive, length);
}

/** Percent signs undone; what is no valid escape stays. */
function decoded(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text.replace(/(?:%[0-9a-f]{2})+/gi, (run) =>
      Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'),
    );
  }
}

export function hostNamePiece({ operator }: Command): Piece {
  const names = [operator.field, 'upstream.address'];
  return textPiece(
    names,
    undefined,
    operator.name === 'UPSTREAM_HOST_NAME' ? undefined : hostChange,
  );
}

export function serverNamePiece({ operator, args }: Command): Piece {
  const host = 'request.host';
  const names = {
    SNI_ONLY: [operator.field],
    SNI_FIRST: [operator.field, host],
    HOST_FIRST: [host, operator.field],
  };
  return textPiece(names[args.serverName!.from], undefined, (out, from) => {
    if (args.serverName!.from !== 'SNI_ONLY') hostChange(out, from);
    serverNameChange(out, from);
  });
}

/** The status of a gRPC request: as parsed, else from the trailers, the headers, or the HTTP status. */
export function grpcPiece(spelling: GrpcSpelling, style: NumberStyle): Piece {
  const status = new GrpcStatus();
  if (spelling === 'NUMBER') {
    return numberPiece(
      { begin: (batch) => status.begin(batch), number: (row) => status.at(row) },
      style,
    );
  }
  return stringPiece({
    begin: (batch) => status.begin(batch),
    text: (row, out) => {
      const number = status.at(row);
      if (Number.isNaN(number)) return false;
      out.text(grpcText(number, spelling));
      return true;
    },
  });
}

class GrpcStatus {
  readonly #given = new FieldCells('response.grpc_status');
  readonly #trailer = new FieldCells('response.trailers.grpc-status');
  readonly #header = new FieldCells('response.headers.grpc-status');
  readonly #contentType = new FieldCells('request.headers.content-type');
  readonly #path = new FieldCells(path);
  readonly #code = new FieldCells('response.code');
  readonly #protocol = new FieldCells('mesh.protocol');

  begin(batch: Batch): void {
    this.#given.begin(batch);
    this.#trailer.begin(batch);
    this.#header.begin(batch);
    this.#contentType.begin(batch);
    this.#path.begin(batch);
    this.#code.begin(batch);
    this.#protocol.begin(batch);
  }

  /** NaN: there is none; -1: it is no number. */
  at(row: number): number {
    const given = this.#given.text(row);
    if (given !== undefined) return grpcNumberOf(given) ?? numberOf(given);
    if (!this.#isGrpc(row)) return Number.NaN;
    const text = this.#trailer.text(row) ?? this.#header.text(row);
    if (text !== undefined) return numberOf(text);
    const code = this.#code.number(row);
    return code > 0 ? grpcOfHttp(code) : Number.NaN;
  }

  #isGrpc(row: number): boolean {
    const type = this.#contentType.text(row);
    if (type === undefined) return this.#protocol.text(row) === 'grpc';
    return this.#path.has(row) && /^application\/grpc(\+|$)/.test(type);
  }
}

const numberOf = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : -1);

/** XFCC_VALUE: a key of the first element of x-forwarded-client-cert that has it. */
export function xfccPiece({ args }: Command): Piece {
  const header = new FieldCells('request.headers.x-forwarded-client-cert');
  const key = args.word ?? '';
  return stringPiece({
    begin: (batch) => header.begin(batch),
    text: (row: number, out: Out) => {
      const text = header.text(row);
      const value = text === undefined ? undefined : xfccValue(text, key);
      if (value === undefined) return false;
      out.text(value);
      return true;
    },
  });
}

/** Elements are separated by commas, pairs by semicolons; a quoted value may hold both. */
function xfccValue(header: string, key: string): string | undefined {
  let at = 0;
  while (at < header.length) {
    const equals = header.indexOf('=', at);
    if (equals < 0) return undefined;
    const name = header.slice(at, equals).trim().toLowerCase();
    let value = '';
    let i = equals + 1;
    const quoted = header[i] === '"';
    if (quoted) i++;
    for (; i < header.length; i++) {
      const c = header[i]!;
      if (quoted && c === '\\' && i + 1 < header.length) value += header[++i];
      else if (quoted ? c === '"' : c === ';' || c === ',') break;
      else value += c;
    }
    if (name === key && value !== '') return value;
    if (quoted) i++;
    at = i + 1;
  }
  return undefined;
}
