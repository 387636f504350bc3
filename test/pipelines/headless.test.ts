// Agents behind a headless service: its name has the address of every gateway, and of one that joins later. The name is
// that of a hosts file which only the agent sees.

import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { DaemonProcess, newFolder, removeFolder } from '../acceptance/daemon.ts';
import { amongOwnMounts, skipped } from '../support/volumes.ts';

const folder = newFolder();
const daemons: DaemonProcess[] = [];

afterEach(async () => {
  for (const daemon of daemons) await daemon.stop('SIGKILL');
  removeFolder(folder);
});

async function started(name: string, config: string, wrapper: readonly string[] = []) {
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, config);
  const daemon = new DaemonProcess(file, {}, wrapper);
  daemons.push(daemon);
  await daemon.started();
  return daemon;
}

/** A port that is free on all addresses of this machine. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const service = (receiver: string, exporter: string): string => `service:
  pipelines: { logs: { receivers: [${receiver}], exporters: [${exporter}] } }
  admin: { endpoint: 127.0.0.1:0 }
`;

/** What a gateway has taken so far. */
const taken = (gateway: DaemonProcess): Promise<number> =>
  gateway.metric('otelcol_receiver_accepted_log_records_total');

test.skipIf(skipped.mounts !== '')(
  `a gateway that joins gets its share once connections have reached their age${skipped.mounts}`,
  async () => {
    const port = await freePort();
    const gateway = (name: string, host: string): Promise<DaemonProcess> =>
      started(
        name,
        `receivers: { otlp: { grpc: { endpoint: '${host}:${port}', keepalive: { max_connection_age: 1s, max_connection_age_grace: 1s } } } }
exporters: { file: { path: out.log } }
${service('otlp', 'file')}`,
      );
    const hosts = join(folder, 'hosts');
    writeFileSync(hosts, '127.0.0.2 meshlog-gateway-headless.meshlog\n');
    const first = await gateway('first', '127.0.0.2');
    const log = join(folder, 'in.log');
    writeFileSync(log, '');
    const agent = await started(
      'agent',
      `receivers: { file: { include: [in.log], start_at: beginning, poll_interval: 20ms } }
exporters: { otlp: { endpoint: 'meshlog-gateway-headless.meshlog:${port}', queue: { type: disk, batch: { max_size: 128KiB } } } }
${service('file', 'otlp')}  state_directory: state
`,
      amongOwnMounts(`mount --bind '${hosts}' /etc/hosts`),
    );
    let written = 0;
    const write = async (until: () => Promise<boolean>): Promise<void> => {
      const endMs = performance.now() + 20_000;
      while (!(await until())) {
        expect(performance.now(), agent.said).toBeLessThan(endMs);
        for (let rows = 0; rows < 10; rows++) appendFileSync(log, `line ${written++}\n`);
        await pause(20);
      }
    };
    await write(async () => (await taken(first)) > 100);
    const second = await gateway('second', '127.0.0.3');
    appendFileSync(hosts, '127.0.0.3 meshlog-gateway-headless.meshlog\n');
    await write(async () => (await taken(second)) > 100);
    // The first one has not been left.
    const before = await taken(first);
    await write(async () => (await taken(first)) > before + 50);
    expect(await agent.stop()).toBe(0);
    for (const one of [first, second]) expect(await one.stop()).toBe(0);
    const lines = readFileSync(join(folder, 'out.log'), 'utf8').split('\n').slice(0, -1);
    const numbers = lines.map((line) => Number(/\d+/.exec(JSON.parse(line).body)?.[0]));
    expect(new Set(numbers)).toEqual(new Set(Array.from({ length: written }, (_, n) => n)));
    expect(agent.said).not.toMatch(/ERROR/);
  },
  60_000,
);
