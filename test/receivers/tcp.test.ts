import { mkdtempSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import type { Deliver, Receiver } from '../../src/pipeline/component.ts';
import { tcp } from '../../src/receivers/tcp/tcp.ts';
import { collector, refusing, type TestContext, testContext } from '../support/collect.ts';
import { closed, connected, eventually, portOf } from '../support/sockets.ts';
import { authority, certificateFolder } from '../support/tls.ts';

type Running = { receiver: Receiver; port: number; context: TestContext };

const running: Receiver[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(running.splice(0).map((receiver) => receiver.stop()));
});

async function start(
  deliver: Deliver,
  config: object = {},
  options: { budgetBytes?: number } = {},
): Promise<Running> {
  const context = testContext({ id: 'tcp', ...options });
  const settings = tcp.config.parse({ endpoint: '127.0.0.1:0', linger: '5ms', ...config });
  const receiver = tcp.create(settings, context);
  await receiver.start(deliver);
  running.push(receiver);
  return { receiver, port: portOf(receiver.status?.()), context };
}

async function client(port: number): Promise<Socket> {
  const socket = await connected(port);
  sockets.push(socket);
  return socket;
}

function metric(context: TestContext, name: string, labels: Record<string, string> = {}): number {
  return context.metrics.read(`meshlog_receiver_${name}`, { receiver: 'tcp', ...labels }) ?? 0;
}

const numbered = (name: string, from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => `${name}-${from + i}`.padEnd(100, '.')).join('\n');

describe('tcp delivers', () => {
  test('lines as they came, with both ends of the connection', async () => {
    const { deliver, lines, records, until } = collector();
    const { port } = await start(deliver);
    const socket = await client(port);
    socket.write('{"a":1}\nsecond\r\n\xff', 'latin1');
    socket.write('\0\nhalf');
    await until(3);
    expect(lines).toEqual(['{"a":1}', 'second', '\ufffd\0']);
    expect(records[0]?.attributes).toEqual({
      'net.transport': 'IP.TCP',
      'net.peer.ip': '127.0.0.1',
      'net.peer.port': socket.localPort,
      'net.host.ip': '127.0.0.1',
      'net.host.port': port,
    });
    expect(records[0]?.body).toBe('{"a":1}');
    expect(records[0]?.observedTime).toBeGreaterThan(0n);
  });

  test('the last line without newline when the connection ends', async () => {
    const { deliver, lines, until } = collector();
    const { port, context } = await start(deliver);
    (await client(port)).end('a\nb');
    await until(2);
    expect(lines).toEqual(['a', 'b']);
    expect(metric(context, 'partial_lines_total')).toBe(1);
    expect(metric(context, 'connections_closed_total', { reason: 'peer' })).toBe(1);
  });

  test('and what came before a reset', async () => {
    const { deliver, lines, until } = collector();
    const { port } = await start(deliver);
    const socket = await client(port);
    socket.write('a\nb');
    await until(1);
    socket.resetAndDestroy();
    await until(2);
    expect(lines).toEqual(['a', 'b']);
  });

  test('without attributes when not wanted', async () => {
    const { deliver, records, until } = collector();
    const { port } = await start(deliver, { add_attributes: false });
    (await client(port)).end('a\n');
    await until(1);
    expect(records[0]?.attributes).toEqual({});
  });

  test('octet-counted records with line ends inside', async () => {
    const { deliver, lines, until } = collector();
    const { port } = await start(deliver, { framing: 'octet_counted' });
    (await client(port)).end('5 a\nb\nc2 de');
    await until(2);
    expect(lines).toEqual(['a\nb\nc', 'de']);
  });

  test('over a unix socket with the mode asked for', async () => {
    const { deliver, records, until } = collector();
    const path = join(mkdtempSync(join(tmpdir(), 'meshlog-tcp-')), 'lines.sock');
    await start(deliver, { endpoint: `unix:${path}`, socket_mode: '0660' });
    expect(statSync(path).mode & 0o777).toBe(0o660);
    const socket = await connected({ path });
    socket.end('a\n');
    await until(1);
    expect(records[0]?.attributes).toEqual({ 'net.transport': 'unix' });
  });

  test('every line of twenty connections that drop at random, in order', async () => {
    const { deliver, lines } = collector();
    const { port, context } = await start(deliver);
    const sent = new Map<string, number>();
    const one = async (name: string, seed: number): Promise<void> => {
      let next = 0;
      for (let round = 0; round < 5; round++) {
        const socket = await client(port);
        const count = ((seed * 7919 + round * 104_729) % 900) + 1;
        socket.end(`${numbered(name, next, next + count)}\n`);
        next += count;
        await closed(socket);
      }
      sent.set(name, next);
    };
    await Promise.all(Array.from({ length: 20 }, (_, i) => one(`c${i}`, i + 1)));
    const total = [...sent.values()].reduce((sum, count) => sum + count, 0);
    await eventually(() => lines.length >= total);
    for (const [name, count] of sent) {
      const own = lines.filter((line) => line.startsWith(`${name}-`));
      expect(own.join('\n')).toBe(numbered(name, 0, count));
    }
    await eventually(() => context.budget.usedBytes === 0);
  });
});

describe('tcp under pressure', () => {
  test('stops reading while the pipeline is full, and goes on without loss', async () => {
    const { deliver, lines, batches, pause, resume, until } = collector();
    const { port, context } = await start(deliver, {}, { budgetBytes: 4 << 20 });
    pause();
    const count = 200_000;
    const socket = await client(port);
    socket.end(`${numbered('x', 0, count)}\n`);
    await eventually(() => context.budget.usedBytes > 1 << 20);
    await new Promise((resolve) => setTimeout(resolve, 200));
    // 20 MB were sent: what is not in our budget waits in the kernel and at the sender.
    expect(context.budget.usedBytes).toBeLessThanOrEqual(4 << 20);
    expect(socket.writableLength).toBeGreaterThan(0);
    expect(batches).toEqual([]);
    resume();
    await until(count);
    expect(lines.join('\n')).toBe(numbered('x', 0, count));
    expect(metric(context, 'held_back_seconds_total')).toBeGreaterThan(0.1);
    expect(context.dropped).toEqual({});
  });

  test('keeps and repeats what the pipeline refuses', async () => {
    const { deliver, lines, until } = collector();
    const { port, context } = await start(refusing({ times: 3, retryAfterMs: 5, next: deliver }));
    const socket = await client(port);
    for (let i = 0; i < 10; i++) {
      socket.write(`${i}\n`);
      await new Promise((resolve) => setTimeout(resolve, 8));
    }
    await until(10);
    expect(lines).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    expect(context.dropped).toEqual({});
  });

  test('takes 100 MB without newline in bounded memory, and others notice nothing', async () => {
    let pieces = 0;
    let others = 0;
    const { port, context } = await start(async (batch) => {
      for (const row of batch.selection.subarray(0, batch.count)) {
        if (batch.line(row) === 'other') others++;
        else pieces++;
      }
    });
    const rss = process.memoryUsage.rss();
    const big = await client(port);
    const other = await client(port);
    const chunk = Buffer.alloc(1 << 20, 'x');
    let grown = 0;
    for (let i = 0; i < 100; i++) {
      other.write('other\n');
      if (!big.write(chunk)) await new Promise((resolve) => big.once('drain', resolve));
      grown = Math.max(grown, process.memoryUsage.rss() - rss);
    }
    big.end('\n');
    await eventually(() => others === 100 && pieces === 100);
    expect(metric(context, 'line_cuts_total')).toBe(99);
    expect(grown).toBeLessThan(80 << 20);
  });

  test('bounds unfinished lines over all connections and cuts the longest', async () => {
    const { deliver, lines, until } = collector();
    const { port, context } = await start(deliver, {
      line_too_long: 'truncate',
      partial_bytes_max: '256KiB',
    });
    const small = await client(port);
    small.write('a small line, ');
    const greedy = await Promise.all(Array.from({ length: 10 }, () => client(port)));
    for (const socket of greedy) socket.write('x'.repeat(100_000));
    await until(8);
    expect(metric(context, 'partial_bytes')).toBeLessThanOrEqual(256 << 10);
    small.write('finished\n');
    for (const socket of greedy) socket.write('y\n');
    await until(11);
    expect(lines).toContain('a small line, finished');
    expect(metric(context, 'line_cuts_total')).toBeGreaterThanOrEqual(8);
  });

  test('serves a thousand slow connections from one buffer', async () => {
    const { deliver, lines, until } = collector();
    const { port, context } = await start(deliver, { linger: '50ms' });
    const slow = await Promise.all(Array.from({ length: 1000 }, () => client(port)));
    for (const part of ['one ', 'line ', 'in parts\n']) {
      for (const socket of slow) socket.write(part);
      await new Promise((resolve) => setTimeout(resolve, 30));
      expect(context.budget.usedBytes).toBeLessThan(2 << 20);
    }
    await until(1000);
    expect(new Set(lines)).toEqual(new Set(['one line in parts']));
    expect(metric(context, 'connections')).toBe(1000);
    expect(metric(context, 'partial_bytes')).toBeLessThanOrEqual(1000 * 1024);
  });

  test('closes connections beyond the limit, and says so once', async () => {
    const { deliver, lines, until } = collector();
    const { port, context } = await start(deliver, { max_connections: 3 });
    const allowed = [await client(port), await client(port), await client(port)];
    const refused = [await client(port), await client(port)];
    await Promise.all(refused.map(closed));
    for (const socket of allowed) socket.write('a\n');
    await until(3);
    expect(metric(context, 'connections_refused_total', { reason: 'limit' })).toBe(2);
    expect(context.logged).toEqual(['warn: closes new connections: max_connections (3) are open']);
    for (const socket of allowed) socket.end();
    await eventually(() => metric(context, 'connections') === 0);
    (await client(port)).end('b\n');
    await until(4);
    expect(lines).toEqual(['a', 'a', 'a', 'b']);
  });
});

describe('tcp closes', () => {
  test('a silent connection, and delivers what it had begun', async () => {
    const { deliver, lines, until } = collector();
    const { port, context } = await start(deliver, { idle_timeout: '40ms' });
    const socket = await client(port);
    socket.write('a\nbegun');
    await closed(socket);
    await until(2);
    expect(lines).toEqual(['a', 'begun']);
    expect(metric(context, 'connections_closed_total', { reason: 'idle' })).toBe(1);
  });

  test('no connection that is silent because it is not read', async () => {
    const { deliver, pause, resume, until } = collector();
    const { port, context } = await start(
      deliver,
      { idle_timeout: '150ms' },
      { budgetBytes: 1 << 20 },
    );
    pause();
    // Made before: while it is, nobody reads or writes.
    const text = `${numbered('x', 0, 50_000)}\n`;
    const socket = await client(port);
    socket.write(text);
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(metric(context, 'connections')).toBe(1);
    resume();
    await until(50_000);
  });

  test('a connection whose framing is broken', async () => {
    const { deliver, lines, until } = collector();
    const { port, context } = await start(deliver, { framing: 'octet_counted' });
    const socket = await client(port);
    socket.write('3 abcGET / HTTP/1.1\r\n');
    await closed(socket);
    await until(1);
    expect(lines).toEqual(['abc']);
    expect(context.dropped).toEqual({ bad_frame: 1 });
  });

  test('all at the end, after taking what had been sent', async () => {
    const { deliver, lines } = collector();
    const { port, receiver } = await start(deliver);
    const senders = await Promise.all([client(port), client(port)]);
    for (const [i, socket] of senders.entries()) {
      await new Promise((resolve) => socket.write(`${numbered(`s${i}`, 0, 500)}\nrest`, resolve));
    }
    running.pop();
    await receiver.stop();
    for (const i of [0, 1]) {
      const own = lines.filter((line) => line.startsWith(`s${i}-`));
      expect(own.join('\n')).toBe(numbered(`s${i}`, 0, 500));
    }
    expect(lines.filter((line) => line === 'rest')).toHaveLength(2);
    await expect(connected(port)).rejects.toThrow('ECONNREFUSED');
  });
});

describe('tcp with TLS', () => {
  const root = authority();
  async function tlsConfig(extra: object = {}) {
    const folder = await certificateFolder();
    const files = await folder.put('server', root.issue(['DNS:localhost']));
    const ca = await folder.write('ca.crt', root.cert);
    return { mutual: { tls: { ...files, client_ca_file: ca }, ...extra }, plain: { tls: files } };
  }
  function tlsClient(port: number, identity?: string): Socket {
    const own = identity === undefined ? {} : root.issue([`URI:${identity}`]);
    const socket = connectTls({ port, host: 'localhost', ca: root.cert, ...own });
    socket.on('error', () => undefined);
    sockets.push(socket);
    return socket;
  }

  test('delivers lines of any length', async () => {
    const { deliver, lines, until } = collector();
    const { port } = await start(deliver, (await tlsConfig()).plain);
    tlsClient(port).end(`${numbered('t', 0, 3000)}\n`);
    await until(3000);
    expect(lines.join('\n')).toBe(numbered('t', 0, 3000));
  });

  test('stops reading while the pipeline is full, and goes on without loss', async () => {
    const { deliver, lines, pause, resume, until } = collector();
    const { plain } = await tlsConfig();
    const { port, context } = await start(deliver, plain, { budgetBytes: 2 << 20 });
    pause();
    tlsClient(port).end(`${numbered('t', 0, 100_000)}\n`);
    await eventually(() => context.budget.usedBytes > 700_000);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(context.budget.usedBytes).toBeLessThanOrEqual(2 << 20);
    resume();
    await until(100_000);
    expect(lines.join('\n')).toBe(numbered('t', 0, 100_000));
  });

  test('takes lines only from identities that are allowed', async () => {
    const { deliver, lines, until } = collector();
    const { mutual } = await tlsConfig({ allowed_spiffe_ids: ['spiffe://mesh/ns/shop/*'] });
    const { port, context } = await start(deliver, mutual);
    const strangers = [
      tlsClient(port),
      tlsClient(port, 'spiffe://mesh/ns/other/sa/x'),
      tlsClient(port, 'spiffe://mesh/ns/other/sa/x'),
    ];
    for (const socket of strangers) socket.write('no\n');
    await Promise.all(strangers.map(closed));
    tlsClient(port, 'spiffe://mesh/ns/shop/sa/cart').end('yes\n');
    await until(1);
    expect(lines).toEqual(['yes']);
    expect(metric(context, 'connections_refused_total', { reason: 'identity' })).toBe(2);
    expect(metric(context, 'connections_refused_total', { reason: 'tls' })).toBe(1);
    expect(context.logged.filter((line) => line.includes('spiffe://'))).toHaveLength(1);
  });

  test('outlives gibberish, stalled and broken handshakes', async () => {
    const { deliver, lines, until } = collector();
    const { port, context } = await start(deliver, (await tlsConfig()).plain);
    const stalled = await client(port);
    stalled.write(Buffer.from('160301', 'hex'));
    const gibberish = await client(port);
    gibberish.write('GET / HTTP/1.1\r\n\r\n');
    const broken = await client(port);
    broken.write(Buffer.from('16030100050100000100', 'hex'));
    broken.resetAndDestroy();
    await closed(gibberish);
    tlsClient(port).end('fine\n');
    await until(1);
    expect(lines).toEqual(['fine']);
    await eventually(() => metric(context, 'connections_refused_total', { reason: 'tls' }) >= 2);
  });
});

describe('tcp at its start', () => {
  test('rejects when the port is in use', async () => {
    const { deliver } = collector();
    const { port } = await start(deliver);
    await expect(start(deliver, { endpoint: `127.0.0.1:${port}` })).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}: the address is in use`,
    );
  });

  test('rejects when a certificate is missing', async () => {
    const tls = { cert_file: '/nowhere/a.crt', key_file: '/nowhere/a.key' };
    await expect(start(collector().deliver, { tls })).rejects.toThrow(
      'cannot read /nowhere/a.crt: no such file',
    );
  });

  test('warns about plain text that others can reach', async () => {
    const { context } = await start(collector().deliver, { endpoint: '0.0.0.0:0' });
    expect(context.logged[0]).toMatch(/^warn: listens on 0\.0\.0\.0:0 in plain text/);
  });

  test('has settings that make sense together', () => {
    const bad = [
      { line_bytes_max: 10 },
      { linger: '0' },
      { socket_mode: '999' },
      { allowed_spiffe_ids: ['spiffe://a/b'] },
      {
        allowed_spiffe_ids: ['https://a'],
        tls: { cert_file: 'a', key_file: 'b', client_ca_file: 'c' },
      },
    ];
    for (const config of bad) expect(tcp.config.safeParse(config).success).toBe(false);
    expect(tcp.config.parse({}).endpoint).toEqual({ kind: 'tcp', host: '127.0.0.1', port: 5170 });
  });
});
