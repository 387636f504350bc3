// Runs the program as a user does.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Run = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

/** In `directory`, with the given variables besides PATH. */
export function meshlog(
  args: readonly string[],
  directory = '.',
  env: Record<string, string> = {},
): Run {
  const main = join(import.meta.dirname, '../../src/main.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    cwd: directory,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    encoding: 'utf8',
  });
  return { code: status, stdout, stderr };
}

/** A new folder with these files. */
export function folderWith(files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), 'meshlog-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}
