// Which file is this? Device and inode say it while the file is open; afterwards they are guarded by its first bytes
// (fingerprint) and by the bytes before the place that was read last (tail).

import { hash } from 'node:crypto';
import { readSync } from 'node:fs';
import type { GzipSource } from './gzip_source.ts';

/** Bytes before a position that have to be what they were. They come along with every read. */
export const tailBytes = 64;
/** With less than this in common, two files are not taken for one. */
export const alikeBytesMin = 16;

export type Fingerprint = {
  readonly bytes: number;
  readonly hash: string;
};

export const noFingerprint: Fingerprint = { bytes: 0, hash: '' };

/** The fingerprint of a file that begins with `head`. */
export function fingerprintOf(head: Uint8Array): Fingerprint {
  return { bytes: head.length, hash: hash('sha256', head, 'hex').slice(0, 32) };
}

/** Whether a file that begins with `head` can be one that had this fingerprint. No bytes are like nothing. */
export function startsWith(head: Uint8Array, fingerprint: Fingerprint): boolean {
  const { bytes } = fingerprint;
  if (bytes === 0 || head.length < bytes) return false;
  return fingerprintOf(head.subarray(0, bytes)).hash === fingerprint.hash;
}

/**
 * The stable name of a generation of a file (`generation` counts how often its inode began anew): the same whenever and
 * by whichever process it is read.
 */
export function idOf(file: { dev: bigint; ino: bigint; generation: number }, head: Buffer): string {
  const newline = head.indexOf(10);
  const line = (newline < 0 ? head : head.subarray(0, newline)).toString('latin1');
  const text = `${file.dev}:${file.ino}:${file.generation}:${line}`;
  return hash('sha256', text, 'hex').slice(0, 16);
}

/** An open file, decompressed if it is compressed. */
export type Bytes = { readonly fd: number; readonly gzip: GzipSource | undefined };

export async function readAt(file: Bytes, length: number, position: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  const count =
    file.gzip === undefined
      ? readSync(file.fd, bytes, 0, length, position)
      : await file.gzip.read(bytes, length, position);
  return bytes.subarray(0, count);
}

/** Whether the bytes before `position` are the ones that were seen there. */
export async function continues(file: Bytes, position: number, tail: Uint8Array): Promise<boolean> {
  if (position === 0) return true;
  // Where nothing was remembered the file must at least reach that far.
  const length = Math.max(1, tail.length);
  const found = await readAt(file, length, position - length);
  return found.length === length && (tail.length === 0 || found.equals(tail));
}

export function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}
