// The stages of the Dockerfile as folders, and containers from the last one as an engine would run them.

import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Container, makeRoot, newVolume, runStep } from './container.ts';
import { copyOf, inContext, readDockerfile, type Stage } from './dockerfile.ts';

const repository = resolve(import.meta.dirname, '../..');
const ignored = readFileSync(join(repository, '.dockerignore'), 'utf8');

export const stages = readDockerfile(readFileSync(join(repository, 'Dockerfile'), 'utf8'));

export type Image = {
  readonly stage: Stage;
  /** Its file system. */
  readonly root: string;
  /** The WORKDIR at the end. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
};

/** Carries out the steps of a stage in `root`; `rootOf` knows the file systems of the stages that it copies from. */
export function buildStage(stage: Stage, root: string, rootOf: (stage: string) => string): Image {
  makeRoot(root);
  let directory = '/';
  const env: Record<string, string> = {};
  for (const step of stage.steps) {
    if (step.name === 'WORKDIR') {
      directory = step.text;
      mkdirSync(join(root, directory), { recursive: true });
    }
    if (step.name === 'ENV') {
      const [name = '', value = ''] = step.text.split('=');
      env[name] = value;
    }
    if (step.name === 'COPY') copy(step, { root, directory, rootOf });
    if (step.name === 'RUN') runStep(root, directory, step.text);
  }
  return { stage, root, directory, env };
}

function copy(
  step: Stage['steps'][number],
  to: { root: string; directory: string; rootOf: (stage: string) => string },
): void {
  const { from, sources, target } = copyOf(step);
  for (const source of sources) {
    if (from === undefined && !inContext(source, ignored)) {
      throw new Error(`line ${step.line}: ${source} is not in the build context`);
    }
    const origin = from === undefined ? repository : to.rootOf(from);
    const name = target.endsWith('/') ? join(target, basename(source)) : target;
    const place = join(to.root, resolve(to.directory, name));
    mkdirSync(dirname(place), { recursive: true });
    cpSync(join(origin, source), place, { recursive: true, verbatimSymlinks: true });
  }
}

const words = ({ stage }: Image, name: string): readonly string[] =>
  stage.steps.find((step) => step.name === name)?.words ?? [];

/** The command of HEALTHCHECK. */
export function healthCheck({ stage }: Image): string[] {
  const text = stage.steps.find(({ name }) => name === 'HEALTHCHECK')?.text ?? '';
  return JSON.parse(text.slice(text.indexOf('['))) as string[];
}

export type RunOptions = {
  /** Instead of CMD. */
  readonly args?: readonly string[];
  /** Where the documented volume lies on this machine; the image's own content is copied there first. */
  readonly state: string;
  /** Files and folders that are mounted read-only, by their place in the container. */
  readonly mounts?: Readonly<Record<string, string>>;
};

/** `docker run --read-only -v state:/var/lib/meshlog IMAGE ARGS`. `state` is made when it is not there. */
export function runImage(image: Image, { args, state, mounts = {} }: RunOptions): Container {
  const [volume = ''] = words(image, 'VOLUME');
  newVolume(image.root, volume, state);
  const readOnly = Object.entries(mounts).map(([place, from]) => [place, { from, readOnly: true }]);
  return new Container({
    root: image.root,
    directory: image.directory,
    user: words(image, 'USER')[0] ?? '0:0',
    env: image.env,
    command: [...words(image, 'ENTRYPOINT'), ...(args ?? words(image, 'CMD'))],
    volumes: { [volume]: { from: state, readOnly: false }, ...Object.fromEntries(readOnly) },
  });
}
