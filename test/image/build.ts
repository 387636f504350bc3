// npm run test:image: carries out every step of the Dockerfile, each stage in a root file system of its own, and runs
// what comes out as an engine would: read-only root, the user of the image, the documented volume, process 1.

import { globSync, lstatSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { containerObstacle } from '../support/container.ts';
import { buildStage, healthCheck, type Image, runImage, stages } from '../support/image.ts';

const obstacle = containerObstacle();
if (obstacle !== '') throw new Error(`the image cannot be built and run here: ${obstacle}`);

const work = mkdtempSync(join(tmpdir(), 'meshlog-image-'));
try {
  const image = build();
  weigh(image);
  await runAsItIs(image);
  await runPipelines(image);
  await refuseBadConfiguration(image);
  console.log('the image runs');
} finally {
  rmSync(work, { recursive: true, force: true });
}

function build(): Image {
  const built = new Map<string, Image>();
  let last: Image | undefined;
  for (const stage of stages) {
    const name = stage.name ?? 'image';
    const startMs = performance.now();
    const root = join(work, name);
    mkdirSync(root);
    last = buildStage(stage, root, (from) => built.get(from)?.root ?? '');
    built.set(name, last);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    console.log(`stage ${name.padEnd(8)} ${stage.steps.length} steps in ${seconds} s`);
  }
  if (last === undefined) throw new Error('the Dockerfile has no stage');
  return last;
}

/** What the parts weigh; the base image comes on top. */
function weigh({ root, directory }: Image): void {
  for (const name of ['node_modules', 'dist', 'pipelines']) {
    console.log(`${name.padEnd(14)} ${megabytes(join(root, directory, name))} MB`);
  }
}

function megabytes(folder: string): string {
  let bytes = 0;
  for (const name of globSync('**/*', { cwd: folder })) {
    const stat = lstatSync(join(folder, name));
    if (stat.isFile()) bytes += stat.size;
  }
  return (bytes / 1e6).toFixed(1).padStart(6);
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** ENTRYPOINT and CMD, HEALTHCHECK as written, what may be written, and SIGTERM. */
async function runAsItIs(image: Image): Promise<void> {
  const container = runImage(image, { state: join(work, 'state/demo') });
  const check = healthCheck(image);
  await container.until('HEALTHCHECK does not pass', () => container.exec(check).status === 0);
  await container.until('nothing came out', () => /GET +\//.test(container.output));
  const { stdout } = container.exec(['cat', '/proc/1/cmdline', '/proc/1/status']);
  expect(/^node\0/.test(stdout), `process 1 is no node: ${stdout.slice(0, 80)}`);
  expect(/^Uid:\t1000\t1000\t1000/m.test(stdout), 'process 1 is not user 1000');
  expect(/^CapEff:\t0+$/m.test(stdout), 'process 1 has capabilities');
  for (const place of ['/opt/meshlog/x', '/etc/meshlog/x', '/tmp/x', '/x']) {
    expect(container.exec(['touch', place]).status !== 0, `${place} can be written`);
  }
  expect(container.exec(['touch', '/var/lib/meshlog/x']).status === 0, 'no volume to write to');
  const code = await container.stop();
  expect(code === 0, `SIGTERM: exit code ${code}\n${container.output}`);
  expect(/stopped, nothing was left/.test(container.output), container.output);
  console.log(
    'as process 1 of user 1000 on a read-only root: healthy, SIGTERM drains and ends with 0',
  );
}

/** Each ready pipeline starts and stops with what is installed. */
async function runPipelines(image: Image): Promise<void> {
  const check = healthCheck(image);
  for (const name of globSync('pipelines/*.yaml', {
    cwd: join(image.root, image.directory),
  }).sort()) {
    const container = runImage(image, {
      args: ['run', '--config', name],
      state: join(work, 'state', basename(name)),
    });
    await container.until(`${name} is not healthy`, () => container.exec(check).status === 0);
    const code = await container.stop();
    expect(code === 0, `${name}: exit code ${code}\n${container.output}`);
    expect(!/ERROR|degraded/.test(container.output), `${name}: ${container.output}`);
    console.log(`${name} is healthy and stops`);
  }
}

async function refuseBadConfiguration(image: Image): Promise<void> {
  const config = join(work, 'bad.yaml');
  writeFileSync(config, 'receivers: { tcp: { endpont: 1 } }\n');
  const container = runImage(image, {
    state: join(work, 'state/bad'),
    mounts: { '/etc/meshlog/config.yaml': config },
  });
  const code = await container.ended;
  expect(code === 78, `a bad configuration: exit code ${code}\n${container.output}`);
  console.log('a bad configuration ends it with 78');
}
