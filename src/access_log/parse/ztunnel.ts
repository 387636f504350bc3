// ztunnel's access log: a time, a level, `access`, a message, then key=value with quotes where needed (logfmt).

import type { Batch } from '../../pipeline/batch.ts';
import { type Column, ESCAPED, NUMBER, TEXT } from '../../pipeline/column.ts';
import { parseTime } from '../../pipeline/time.ts';
import { type LineParser, NO_FIT, type ParseOutcome, UNDERSTOOD } from '../line_parser.ts';

/** Fields of keys; what is not here keeps its key as name. */
const fieldOfKey: Readonly<Record<string, string>> = {
  'src.addr': 'source.address',
  'src.workload': 'mesh.source.workload',
  'src.namespace': 'mesh.source.namespace',
  'src.service': 'mesh.source.service',
  'src.cluster': 'mesh.source.cluster',
  'src.identity': 'mesh.source.identity',
  'dst.workload': 'mesh.destination.workload',
  'dst.namespace': 'mesh.destination.namespace',
  'dst.cluster': 'mesh.destination.cluster',
  'dst.identity': 'mesh.destination.identity',
  'dst.service': 'mesh.destination.host',
  'dst.hbone_addr': 'destination.address',
  direction: 'mesh.direction',
  bytes_sent: 'response.size',
  bytes_recv: 'request.size',
  duration: 'request.duration',
  error: 'connection.termination_details',
};

/** Keys of one line: more are no access log. */
const pairsMax = 64;

export function ztunnelParser(): LineParser {
  return new ZtunnelParser();
}

class ZtunnelParser implements LineParser {
  readonly name = 'ztunnel';
  #reason = '';
  /** The pairs of the line that is being read: key and value, start and end. */
  readonly #pairs = new Int32Array(pairsMax * 4);
  #count = 0;

  begin(): void {
    this.#count = 0;
  }

  reason(): string {
    return this.#reason;
  }

  parse(batch: Batch, row: number, start: number, end: number): ParseOutcome {
    const { bytes } = batch;
    const timeEnd = wordEnd(bytes, start, end);
    if (!parseTime(bytes, start, timeEnd)) return this.#refuse('does not begin with a time');
    if (!this.#readPairs(bytes, timeEnd, end)) {
      return this.#refuse('has more keys than an access log line');
    }
    if (this.#find(bytes, 'src.addr') < 0 && this.#find(bytes, 'dst.addr') < 0) {
      return this.#refuse('has neither src.addr nor dst.addr');
    }
    const time = batch.ownColumn('request.time');
    time.setSpan(row, TEXT, start, timeEnd);
    batch.time ??= time;
    for (let i = 0; i < this.#count; i++) this.#keep(batch, row, i * 4);
    return UNDERSTOOD;
  }

  #refuse(reason: string): ParseOutcome {
    this.#reason = reason;
    return NO_FIT;
  }

  #readPairs(bytes: Buffer, from: number, end: number): boolean {
    this.#count = 0;
    let at = from;
    while (at < end) {
      while (at < end && isSpace(bytes[at]!)) at++;
      const keyStart = at;
      while (at < end && bytes[at] !== 61 && !isSpace(bytes[at]!)) at++;
      // A word without `=` belongs to the message.
      if (bytes[at] !== 61 || at >= end) continue;
      const keyEnd = at++;
      const quoted = at < end && bytes[at] === 34;
      const valueStart = quoted ? at + 1 : at;
      at = quoted ? quoteEnd(bytes, valueStart, end) : wordEnd(bytes, at, end);
      if (this.#count === pairsMax) return false;
      this.#pairs.set([keyStart, keyEnd, valueStart, at], this.#count++ * 4);
      if (quoted) at++;
    }
    return true;
  }

  #find(bytes: Buffer, key: string): number {
    for (let i = 0; i < this.#count * 4; i += 4) {
      if (bytes.latin1Slice(this.#pairs[i]!, this.#pairs[i + 1]!) === key) return i;
    }
    return -1;
  }

  #keep(batch: Batch, row: number, pair: number): void {
    const { bytes } = batch;
    const key = bytes.latin1Slice(this.#pairs[pair]!, this.#pairs[pair + 1]!);
    const start = this.#pairs[pair + 2]!;
    const end = this.#pairs[pair + 3]!;
    if (end <= start) return;
    const field = key === 'dst.addr' ? this.#tunnelField(bytes) : (fieldOfKey[key] ?? key);
    const column = batch.ownColumn(field);
    if (key === 'bytes_sent' || key === 'bytes_recv') keepNumber(bytes, column, row, start, end);
    else if (key === 'duration' && bytes[end - 1] === 115 && bytes[end - 2] === 109) {
      keepNumber(bytes, column, row, start, end - 2);
    } else {
      const escaped = bytes.subarray(start, end).includes(92);
      column.setSpan(row, escaped ? ESCAPED : TEXT, start, end);
    }
    if (key === 'dst.service') keepService(batch, row, start, end);
  }

  /** With an inner address the outer one is the tunnel: of the peer when going out, our own when coming in. */
  #tunnelField(bytes: Buffer): string {
    if (this.#find(bytes, 'dst.hbone_addr') < 0) return 'destination.address';
    const direction = this.#find(bytes, 'direction');
    const first = direction < 0 ? 0 : bytes[this.#pairs[direction + 2]!];
    return first === 111 ? 'upstream.address' : 'destination.direct_address';
  }
}

/** The service of a Kubernetes host name is its first label. */
function keepService(batch: Batch, row: number, start: number, end: number): void {
  const dot = batch.bytes.indexOf(46, start);
  const label = dot > start && dot < end ? dot : end;
  batch.ownColumn('mesh.destination.service').setSpan(row, TEXT, start, label);
}

function keepNumber(bytes: Buffer, column: Column, row: number, start: number, end: number): void {
  for (let i = start; i < end; i++) if (bytes[i]! < 48 || bytes[i]! > 57) return;
  if (end > start) column.setSpan(row, NUMBER, start, end);
}

const isSpace = (byte: number): boolean => byte === 32 || byte === 9;

function wordEnd(bytes: Buffer, at: number, end: number): number {
  let i = at;
  while (i < end && !isSpace(bytes[i]!)) i++;
  return i;
}

function quoteEnd(bytes: Buffer, at: number, end: number): number {
  let i = at;
  while (i < end && bytes[i] !== 34) i += bytes[i] === 92 ? 2 : 1;
  return Math.min(i, end);
}
