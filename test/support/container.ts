// A container without an engine: a folder as root file system, with namespaces of its own for mounts, processes and
// network, the user of the image and no right besides. Programs and libraries are those of this machine, read-only, and
// Node is the one that runs this.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { adminEnv } from './volumes.ts';

const path = '/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const systemFolders = ['bin', 'sbin', 'lib', 'lib64', 'usr'];
const systemFiles = [
  'passwd',
  'group',
  'hosts',
  'resolv.conf',
  'nsswitch.conf',
  'ld.so.cache',
  'npmrc',
];

/** Mounts what every container has below $R, which is a mount already. */
const base = `
mount --make-rprivate /
mount --bind "$R" "$R"
for folder in ${systemFolders.join(' ')}; do
  [ -L "$R/$folder" ] || { mount --bind "/$folder" "$R/$folder"; mount -o remount,ro,bind "$R/$folder"; }
done
mount --bind "$NODE" "$R/opt/node/bin/node"
mount -t proc proc "$R/proc"
mount -t tmpfs -o mode=755 none "$R/dev"
for device in null zero full random urandom; do
  : > "$R/dev/$device"; mount --bind "/dev/$device" "$R/dev/$device"
done
ln -s /proc/self/fd/1 "$R/dev/stdout"; ln -s /proc/self/fd/2 "$R/dev/stderr"
`;

/** Why there can be no containers here; empty: there can. */
export function containerObstacle(): string {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'it needs root on Linux';
  const tried = spawnSync('unshare', [
    '-mpn',
    '--fork',
    '--mount-proc',
    'ip',
    'link',
    'set',
    'lo',
    'up',
  ]);
  return tried.status === 0
    ? ''
    : `unshare: ${tried.error?.message ?? tried.stderr.toString().trim()}`;
}

/** Makes an empty folder a root file system with what the base image has. */
export function makeRoot(root: string): void {
  for (const folder of ['dev', 'proc', 'opt/node/bin', 'etc', 'var/lib', 'root']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  mkdirSync(join(root, 'tmp'), { mode: 0o1777 });
  copyFileSync('/dev/null', join(root, 'opt/node/bin/node'));
  for (const folder of systemFolders) {
    if (!existsSync(`/${folder}`)) continue;
    if (lstatSync(`/${folder}`).isSymbolicLink()) {
      symlinkSync(readlinkSync(`/${folder}`), join(root, folder));
    } else mkdirSync(join(root, folder));
  }
  for (const name of systemFiles) {
    if (existsSync(`/etc/${name}`)) copyFileSync(`/etc/${name}`, join(root, 'etc', name));
  }
  for (const name of ['ssl', 'ca-certificates']) {
    if (existsSync(`/etc/${name}`))
      cpSync(`/etc/${name}`, join(root, 'etc', name), { recursive: true, verbatimSymlinks: true });
  }
}

/** Carries a RUN step out: as root, with the network and the environment of this machine. Throws when it fails. */
export function runStep(root: string, directory: string, command: string): void {
  const script = `${base}\nexec chroot "$R" /bin/sh -ec 'cd "$1"; eval "$2"' sh "$0" "$1"`;
  execFileSync('unshare', ['-mp', '--fork', 'sh', '-ec', script, directory, command], {
    env: { ...process.env, R: root, NODE: process.execPath, PATH: path, HOME: '/root' },
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 300_000,
  });
}

export type ContainerOptions = {
  readonly root: string;
  readonly directory: string;
  /** As in USER: two numbers. */
  readonly user: string;
  readonly env: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  /** Folders and files of this machine by their place in the container. */
  readonly volumes: Readonly<Record<string, { readonly from: string; readonly readOnly: boolean }>>;
};

/** A container that runs, its root file system read-only. */
export class Container {
  /** Everything that it has written. */
  output = '';
  readonly #child: ChildProcess;
  readonly #options: ContainerOptions;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;

  constructor(options: ContainerOptions) {
    this.#options = options;
    const { root, directory, user, env, command, volumes } = options;
    const [uid, gid] = user.split(':');
    const mounts = Object.entries(volumes).map(
      ([place, { from, readOnly }]) =>
        `[ -e "$R${place}" ] || mkdir -p "$R${place}"\nmount --bind '${from}' "$R${place}"\n${readOnly ? `mount -o remount,ro,bind "$R${place}"` : ''}`,
    );
    const variables = Object.entries({ PATH: path, ...env }).map(
      ([name, value]) => `${name}=${value}`,
    );
    const script = `${base}
${mounts.join('\n')}
mount -o remount,ro,bind "$R"
ip link set lo up
exec chroot "$R" /usr/bin/setpriv --reuid=${uid} --regid=${gid} --clear-groups --no-new-privs --inh-caps=-all \
  --bounding-set=-all /usr/bin/env -i ${variables.join(' ')} /bin/sh -c 'cd "$0" && exec "$@"' "$0" "$@"`;
    this.#child = spawn(
      'unshare',
      ['-mpnui', '--fork', '--kill-child', 'sh', '-ec', script, directory, ...command],
      {
        env: { ...adminEnv, R: root, NODE: process.execPath },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
    this.ended = once(this.#child, 'close').then(([code, signal]) => signal ?? code);
  }

  /** The process that is number 1 inside, by its number out here; undefined: it has ended. */
  get #first(): string | undefined {
    const { pid } = this.#child;
    try {
      return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0];
    } catch {
      return undefined;
    }
  }

  /** Runs a command inside, as the same user. */
  exec(command: readonly string[]): { status: number | null; stdout: string; stderr: string } {
    const [uid = '', gid = ''] = this.#options.user.split(':');
    const { status, stdout, stderr } = spawnSync(
      'nsenter',
      [
        '-t',
        this.#first ?? '',
        '-m',
        '-p',
        '-n',
        '-r',
        '-w',
        '-S',
        uid,
        '-G',
        gid,
        '--',
        ...command,
      ],
      { env: { PATH: path }, encoding: 'utf8' },
    );
    return { status, stdout, stderr };
  }

  /** Polls until it holds. Rejects with the output when the container ends before, or when it takes too long. */
  async until(what: string, holds: () => boolean, timeoutMs = 20_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!holds()) {
      if (this.#child.exitCode !== null || Date.now() > deadline) {
        throw new Error(`${what}\n${this.output}`);
      }
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** As an engine stops it: the signal goes to process 1. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    const first = this.#first;
    if (first) process.kill(Number(first), signal);
    return await this.ended;
  }
}

/** A volume at `folder`: when it is new, with the content, owner and mode that the image gives the place. */
export function newVolume(root: string, place: string, folder: string): string {
  if (existsSync(folder)) return folder;
  mkdirSync(dirname(folder), { recursive: true });
  execFileSync('cp', ['-a', join(root, place), folder]);
  return folder;
}
