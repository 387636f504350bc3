// A path that may be a file to follow, opened to find out which file it is.

import { type BigIntStats, closeSync, fstatSync, statSync } from 'node:fs';
import { GzipSource } from './gzip_source.ts';
import type { Handles } from './handles.ts';
import { alikeBytesMin, type Bytes, continues, isGzip, readAt, startsWith } from './identity.ts';
import { isRotatedName } from './rotated_name.ts';
import type { Tailed } from './tailed.ts';

/** The file system's clock goes in steps. */
const clockStepMs = 20;

export type Candidate = Bytes & {
  readonly path: string;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeMs: number;
  /** Its first bytes, as many as a fingerprint has at most; decompressed. */
  readonly head: Buffer;
};

export type CandidateOptions = {
  readonly compression: 'none' | 'gzip' | 'auto';
  readonly headBytes: number;
};

/** Opens a regular file. Undefined when it is none, or is compressed and not there yet. Throws what opening throws. */
export async function openCandidate(
  handles: Handles,
  path: string,
  options: CandidateOptions,
): Promise<Candidate | undefined> {
  const fd = handles.look(path);
  try {
    const stats: BigIntStats = fstatSync(fd, { bigint: true });
    if (stats.isFile()) {
      const plain: Bytes = { fd, gzip: undefined };
      const start = await readAt(plain, 2, 0);
      const { compression } = options;
      const compressed =
        compression === 'gzip' ||
        (compression === 'auto' && (isGzip(start) || path.endsWith('.gz')));
      const bytes = compressed ? { fd, gzip: new GzipSource(fd) } : plain;
      const head = await readAt(bytes, options.headBytes, 0);
      if (!compressed || head.length > 0) {
        const { dev, ino, mtimeNs } = stats;
        const ctimeMs = Number(stats.ctimeMs);
        return { ...bytes, path, dev, ino, size: Number(stats.size), mtimeNs, ctimeMs, head };
      }
      bytes.gzip?.close();
    }
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  closeSync(fd);
  return undefined;
}

export function closeCandidate(candidate: Candidate): void {
  candidate.gzip?.close();
  closeSync(candidate.fd);
}

/** Whether the candidate begins as the file did and has the same bytes before the place where that one stands. */
export async function isSame(candidate: Candidate, file: Tailed): Promise<boolean> {
  if (!startsWith(candidate.head, file.fingerprint)) return false;
  if (file.finished && file.compressed) return candidate.gzip !== undefined;
  return continues(candidate, file.position, file.tail);
}

/**
 * Whether the candidate may be a copy of the file by more than chance: they have enough in common, or it has a name for
 * such a copy and was made after the file was read last.
 */
export function copyIsLikely(candidate: Candidate, file: Tailed): boolean {
  if (file.fingerprint.bytes >= alikeBytesMin) return true;
  return isRotatedName(candidate.path, file.path) && candidate.ctimeMs >= file.readMs - clockStepMs;
}

/** What stands at a path; undefined when nothing does, or it cannot be told. */
export function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
