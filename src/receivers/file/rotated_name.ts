// Names that rotation gives to files.

import { basename } from 'node:path';

/**
 * Whether `path` looks like a rotated name of `original`: `app.log.1`, `app.log-20250219.gz`, `app-20250219.log`,
 * `app.1.log`, `0.log.20250219-233547`.
 */
export function isRotatedName(path: string, original: string): boolean {
  const name = basename(path);
  const first = basename(original);
  if (name === first) return false;
  if (name.startsWith(first)) return /^[.\-_]/.test(name.slice(first.length));
  const dot = first.lastIndexOf('.');
  if (dot <= 0) return false;
  const stem = first.slice(0, dot);
  const rest = name.slice(stem.length);
  return name.startsWith(stem) && /^[.\-_]\d/.test(rest) && rest.includes(first.slice(dot));
}
