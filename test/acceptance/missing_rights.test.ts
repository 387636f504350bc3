// Paths that do not exist, files that may not be read, an API that refuses: named, counted, and the rest goes on.

import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { meshlog } from '../cli/command.ts';
import { eventually, listening } from '../support/sockets.ts';
import { asNobody, skipped } from '../support/volumes.ts';
import { DaemonProcess, newFolder, removeFolder } from './daemon.ts';

let folder = '';
let daemon: DaemonProcess;

beforeEach(() => {
  folder = newFolder();
  chmodSync(folder, 0o777);
  mkdirSync(join(folder, 'logs'));
});

afterEach(async () => {
  await daemon.stop('SIGKILL');
  removeFolder(folder);
});

async function start(
  include: readonly string[],
  enrich: object = {},
  wrapper: readonly string[] = [],
  socket = 'control.sock',
): Promise<void> {
  daemon = await DaemonProcess.started(
    folder,
    `receivers: { file: { include: ${JSON.stringify(include)}, start_at: beginning, poll_interval: 20ms } }
processors: { parse: {}, enrich: ${JSON.stringify(enrich)} }
exporters: { file: { path: out.log } }
service:
  pipelines: { logs: { receivers: [file], processors: [parse, enrich], exporters: [file] } }
  control_socket: ${socket}
  admin: { endpoint: 127.0.0.1:0 }
  grace_period: 2s
`,
    wrapper,
  );
}

const written = (): { body: unknown; attributes: Record<string, unknown> }[] =>
  readFileSync(join(folder, 'out.log'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
const bodies = (): unknown[] => written().map(({ body }) => body);
const status = (): string => meshlog(['status', '--socket', join(folder, 'control.sock')]).stdout;

test('log paths that do not exist are named, and read when they appear', async () => {
  writeFileSync(join(folder, 'logs/a.log'), 'one\n');
  const file = join(folder, 'proxy/access.log');
  await start(['logs/*.log', 'pods/*/*.log', 'proxy/access.log']);
  await eventually(() => bodies().length === 1);
  for (const path of [join(folder, 'pods'), file]) {
    expect(daemon.said).toContain(`WARN  receiver file: there is no ${path}; looking for it`);
  }
  expect(daemon.said.match(/there is no/g)?.length).toBe(3);
  expect(status()).toContain(`there is no ${join(folder, 'pods')}, ${file}`);
  expect(await daemon.metric('meshlog_file_missing_paths')).toBe(2);
  mkdirSync(join(folder, 'proxy'));
  writeFileSync(file, 'two\n');
  mkdirSync(join(folder, 'pods/p'), { recursive: true });
  writeFileSync(join(folder, 'pods/p/0.log'), 'three\n');
  await eventually(() => bodies().length === 3);
  await eventually(() => daemon.said.includes(`${file} is there now`));
  expect(await daemon.metric('meshlog_file_missing_paths')).toBe(0);
  expect(await daemon.stop()).toBe(0);
});

test.skipIf(skipped.users !== '')(
  `a log file and a folder that may not be read are named, and read once they may${skipped.users}`,
  async () => {
    writeFileSync(join(folder, 'logs/a.log'), 'one\n');
    writeFileSync(join(folder, 'logs/b.log'), 'two\n', { mode: 0o600 });
    mkdirSync(join(folder, 'closed'), { mode: 0o700 });
    writeFileSync(join(folder, 'closed/c.log'), 'three\n');
    await start(['logs/*.log', 'closed/*.log'], {}, asNobody);
    await eventually(() => bodies().length === 1);
    for (const path of ['logs/b.log', 'closed']) {
      await eventually(() => daemon.said.includes(`receiver file: ${join(folder, path)}: EACCES`));
    }
    appendFileSync(join(folder, 'logs/a.log'), 'four\n');
    await eventually(() => bodies().length === 2);
    // Said once each.
    expect(daemon.said.match(/EACCES/g)).toHaveLength(2);
    expect(status()).toContain('2 cannot be read, see the log');
    expect(await daemon.metric('meshlog_file_failing_files')).toBe(2);
    expect(await daemon.metric('meshlog_file_errors_total')).toBeGreaterThan(1);
    chmodSync(join(folder, 'logs/b.log'), 0o644);
    chmodSync(join(folder, 'closed'), 0o755);
    await eventually(() => bodies().length === 4);
    await eventually(() => /b\.log: works again/.test(daemon.said));
    expect(await daemon.stop()).toBe(0);
  },
);

test.skipIf(skipped.users !== '')(
  `a control socket that cannot be made is named, and made once it can be${skipped.users}`,
  async () => {
    writeFileSync(join(folder, 'logs/a.log'), 'one\n');
    mkdirSync(join(folder, 'closed'), { mode: 0o700 });
    await start(['logs/*.log'], {}, asNobody, 'closed/control.sock');
    await eventually(() => bodies().length === 1);
    expect(daemon.said).toMatch(/WARN .*no control socket.*EACCES/);
    chmodSync(join(folder, 'closed'), 0o777);
    await eventually(() => daemon.said.includes('the control socket is there now'));
    const socket = join(folder, 'closed/control.sock');
    expect(meshlog(['status', '--socket', socket]).stdout).toContain('running');
    expect(daemon.said.match(/no control socket/g)).toHaveLength(1);
    expect(await daemon.stop()).toBe(0);
  },
);

/** What the API server says to a service account without a role. */
const forbidden = (path: string): object => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: `${path.split('/').at(-1)} is forbidden: User "system:serviceaccount:meshlog:meshlog-agent" cannot list resource "${path.split('/').at(-1)}" in API group "" at the cluster scope`,
  reason: 'Forbidden',
  code: 403,
});

test('an API that refuses the inventory is named with what it said, and records go on without it', async () => {
  const api: Server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://api');
    response.writeHead(403, { 'content-type': 'application/json' });
    response.end(JSON.stringify(forbidden(pathname)));
  });
  const port = await listening(api);
  try {
    const line = {
      method: 'GET',
      path: '/',
      upstream_cluster: 'outbound|80||a.b.svc.cluster.local',
    };
    writeFileSync(join(folder, 'logs/a.log'), `${JSON.stringify(line)}\n`);
    const kubernetes = { server: `http://127.0.0.1:${port}`, resources: ['pods'] };
    await start(['logs/*.log'], { inventory: { kubernetes } });
    await eventually(() => bodies().length === 1);
    expect(written()[0]?.attributes).toMatchObject({ 'mesh.destination.service': 'a' });
    const named =
      /enrich: inventory: cannot follow pods.*403 pods is forbidden: User "system:serviceaccount:meshlog:meshlog-agent".*needs get, list and watch/;
    await eventually(() => named.test(daemon.said.replace('degraded: ', '')));
    const { status: code, lines } = await daemon.readiness();
    expect(code).toBe(200);
    expect(lines[1]).toMatch(named);
    expect(status()).toMatch(named);
    expect(await daemon.metric('meshlog_degraded', 'processor/enrich')).toBe(1);
    expect(await daemon.metric('meshlog_inventory_failures_total')).toBeGreaterThan(0);
    expect(await daemon.metric('meshlog_inventory_synced')).toBe(0);
    expect(await daemon.stop()).toBe(0);
  } finally {
    api.closeAllConnections();
    api.close();
  }
});
