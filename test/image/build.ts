// npm run test:image: carries out the Dockerfile's steps in folders, one per stage, and runs what would be in the image.
// There is no container around it: absolute paths of RUN steps are moved below the stage's folder.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { copyOf, inContext, readDockerfile, type Stage } from '../support/dockerfile.ts';

const repository = resolve(import.meta.dirname, '../..');
const ignored = readFileSync(join(repository, '.dockerignore'), 'utf8');
const work = mkdtempSync(join(tmpdir(), 'meshlog-image-'));
const isRoot = process.getuid?.() === 0;

/** Node as in the image, and a chown that does nothing where it may not do anything. */
const tools = join(work, 'tools');
mkdirSync(tools);
if (!isRoot) {
  writeFileSync(join(tools, 'chown'), '#!/bin/sh\nexit 0\n');
  chmodSync(join(tools, 'chown'), 0o755);
}
const path = [tools, dirname(process.execPath), process.env['PATH']].join(':');
// npm finds its registry and proxy in the environment.
const environment = { ...process.env, PATH: path };

type Built = { readonly stage: Stage; readonly root: string; readonly directory: string };

const built: Built[] = [];
for (const stage of readDockerfile(readFileSync(join(repository, 'Dockerfile'), 'utf8'))) {
  built.push(build(stage));
}
const image = built.at(-1)!;
report(image);
await runAsTheImageDoes(image);
await runPipelines(image);
rmSync(work, { recursive: true, force: true });
console.log('the image runs');

function build(stage: Stage): Built {
  const root = join(work, stage.name ?? 'image');
  mkdirSync(root);
  let directory = '/';
  for (const step of stage.steps) {
    if (step.name === 'WORKDIR') {
      directory = step.text;
      mkdirSync(join(root, directory), { recursive: true });
    }
    if (step.name === 'COPY') {
      const { from, sources, target } = copyOf(step);
      for (const source of sources) {
        const origin = from === undefined ? repository : rootOf(from);
        if (from === undefined && !inContext(source, ignored)) {
          throw new Error(`line ${step.line}: ${source} is not in the build context`);
        }
        const name = target.endsWith('/') ? join(target, basename(source)) : target;
        const place = join(root, resolve(directory, name));
        mkdirSync(dirname(place), { recursive: true });
        cpSync(join(origin, source), place, { recursive: true, verbatimSymlinks: true });
      }
    }
    if (step.name === 'RUN') {
      console.log(`${(stage.name ?? 'image').padEnd(8)} ${step.text}`);
      const moved = step.text.replace(/(?<=\s)\/(?=(etc|var|opt)\/)/g, `${root}/`);
      execFileSync('sh', ['-ec', moved], {
        cwd: join(root, directory),
        env: environment,
        stdio: ['ignore', 'ignore', 'inherit'],
        timeout: 180_000,
      });
    }
  }
  return { stage, root, directory: join(root, directory) };
}

function rootOf(name: string): string {
  const found = built.find(({ stage }) => stage.name === name);
  if (found === undefined) throw new Error(`no stage ${name}`);
  return found.root;
}

/** What the parts weigh; the base image comes on top. */
function report({ directory }: Built): void {
  const parts = ['node_modules', 'dist', 'pipelines'].map((name) => [
    name,
    megabytes(join(directory, name)),
  ]);
  for (const [name, size] of parts) console.log(`${String(name).padEnd(14)} ${size} MB`);
}

function megabytes(folder: string): string {
  let bytes = 0;
  for (const name of globSync('**/*', { cwd: folder })) {
    const stat = lstatSync(join(folder, name));
    if (stat.isFile()) bytes += stat.size;
  }
  return (bytes / 1e6).toFixed(1).padStart(6);
}

type Running = { child: ChildProcess; output: () => string };

function start({ directory }: Built, args: readonly string[]): Running {
  const child = spawn('node', args, {
    cwd: directory,
    env: { PATH: path, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  return { child, output: () => output };
}

async function until(what: string, { child, output }: Running, ready: () => Promise<boolean>) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    if (await ready()) return;
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error(`${what}\n${output()}`);
    }
    await new Promise((done) => setTimeout(done, 100));
  }
}

async function stop(running: Running): Promise<number | null> {
  const exited = once(running.child, 'exit');
  running.child.kill('SIGTERM');
  const [code] = (await exited) as [number | null];
  return code;
}

/** ENTRYPOINT and CMD, the health check as written, and SIGTERM. */
async function runAsTheImageDoes(built: Built): Promise<void> {
  const words = (name: string): readonly string[] =>
    built.stage.steps.find((step) => step.name === name)?.words ?? [];
  const moved = [...words('ENTRYPOINT'), ...words('CMD')]
    .slice(1)
    .map((word) => (word.startsWith('/') ? join(built.root, word) : word));
  const running = start(built, moved);
  const check = built.stage.steps.find(({ name }) => name === 'HEALTHCHECK')?.text ?? '';
  const [program = '', ...args] = JSON.parse(check.slice(check.indexOf('['))) as string[];
  const isHealthy = async (): Promise<boolean> => {
    try {
      execFileSync(program, args, { env: environment, stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  await until('HEALTHCHECK does not pass', running, isHealthy);
  await until('nothing came out', running, async () => /GET +\//.test(running.output()));
  const code = await stop(running);
  if (code !== 0) throw new Error(`SIGTERM: exit code ${code}\n${running.output()}`);
  console.log('ENTRYPOINT and CMD start, HEALTHCHECK passes, SIGTERM ends with 0');
}

/** Each ready pipeline starts and stops with what is installed. */
async function runPipelines(built: Built): Promise<void> {
  for (const name of globSync('pipelines/*.yaml', { cwd: built.directory }).sort()) {
    const state = join(work, 'state', basename(name));
    mkdirSync(state, { recursive: true });
    const running = start(built, [
      'dist/main.js',
      'run',
      '--config',
      name,
      '--config',
      `yaml:service::state_directory: ${state}`,
      '--config',
      'yaml:service::admin::endpoint: 127.0.0.1:18888',
    ]);
    await until(`${name} does not start`, running, () =>
      fetch('http://127.0.0.1:18888/healthz').then(
        (response) => response.ok,
        () => false,
      ),
    );
    // Served a moment before signals are.
    await new Promise((done) => setTimeout(done, 500));
    const code = await stop(running);
    if (code !== 0) throw new Error(`${name}: exit code ${code}\n${running.output()}`);
    console.log(`${name} starts and stops`);
  }
  if (!existsSync(join(built.directory, 'dist/main.js'))) throw new Error('no program');
}
