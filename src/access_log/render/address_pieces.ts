// Addresses whole, without port, only the port, and cut to a network. An address is Envoy's text; where the port is known
// apart (a line printed both), it is put together again.

import { isIPv4, isIPv6 } from 'node:net';
import { FieldCells } from './field_cells.ts';
import { type Out, written } from './out.ts';
import { type NumberStyle, numberPiece, type Piece, stringPiece } from './piece.ts';

type Parts = { readonly host: string; readonly port: string | undefined; readonly ip: boolean };

/** `ip:port`, `[v6]:port`, `ip`, `v6`, or something that is no internet address. */
function addressParts(text: string): Parts {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(text);
  if (bracketed?.[1] !== undefined) return { host: bracketed[1], port: bracketed[2], ip: true };
  const first = text.indexOf(':');
  if (first < 0) return { host: text, port: undefined, ip: isIPv4(text) };
  if (first === text.lastIndexOf(':') && isIPv4(text.slice(0, first))) {
    return { host: text.slice(0, first), port: text.slice(first + 1), ip: true };
  }
  return { host: text, port: undefined, ip: isIPv6(text.replace(/%.*$/, '')) };
}

const portField = (field: string): string => field.replace(/address$/, 'port');

/** The address as the proxy prints it. */
export function addressPiece(field: string, mask: number | undefined): Piece {
  const address = new FieldCells(field);
  const port = new FieldCells(portField(field));
  const piece = stringPiece({
    begin: (batch) => {
      address.begin(batch);
      port.begin(batch);
    },
    text: (row, out) => {
      const from = out.at;
      if (!address.write(row, out)) return false;
      if (mask === undefined && !port.has(row)) return true;
      const text = written(out, from);
      out.at = from;
      const parts = addressParts(text);
      if (mask !== undefined) out.text(parts.ip ? network(parts.host, mask) : text);
      else if (!parts.ip || parts.port !== undefined) out.text(text);
      else {
        out.text(parts.host.includes(':') ? `[${parts.host}]:` : `${parts.host}:`);
        port.write(row, out);
      }
      return true;
    },
  });
  return {
    ...piece,
    plain: () => (mask === undefined && port.isMissing() ? address : undefined),
    json: (row, out) =>
      mask === undefined && !port.has(row) ? address.writeJson(row, out) : piece.json(row, out),
  };
}

/** The address without its port; what is no internet address stays whole. */
export function ipPiece(field: string, mask: number | undefined): Piece {
  const address = new FieldCells(field);
  return stringPiece({
    begin: (batch) => address.begin(batch),
    text: (row, out) => {
      const from = out.at;
      if (!address.write(row, out)) return false;
      if (mask === undefined && cutV4Port(out, from)) return true;
      const text = written(out, from);
      const { host, ip } = addressParts(text);
      out.at = from;
      out.text(mask !== undefined && ip ? network(host, mask) : host);
      return true;
    },
  });
}

/** `1.2.3.4:80` where it stands. False when it is anything else. */
function cutV4Port(out: Out, from: number): boolean {
  const { buffer, at } = out;
  let i = from;
  while (i < at && ((buffer[i]! >= 48 && buffer[i]! <= 57) || buffer[i] === 46)) i++;
  if (i === from || (i < at && buffer[i] !== 58)) return false;
  for (let k = i + 1; k < at; k++) if (buffer[k]! < 48 || buffer[k]! > 57) return false;
  out.at = i;
  return true;
}

/** The port; an address without one prints nothing, and is null in JSON. */
export function portPiece(field: string, style: NumberStyle): Piece {
  const address = new FieldCells(field);
  const port = new FieldCells(portField(field));
  const numbers = numberPiece(
    {
      begin: (batch) => {
        address.begin(batch);
        port.begin(batch);
      },
      number: (row) => {
        if (port.has(row)) return port.number(row);
        const text = address.text(row);
        const digits = text === undefined ? undefined : addressParts(text).port;
        return digits === undefined ? Number.NaN : Number(digits);
      },
    },
    style,
  );
  return {
    ...numbers,
    text: (row, out) => numbers.text(row, out) || address.has(row),
  };
}

/** KUMA_SOURCE_ADDRESS: the address of the data plane with port 0. */
export function kumaAddressPiece(field: string): Piece {
  const address = new FieldCells(field);
  return stringPiece({
    begin: (batch) => address.begin(batch),
    text: (row, out) => {
      const text = address.text(row);
      if (text === undefined) return false;
      out.text(text.includes(':') ? `[${text}]:0` : `${text}:0`);
      return true;
    },
  });
}

/** The network of an address: `10.1.0.0/16`, `2001:db8::/32`. */
function network(ip: string, bits: number): string {
  const [address = ''] = ip.split('%');
  if (isIPv4(address)) {
    const size = Math.min(bits, 32);
    const bytes = address.split('.').map(Number);
    return `${mask(bytes, 8, size).join('.')}/${size}`;
  }
  const size = Math.min(bits, 128);
  return `${v6Text(mask(v6Groups(address), 16, size))}/${size}`;
}

function mask(groups: readonly number[], width: number, bits: number): number[] {
  return groups.map((group, i) => {
    const kept = Math.min(width, Math.max(0, bits - i * width));
    return group & ~((1 << (width - kept)) - 1);
  });
}

function v6Groups(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const left = groupsOf(head);
  const right = groupsOf(tail ?? '');
  const missing = Math.max(0, 8 - left.length - right.length);
  return [...left, ...new Array<number>(missing).fill(0), ...right].slice(0, 8);
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16) || 0];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

/** RFC 5952: the longest run of zeros, of two groups at least, is left out. */
function v6Text(groups: readonly number[]): string {
  let best = { at: -1, length: 1 };
  for (let i = 0; i < groups.length; i++) {
    let to = i;
    while (to < groups.length && groups[to] === 0) to++;
    if (to - i > best.length) best = { at: i, length: to - i };
  }
  const hex = (part: readonly number[]): string =>
    part.map((group) => group.toString(16)).join(':');
  if (best.at < 0) return hex(groups);
  return `${hex(groups.slice(0, best.at))}::${hex(groups.slice(best.at + best.length))}`;
}
