// The messages that README explains are what the program says: each is provoked here.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, newFolder, removeFolder, root } from './acceptance/daemon.ts';
import { meshlog } from './cli/command.ts';
import { eventually, listening } from './support/sockets.ts';

const folder = newFolder();
const main = join(root, 'src/main.ts');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const [, section = ''] = readme.split('## Messages, and what to do');
const messages = [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, message = '']) => message);

/** A message with its PATH, N and so on left open. */
const pattern = (message: string): RegExp =>
  new RegExp(message.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&').replace(/\b(PATH|N)\b/g, '\\S+'));

/** Everything that was said, by whatever was tried. */
let said = '';

function refused(name: string, config: string): void {
  writeFileSync(join(folder, name), config);
  said += meshlog(['run', '--config', name], folder).stderr;
}

const service = (receivers: string, exporters: string): string => `
service:
  pipelines: { logs: { receivers: [${receivers}], processors: [parse, enrich], exporters: [${exporters}] } }
  admin: { endpoint: 127.0.0.1:0 }
  grace_period: 200ms
`;

beforeAll(async () => {
  const taken = createServer();
  const port = await listening(taken);
  refused('typo.yaml', 'processors: { sample: { percnt: 1 } }\n');
  refused(
    'unknown.yaml',
    'receivers: { nop: }\nexporters: { nop: }\nservice: { pipelines: { logs: { receivers: [nop], processors: [x], exporters: [nop] } } }\n',
  );
  refused(
    'port.yaml',
    `receivers: { tcp: { endpoint: 127.0.0.1:${port} } }\nexporters: { nop: }\nservice: { pipelines: { logs: { receivers: [tcp], exporters: [nop] } }, admin: { enabled: false } }\n`,
  );
  taken.close();

  // A daemon that has nothing but trouble.
  writeFileSync(join(folder, 'no_folder'), '');
  writeFileSync(join(folder, 'token'), 'x');
  writeFileSync(join(folder, 'some.log'), 'no access log\n');
  const file = join(folder, 'trouble.yaml');
  writeFileSync(
    file,
    `receivers:
  file/a: { include: ['logs/*.log'] }
  file/b: { include: [some.log], start_at: beginning }
  demo: { requests_per_second: 500 }
processors:
  parse: {}
  enrich: { inventory: { kubernetes: { server: 'http://127.0.0.1:${port}', token_file: token } } }
exporters:
  otlp: { endpoint: '127.0.0.1:${port}', queue: { size: 128KiB, batch: { min_size: 1KiB }, when_full: drop_newest } }
  otlp/disk: { endpoint: '127.0.0.1:${port}', queue: { type: disk } }
${service('file/a, file/b, demo', 'otlp, otlp/disk')}  state_directory: no_folder
  control_socket: control.sock
`,
  );
  const trouble = new DaemonProcess(file);
  await trouble.started();
  await eventually(() => /queue is full/.test(trouble.said) && /; retrying/.test(trouble.said));
  await eventually(() => /cannot follow pods/.test(trouble.said));
  const { stdout } = meshlog(['status', '--socket', join(folder, 'control.sock')]);
  writeFileSync(file, 'receivers: { tcp: { endpont: 1 } }\n');
  said += meshlog(['reload', '--socket', join(folder, 'control.sock')]).stderr;
  await trouble.stop();
  said += trouble.said + stdout;

  const parse = { input: 'no access log\n', encoding: 'utf8' } as const;
  said += spawnSync(process.execPath, [main, 'parse'], parse).stderr;

  // Two daemons, one state directory.
  const shared = `receivers: { nop: }
processors: { parse: {}, enrich: {} }
exporters: { file: { path: out.log, queue: { type: disk } } }
${service('nop', 'file')}  state_directory: state
`;
  writeFileSync(join(folder, 'shared.yaml'), shared);
  const first = new DaemonProcess(join(folder, 'shared.yaml'));
  await first.started();
  const second = new DaemonProcess(join(folder, 'shared.yaml'));
  expect(await second.ended).toBe(1);
  await first.stop();
  said += second.said;
}, 120_000);

afterAll(() => removeFolder(folder));

test('there are messages', () => {
  expect(messages.length).toBeGreaterThan(12);
});

/** Not provoked here: a test that runs as root may read everything. test/acceptance/missing_rights.test.ts does. */
const elsewhere = ['EACCES: permission denied'];

test.each(messages.filter((message) => !elsewhere.includes(message)))('%s', (message) => {
  expect(said).toMatch(pattern(message));
});
