// Two tiers as real processes: two agents that follow files, two gateways behind one address, one backend. A gateway is
// killed and comes back, the other is rolled, and nothing is missing.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { grpcSink, seenRecords } from '../support/otlp.ts';

const root = resolve(import.meta.dirname, '../..');
const work = mkdtempSync(join(tmpdir(), 'meshlog-tiers-'));
const running = new Set<ChildProcess>();

afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(work, { recursive: true, force: true });
});

type Started = { child: ChildProcess; said: () => string };

/** One of pipelines/, with its variables; resolves when it runs. */
async function start(
  pipeline: string,
  env: Record<string, string>,
  more: string[],
): Promise<Started> {
  const configs = [join(root, `pipelines/${pipeline}.yaml`), ...more];
  const child = spawn(
    process.execPath,
    [join(root, 'src/main.ts'), 'run', ...configs.flatMap((config) => ['--config', config])],
    { env: { ...env, MESHLOG_ADMIN: '127.0.0.1:0' }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  running.add(child);
  let said = '';
  await new Promise<void>((done, failed) => {
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes(' pid ')) done();
    });
    child.once('exit', (code) => failed(new Error(`${pipeline} ended with ${code}:\n${said}`)));
  });
  child.removeAllListeners('exit');
  child.once('exit', () => running.delete(child));
  return { child, said: () => said };
}

async function end({ child }: Started, signal: NodeJS.Signals): Promise<number | null> {
  const exited = once(child, 'exit');
  child.kill(signal);
  const [code] = (await exited) as [number | null];
  return code;
}

/** `served`: the gateway of every connection so far. */
type Service = { server: Server; port: number; served: number[] };

/** A service of Kubernetes in small: each new connection goes to the next gateway that is there. */
async function service(ports: readonly number[]): Promise<Service> {
  const served: number[] = [];
  let turn = 0;
  const pipeTo = (client: Socket, tries: number): void => {
    if (tries === 0) return void client.destroy();
    const index = turn++ % ports.length;
    const gateway = connect(ports[index]!, '127.0.0.1');
    gateway.once('connect', () => {
      served.push(index);
      client.pipe(gateway).pipe(client);
    });
    gateway.once('error', () => {
      if (gateway.connecting || !gateway.bytesWritten) pipeTo(client, tries - 1);
      else client.destroy();
    });
    gateway.once('close', () => gateway.bytesWritten > 0 && client.destroy());
    client.once('close', () => gateway.destroy());
  };
  const server = createServer((client) => {
    client.on('error', () => undefined);
    pipeTo(client, ports.length);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { server, port: (server.address() as AddressInfo).port, served };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

const lineOf = (id: string): string =>
  `${new Date().toISOString().replace('Z', '000000Z')} stdout F ${JSON.stringify({
    start_time: new Date().toISOString(),
    method: 'GET',
    path: '/reviews/0',
    protocol: 'HTTP/1.1',
    response_code: 200,
    response_flags: '-',
    duration: 7,
    request_id: id,
    upstream_cluster: 'outbound|9080||reviews.bookinfo.svc.cluster.local',
  })}\n`;

test('agents and gateways lose nothing when a gateway is killed and another is rolled', async () => {
  const backend = await grpcSink();
  const ports = [await freePort(), await freePort()];
  const balancer = await service(ports);
  const gateway = (index: number): Promise<Started> =>
    start(
      'gateway',
      {
        MESHLOG_LISTEN: '127.0.0.1',
        MESHLOG_OTLP_PORT: String(ports[index]),
        MESHLOG_OTLP_HTTP_PORT: '0',
        MESHLOG_ALS_PORT: '0',
        MESHLOG_BACKEND: `127.0.0.1:${backend.port}`,
        MESHLOG_STATE: join(work, `gateway-${index}`),
      },
      ['yaml:receivers::otlp::grpc::keepalive::max_connection_age: 1s'],
    );
  const agent = (index: number): Promise<Started> => {
    mkdirSync(join(work, `node-${index}`), { recursive: true });
    writeFileSync(join(work, `node-${index}`, '0.log'), '');
    return start(
      'agent',
      {
        MESHLOG_LOGS: join(work, `node-${index}`, '*.log'),
        MESHLOG_GATEWAY: `127.0.0.1:${balancer.port}`,
        MESHLOG_STATE: join(work, `agent-${index}`),
      },
      ['yaml:receivers::file::start_at: beginning'],
    );
  };
  const gateways = await Promise.all([gateway(0), gateway(1)]);
  const agents = await Promise.all([agent(0), agent(1)]);

  const written: string[] = [];
  let writing = true;
  const writer = (async () => {
    for (let i = 0; writing; i++) {
      for (const node of [0, 1]) {
        const ids = Array.from({ length: 10 }, (_, row) => `${node}-${i}-${row}`);
        appendFileSync(join(work, `node-${node}`, '0.log'), ids.map(lineOf).join(''));
        written.push(...ids);
      }
      await pause(20);
    }
  })();

  await pause(1000);
  await end(gateways[0], 'SIGKILL');
  await pause(1000);
  gateways[0] = await gateway(0);
  const joinedAt = balancer.served.length;
  await pause(1000);
  const rolled = await end(gateways[1], 'SIGTERM');
  gateways[1] = await gateway(1);
  await pause(1500);
  writing = false;
  await writer;

  const seen = new Map<unknown, number>();
  let decoded = 0;
  const deadline = Date.now() + 15_000;
  while (seen.size < written.length && Date.now() < deadline) {
    await pause(100);
    for (; decoded < backend.requests.length; decoded++) {
      for (const { attributes } of seenRecords(backend.requests[decoded]!)) {
        const id = attributes['request.id'];
        seen.set(id, (seen.get(id) ?? 0) + 1);
      }
    }
  }
  const missing = written.filter((id) => !seen.has(id));
  const invented = [...seen.keys()].filter((id) => !written.includes(String(id)));
  const duplicates = [...seen.values()].reduce((sum, count) => sum + count - 1, 0);
  const codes = await Promise.all(
    [...agents, ...gateways].map((process) => end(process, 'SIGTERM')),
  );
  backend.close();
  balancer.server.close();

  expect(missing).toEqual([]);
  expect(invented).toEqual([]);
  expect(written.length).toBeGreaterThan(2000);
  // Connections end by their age, so the gateway that has come back gets its share.
  expect(balancer.served.slice(joinedAt)).toContain(0);
  // What was under way when a gateway was killed comes twice, and nothing else.
  expect(duplicates).toBeLessThan(written.length / 2);
  expect(rolled).toBe(0);
  expect(codes).toEqual([0, 0, 0, 0]);
  for (const { said } of [...agents, ...gateways]) expect(said()).not.toMatch(/ERROR/);
}, 60_000);
