// The bytes that values hold, as tables, and the shapes that anchor a value among free text.

import type { Shape } from '../header_fields.ts';
import type { Alphabet } from '../operators.ts';

/** 1 for every byte that is accepted. */
export type ByteTable = Uint8Array;

function tableOf(accepts: (byte: number) => boolean): ByteTable {
  return Uint8Array.from({ length: 256 }, (_, byte) => (accepts(byte) ? 1 : 0));
}

const letters = /[A-Za-z0-9]/;
const oneOf =
  (more: string) =>
  (byte: number): boolean => {
    const character = String.fromCharCode(byte);
    return byte < 128 && (letters.test(character) || more.includes(character));
  };

const visible = (byte: number): boolean => byte > 32;
const quote = 34;

const tables: Readonly<Record<Alphabet, ByteTable>> = {
  digits: tableOf((byte) => byte >= 48 && byte <= 57),
  duration: tableOf((byte) => byte >= 48 && byte <= 57),
  flags: tableOf(oneOf('_,.-')),
  protocol: tableOf(oneOf('/.-')),
  method: tableOf(oneOf("!#$%&'*+-.^_`|~")),
  address: tableOf(oneOf('.:[]/-_@%')),
  name: tableOf((byte) => visible(byte) && byte !== quote),
  token: tableOf((byte) => visible(byte) && byte !== quote),
  server_name: tableOf(oneOf('._-:')),
  id: tableOf(oneOf('-_:.')),
  sentence: tableOf((byte) => (visible(byte) || byte === 32) && byte !== quote),
  path: tableOf(visible),
  authority: tableOf((byte) => visible(byte) && byte !== quote),
  time: tableOf((byte) => visible(byte) || byte === 32),
  free: tableOf((byte) => byte >= 32 || byte === 9),
};

/** A copy of an alphabet's table that the caller may narrow. */
export function tableFor(alphabet: Alphabet): ByteTable {
  return tables[alphabet].slice();
}

/** Whether every byte of bytes[start, end) is in the table. */
export function allIn(table: ByteTable, bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (table[bytes[i]!] === 0) return false;
  return true;
}

const digits = tables.digits;
const hexDigits = tableOf((byte) => /[0-9a-fA-F]/.test(String.fromCharCode(byte)) && byte < 128);
const hexAndDash = tableOf((byte) => hexDigits[byte] === 1 || byte === 45);
const ipList = tableOf(
  (byte) => hexDigits[byte] === 1 || '.:, []'.includes(String.fromCharCode(byte)),
);

/** Whether bytes[start, end) look like values of that shape; `-` looks like any. */
export function hasShape(shape: Shape, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start === 1 && bytes[start] === 45) return true;
  switch (shape) {
    case 'uuid':
      return (
        end - start === 36 &&
        bytes[start + 8] === 45 &&
        bytes[start + 13] === 45 &&
        bytes[start + 18] === 45 &&
        bytes[start + 23] === 45 &&
        allIn(hexAndDash, bytes, start, end)
      );
    case 'ip_list':
      return end > start && allIn(ipList, bytes, start, end);
    case 'number':
      return end > start && allIn(digits, bytes, start, end);
    case 'hex':
      return end > start && allIn(hexAndDash, bytes, start, end);
    default:
      return false;
  }
}
