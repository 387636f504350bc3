// How the two sides talked: http, grpc or tcp; in the clear, with TLS, with TLS of both sides.

import type { Batch } from '../pipeline/batch.ts';
import { ABSENT, type Column, FALSE, TEXT, TRUE } from '../pipeline/column.ts';
import { type Names, NO_NAME } from './names.ts';

const httpColumns = ['request.protocol', 'request.method', 'request.path'];
/** What every record of a connection has some of: proxies' other messages have none. */
const callColumns = [
  ...httpColumns,
  'response.code',
  'response.flags',
  'source.address',
  'source.direct_address',
  'destination.address',
  'upstream.address',
  'xds.cluster_name',
  'request.duration',
  'request.size',
  'response.size',
  'mesh.source.service',
  'mesh.destination.service',
];
const grpcStatusColumns = [
  'response.grpc_status',
  'response.trailers.grpc-status',
  'response.headers.grpc-status',
];
const mediaTypeColumns = ['request.headers.content-type', 'response.headers.content-type'];
const grpcMediaType = Buffer.from('application/grpc');
const grpcAgent = Buffer.from('grpc-');

/** The words of both fields, as codes. */
class Words {
  readonly http: number;
  readonly grpc: number;
  readonly tcp: number;
  readonly none: number;
  readonly tls: number;
  readonly mtls: number;

  constructor(names: Names) {
    this.http = names.code('http');
    this.grpc = names.code('grpc');
    this.tcp = names.code('tcp');
    this.none = names.code('none');
    this.tls = names.code('tls');
    this.mtls = names.code('mtls');
  }
}

export class TransportReader {
  readonly #names: Names;
  #words: Words;
  #batch!: Batch;
  #call: Column[] = [];
  #http: Column[] = [];
  #grpcStatus: Column[] = [];
  #mediaTypes: Column[] = [];
  #agent: Column | undefined = undefined;
  #code: Column | undefined = undefined;
  #mtls: Column | undefined = undefined;
  #downstream: Column | undefined = undefined;
  #upstream: Column | undefined = undefined;
  #peerSan: Column | undefined = undefined;
  #peerSubject: Column | undefined = undefined;
  #upstreamSan: Column | undefined = undefined;

  constructor(names: Names) {
    this.#names = names;
    this.#words = new Words(names);
  }

  /** `renewed`: the codes of the names start anew. */
  begin(batch: Batch, renewed: boolean): void {
    if (renewed) this.#words = new Words(this.#names);
    const all = (names: readonly string[]) =>
      names.map((name) => batch.column(name)).filter((column) => column !== undefined);
    this.#batch = batch;
    this.#call = all(callColumns);
    this.#http = all(httpColumns);
    this.#grpcStatus = all(grpcStatusColumns);
    this.#mediaTypes = all(mediaTypeColumns);
    this.#agent = batch.column('request.useragent');
    this.#code = batch.column('response.code');
    this.#mtls = batch.column('connection.mtls');
    this.#downstream = batch.column('connection.tls_version');
    this.#upstream = batch.column('upstream.tls_version');
    this.#peerSan = batch.column('connection.uri_san_peer_certificate');
    this.#peerSubject = batch.column('connection.subject_peer_certificate');
    this.#upstreamSan = batch.column('upstream.uri_san_peer_certificate');
  }

  /** Whether a record is about a request or a connection at all. */
  isCall(row: number): boolean {
    return hasAny(this.#call, row);
  }

  /** The code of http, grpc or tcp. A record without anything of HTTP is one of a TCP connection. */
  protocol(row: number): number {
    const words = this.#words;
    if (!hasAny(this.#http, row) && !(this.#batch.number(this.#code, row) > 0)) return words.tcp;
    if (hasAny(this.#grpcStatus, row)) return words.grpc;
    for (let i = 0; i < this.#mediaTypes.length; i++) {
      if (this.#startsWith(this.#mediaTypes[i], row, grpcMediaType)) return words.grpc;
    }
    return this.#startsWith(this.#agent, row, grpcAgent) ? words.grpc : words.http;
  }

  /**
   * The code of none, tls or mtls for the call's own connection: towards downstream for who was called, towards
   * upstream for who calls. NO_NAME when the record does not say it: most formats do not print what went on upstream.
   */
  tlsMode(row: number, isOutbound: boolean, hasMeshServerName: boolean): number {
    const words = this.#words;
    if (isOutbound) {
      if (has(this.#upstreamSan, row)) return words.mtls;
      return has(this.#upstream, row) ? words.tls : NO_NAME;
    }
    // Istio's proxies send such a server name with mutual TLS only.
    if (hasMeshServerName || this.#mtls?.kind[row] === TRUE) return words.mtls;
    if (has(this.#peerSan, row) || has(this.#peerSubject, row)) return words.mtls;
    if (has(this.#downstream, row)) return words.tls;
    // ALS and CEL know of every TLS connection: silence means that there was none.
    const isKnown = this.#batch.source === 'als' || this.#mtls?.kind[row] === FALSE;
    return isKnown ? words.none : NO_NAME;
  }

  #startsWith(column: Column | undefined, row: number, prefix: Buffer): boolean {
    if (column === undefined || column.kind[row] === ABSENT) return false;
    if (column.kind[row] !== TEXT) {
      return this.#batch.text(column, row)?.startsWith(prefix.toString()) ?? false;
    }
    const start = column.a[row]!;
    if (column.b[row]! - start < prefix.length) return false;
    const bytes = this.#batch.bytes;
    for (let i = 0; i < prefix.length; i++) if (bytes[start + i] !== prefix[i]) return false;
    return true;
  }
}

function has(column: Column | undefined, row: number): boolean {
  return column !== undefined && column.kind[row] !== ABSENT;
}

function hasAny(columns: readonly Column[], row: number): boolean {
  for (let i = 0; i < columns.length; i++) if (columns[i]!.kind[row] !== ABSENT) return true;
  return false;
}
