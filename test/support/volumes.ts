// State volumes as bad as they come: real file systems, mounted where only one process sees them. Not every machine lets
// a test do that; then it says why it was skipped.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const isRoot = process.getuid?.() === 0;
/** Mounts of a process's own; a user's own root where we are none. */
const unshare = isRoot ? ['unshare', '-m'] : ['unshare', '-Urm'];

/** A command that runs `script` among mounts of its own and then becomes what follows it. */
export const amongOwnMounts = (script: string): string[] => [
  ...unshare,
  'sh',
  '-ec',
  `${script}; exec "$@"`,
  'sh',
];

/** Runs a script where process `pid` is. Throws with what it said. */
export function within(pid: number, script: string): void {
  const user = isRoot ? [] : ['-U', '--preserve-credentials'];
  ran('nsenter', ['-t', String(pid), ...user, '-m', 'sh', '-ec', script]);
}

/** A command that runs what follows it as a user without any right. */
export const asNobody: readonly string[] = [
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
];

/** With the places of a superuser's programs, which not every user's PATH has. */
export const adminEnv = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };

function ran(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { env: adminEnv, encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr.trim()}`);
}

/** Why something cannot be done here; undefined: it can. */
function obstacle(attempt: (folder: string) => void): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'meshlog-volume-'));
  try {
    attempt(folder);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Makes the file that `ext4At` mounts. */
export function ext4Image(path: string): void {
  writeFileSync(path, Buffer.alloc(0));
  ran('sh', ['-ec', `truncate -s 16M '${path}'; mkfs.ext4 -q -F '${path}'`]);
}

/** Why a test has to be skipped here, for its name; empty: it runs. */
export const skipped = {
  mounts: said(
    obstacle((folder) => {
      const [program = '', ...args] = amongOwnMounts(`mount -t tmpfs none '${folder}'`);
      ran(program, [...args, 'true']);
    }),
  ),
  ext4: said(
    obstacle((folder) => {
      const image = join(folder, 'image');
      ext4Image(image);
      const [program = '', ...args] = amongOwnMounts(`mount -o loop '${image}' '${folder}'`);
      ran(program, [...args, 'true']);
    }),
  ),
  users: said(obstacle(() => ran(asNobody[0] ?? '', [...asNobody.slice(1), 'true']))),
};

function said(why: string | undefined): string {
  return why === undefined ? '' : ` (SKIPPED HERE: ${why.replaceAll('\n', ' ')})`;
}
