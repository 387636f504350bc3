// The image's last stage as a container, built from what is installed here: `npm run test:image` carries out the
// Dockerfile's other stages too, which fetch packages.

import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { containerObstacle } from './support/container.ts';
import { buildStage, healthCheck, type Image, runImage, stages } from './support/image.ts';

const repository = resolve(import.meta.dirname, '..');
const obstacle = containerObstacle();
const work = mkdtempSync(join(tmpdir(), 'meshlog-container-'));
let image: Image;

afterAll(() => rmSync(work, { recursive: true, force: true }));

/** What `npm ci --omit=dev --omit=optional` installs, from here. */
function productionModules(target: string): void {
  type Entry = { dev?: boolean; optional?: boolean; devOptional?: boolean };
  const lock = readFileSync(join(repository, 'package-lock.json'), 'utf8');
  const { packages } = JSON.parse(lock) as { packages: Record<string, Entry> };
  for (const [path, { dev, optional, devOptional }] of Object.entries(packages)) {
    if (path === '' || dev || optional || devOptional) continue;
    mkdirSync(dirname(join(target, path)), { recursive: true });
    const filter = (source: string): boolean =>
      !source.slice(repository.length + path.length + 2).includes('node_modules');
    cpSync(join(repository, path), join(target, path), { recursive: true, filter });
  }
}

describe.skipIf(obstacle !== '')(
  `the image as a container${obstacle === '' ? '' : ` (SKIPPED HERE: ${obstacle})`}`,
  () => {
    beforeAll(() => {
      const modules = join(work, 'modules');
      productionModules(join(modules, 'modules'));
      const built = join(work, 'build');
      // Types have been checked elsewhere.
      const compiler = join(repository, 'node_modules/.bin/tsc');
      execFileSync(
        compiler,
        ['-p', 'tsconfig.build.json', '--noCheck', '--outDir', join(built, 'build/dist')],
        {
          cwd: repository,
        },
      );
      const root = join(work, 'image');
      mkdirSync(root);
      image = buildStage(stages.at(-1)!, root, (stage) => (stage === 'modules' ? modules : built));
    }, 120_000);

    test('runs as process 1 without rights on a read-only root, is healthy, and SIGTERM drains it', async () => {
      const logs = join(work, 'logs');
      mkdirSync(logs);
      const lines = Array.from({ length: 5000 }, (_, n) => `line ${n}\n`).join('');
      writeFileSync(join(logs, 'a.log'), lines);
      const config = join(work, 'config.yaml');
      writeFileSync(
        config,
        `receivers: { file: { include: [/logs/*.log], start_at: beginning } }
exporters: { file: { path: /var/lib/meshlog/out.log, queue: { type: disk } } }
service:
  pipelines: { logs: { receivers: [file], exporters: [file] } }
  state_directory: /var/lib/meshlog
`,
      );
      const state = join(work, 'state');
      const mounts = { '/logs': logs, '/etc/meshlog/config.yaml': config };
      const container = runImage(image, { state, mounts });
      const check = healthCheck(image);
      await container.until('HEALTHCHECK does not pass', () => container.exec(check).status === 0);
      const { stdout } = container.exec(['cat', '/proc/1/cmdline', '/proc/1/status']);
      expect(stdout).toMatch(/^node\0/);
      expect(stdout).toMatch(/^Uid:\t1000\t1000\t1000\t1000$/m);
      expect(stdout).toMatch(/^CapBnd:\t0+$/m);
      for (const place of ['/opt/meshlog/x', '/etc/meshlog/x', '/tmp/x']) {
        expect(container.exec(['touch', place]).stderr).toMatch(/Read-only file system/);
      }
      const status = container.exec([
        'node',
        'dist/main.js',
        'status',
        '--config',
        '/etc/meshlog/config.yaml',
      ]);
      expect(status.stdout).toMatch(/^meshlog .* running/);
      appendFileSync(join(logs, 'a.log'), 'the last one\n');
      await container.until('the last line', () =>
        readFileSync(join(state, 'out.log'), 'utf8').includes('the last one'),
      );
      expect(await container.stop()).toBe(0);
      expect(container.output).toMatch(/stopped, nothing was left\n$/);
      expect(container.output).not.toMatch(/WARN|ERROR/);
      const written = readFileSync(join(state, 'out.log'), 'utf8').split('\n').slice(0, -1);
      expect(written.map((line) => JSON.parse(line).body)).toEqual(
        `${lines}the last one`.split('\n'),
      );
    });

    test('with a bad configuration ends with 78, the problem as its last lines', async () => {
      const config = join(work, 'bad.yaml');
      writeFileSync(config, 'receivers: { tcp: { endpont: 0.0.0.0:5170 } }\n');
      const mounts = { '/etc/meshlog/config.yaml': config };
      const container = runImage(image, { state: join(work, 'state-bad'), mounts });
      expect(await container.ended).toBe(78);
      expect(container.output).toContain(
        'receivers.tcp.endpont: unknown field; did you mean "endpoint"?',
      );
    });
  },
);
