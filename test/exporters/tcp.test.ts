import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { tcp } from '../../src/exporters/tcp.ts';
import { Batch } from '../../src/pipeline/batch.ts';
import type { Exporter } from '../../src/pipeline/component.ts';
import { ExportError } from '../../src/pipeline/errors.ts';
import { inFlightBytesMax } from '../../src/wire/outgoing.ts';
import { type TestContext, testContext } from '../support/collect.ts';
import { faultProxy } from '../support/fault_proxy.ts';
import { eventually, sink } from '../support/sockets.ts';
import { authority, certificateFolder } from '../support/tls.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function exporting(config: object): { exporter: Exporter; context: TestContext } {
  const context = testContext({ id: 'tcp' });
  const exporter = tcp.create(tcp.config.parse(config), context);
  closers.push(() => exporter.stop());
  return { exporter, context };
}

async function sinking(options: Parameters<typeof sink>[0] = {}) {
  const made = await sink(options);
  closers.push(() => made.close());
  return made;
}

const never = new AbortController().signal;
const uncertain = (context: TestContext): number =>
  context.metrics.read('meshlog_tcp_exporter_uncertain_bytes_total', { exporter: 'tcp' }) ?? 0;
const batchOf = (...lines: string[]): Batch => Batch.ofLines(lines);
const large = (name: string, megabytes: number): Batch =>
  Batch.ofLines(
    Array.from({ length: megabytes * 1024 }, (_, i) => `${name}-${i}`.padEnd(1023, '.')),
  );

/** Exports as the engine does, until it succeeds. Returns the attempts. */
async function persist(exporter: Exporter, batch: Batch, timeoutMs = 1000): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    try {
      await exporter.export(batch, AbortSignal.timeout(timeoutMs));
      return attempt;
    } catch (error) {
      if (!(error instanceof ExportError && error.retryable)) throw error;
    }
  }
}

describe('tcp sends', () => {
  test('original lines, as selected, over one connection', async () => {
    const { port, until, lines, received } = await sinking();
    const { exporter } = exporting({ endpoint: `127.0.0.1:${port}` });
    await exporter.export(batchOf('{"a":1}', 'zwei ä', 'three'), never);
    const some = batchOf('a', 'b', 'c', 'd');
    some.keep((row) => row % 2 === 1);
    await exporter.export(some, never);
    await until(5);
    expect(lines()).toEqual(['{"a":1}', 'zwei ä', 'three', 'b', 'd']);
    expect(received).toHaveLength(1);
  });

  test('JSON when asked for, and for records that never were a line', async () => {
    const { port, until, lines } = await sinking();
    const json = exporting({ address: `127.0.0.1:${port}`, format: 'json' });
    await json.exporter.export(batchOf('a'), never);
    const made = batchOf('b');
    made.source = 'als';
    await exporting({ endpoint: `127.0.0.1:${port}` }).exporter.export(made, never);
    await until(2);
    expect(lines().map((line) => JSON.parse(line).body)).toEqual(['a', null]);
  });

  test('batches in the order of the calls, however many are under way', async () => {
    const { port, until, lines } = await sinking();
    const { exporter } = exporting({ endpoint: `127.0.0.1:${port}` });
    const names = Array.from({ length: 50 }, (_, i) => `${i}`);
    await Promise.all(names.map((name) => exporter.export(batchOf(name), never)));
    await until(50);
    expect(lines()).toEqual(names);
  });

  test('to a unix socket', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'meshlog-tcp-')), 's.sock');
    const { exporter } = exporting({ endpoint: `unix:${path}` });
    await expect(exporter.export(batchOf('a'), never)).rejects.toThrow(
      `cannot connect to unix:${path}: connect ENOENT`,
    );
    const { createServer } = await import('node:net');
    const lines: string[] = [];
    const server = createServer((socket) => socket.on('data', (data) => lines.push(String(data))));
    server.listen(path);
    await once(server, 'listening');
    closers.push(async () => server.close());
    await persist(exporter, batchOf('a'));
    await eventually(() => lines.join('') === 'a\n');
    await exporter.stop();
  });
});

describe('tcp and a sink that', () => {
  test('is away: says so, retryable, and connects when it is back', async () => {
    const first = await sink();
    await first.close();
    const { exporter } = exporting({ endpoint: `127.0.0.1:${first.port}` });
    const failed = exporter.export(batchOf('a'), never);
    await expect(failed).rejects.toThrow(
      `cannot connect to 127.0.0.1:${first.port}: connect ECONN`,
    );
    await expect(failed).rejects.toMatchObject({ retryable: true });
    const { lines, until } = await sinking({ port: first.port });
    await persist(exporter, batchOf('a'));
    await until(1);
    expect(lines()).toEqual(['a']);
  });

  test('ends the connection: it is noticed before the next write, and nothing is lost', async () => {
    const { port, sockets, lines, until } = await sinking();
    const { exporter, context } = exporting({ endpoint: `127.0.0.1:${port}` });
    const wanted: string[] = [];
    for (let i = 0; i < 20; i++) {
      await persist(exporter, batchOf(`line ${i}`));
      wanted.push(`line ${i}`);
      await until(wanted.length);
      for (const socket of sockets) socket.end();
      await eventually(() => sockets.size === 0);
      if (i > 3) break;
    }
    expect(lines()).toEqual(wanted);
    // Written less than a second before the end: it cannot be known that they were read.
    expect(uncertain(context)).toBe(wanted.join('\n').length + 1);
  });

  test('ends an idle connection: nothing is uncertain', async () => {
    const { port, sockets, until } = await sinking();
    const { exporter, context } = exporting({ endpoint: `127.0.0.1:${port}` });
    await exporter.export(batchOf('a'), never);
    await until(1);
    await new Promise((resolve) => setTimeout(resolve, 2100));
    for (const socket of sockets) socket.end();
    await eventually(() => sockets.size === 0);
    await exporter.export(batchOf('b'), never);
    expect(uncertain(context)).toBe(0);
  });

  test('resets while a batch is on its way: it is sent again from its beginning', async () => {
    const { port, lines, received } = await sinking({
      onSocket: (socket, index) => {
        if (index > 0) return false;
        socket.once('data', () => socket.pause());
        setTimeout(() => socket.resetAndDestroy(), 100);
        return true;
      },
    });
    const { exporter } = exporting({ endpoint: `127.0.0.1:${port}` });
    const batch = large('x', 24);
    expect(await persist(exporter, batch, 5000)).toBe(2);
    await eventually(() => lines().length === 24 * 1024);
    expect(received).toHaveLength(2);
    expect(lines()[0]).toMatch(/^x-0\./);
  });

  test('resets unread bytes: at most what is counted is lost', async () => {
    const gone: Socket[] = [];
    const { port, lines } = await sinking({
      onSocket: (socket, index) => {
        if (index > 0) return false;
        // Reads nothing: what fits into the kernels is flushed, and lost.
        gone.push(socket.pause());
        return true;
      },
    });
    const { exporter, context } = exporting({ endpoint: `127.0.0.1:${port}` });
    let flushed = 0;
    const send = async (): Promise<void> => {
      const batch = large('x', 1);
      await exporter.export(batch, AbortSignal.timeout(300));
      flushed += batch.length;
    };
    await send();
    await send();
    gone[0]?.resetAndDestroy();
    await persist(exporter, large('y', 1));
    await eventually(() => lines().length === 1024);
    expect(uncertain(context)).toBe(flushed);
    expect(flushed).toBeLessThanOrEqual(inFlightBytesMax);
  });

  test('hangs: a write without progress ends, retryable, and the connection is made anew', async () => {
    const { port, received } = await sinking({
      onSocket: (socket) => {
        socket.pause();
        return true;
      },
    });
    const { exporter } = exporting({ endpoint: `127.0.0.1:${port}`, write_timeout: '100ms' });
    for (let i = 1; i <= 2; i++) {
      await expect(exporter.export(large('x', 32), never)).rejects.toThrow(
        `cannot write to 127.0.0.1:${port}: no progress for 100 ms`,
      );
      expect(received).toHaveLength(i);
    }
  });

  test('never answers the TLS handshake: the attempt ends', async () => {
    const { port } = await sinking({ onSocket: () => true });
    const { exporter } = exporting({
      endpoint: `127.0.0.1:${port}`,
      connect_timeout: '50ms',
      tls: { insecure_skip_verify: true },
    });
    await expect(exporter.export(batchOf('a'), never)).rejects.toThrow('no answer in time');
  });

  test('reads slowly: the batch arrives whole, however long it takes', async () => {
    const target = await sinking();
    const proxy = await faultProxy(target.port);
    closers.push(() => proxy.close());
    proxy.faults.bytesPerSecond = 20 << 20;
    const { exporter } = exporting({ endpoint: `127.0.0.1:${proxy.port}`, write_timeout: '1s' });
    await exporter.export(large('x', 16), never);
    await target.until(16 * 1024);
  });

  test('reads nothing: an abort ends the export at once, and the batch is free', async () => {
    const { port } = await sinking({
      onSocket: (socket) => {
        socket.pause();
        return true;
      },
    });
    const { exporter } = exporting({ endpoint: `127.0.0.1:${port}` });
    const batch = large('x', 32);
    const abort = new AbortController();
    const sent = exporter.export(batch, abort.signal);
    const queued = exporter.export(batchOf('waits'), abort.signal);
    setTimeout(() => abort.abort(new Error('the grace period is over')), 100);
    const before = performance.now();
    await expect(sent).rejects.toThrow('the grace period is over');
    await expect(queued).rejects.toMatchObject({ retryable: true });
    expect(performance.now() - before).toBeLessThan(2000);
    batch.bytes.fill(0);
  });

  test('flaps: every batch whose export resolved and was read arrives, in order', async () => {
    const target = await sinking();
    const proxy = await faultProxy(target.port);
    closers.push(() => proxy.close());
    const { exporter, context } = exporting({ endpoint: `127.0.0.1:${proxy.port}` });
    for (let i = 0; i < 40; i++) {
      await persist(exporter, batchOf(`${i}`.padStart(4, '0')));
      if (i % 10 === 9) {
        // A proxy that resets may throw away what it has not passed on: wait for it.
        await eventually(() => target.lines().includes(`${i}`.padStart(4, '0')));
        proxy.reset();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    await eventually(() => target.lines().length >= 40);
    const seen = [...new Set(target.lines())];
    expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => `${i}`.padStart(4, '0')));
    expect(uncertain(context)).toBeGreaterThan(0);
    expect(proxy.accepted).toBeGreaterThanOrEqual(4);
  });

  test('accepts and closes at once: it is seen before anything is written', async () => {
    const { port, received } = await sinking({
      onSocket: (socket) => {
        socket.destroy();
        return true;
      },
    });
    const { exporter, context } = exporting({ endpoint: `127.0.0.1:${port}` });
    for (let i = 0; i < 2; i++) {
      await expect(exporter.export(batchOf('a'), never)).rejects.toThrow('the peer closed');
    }
    expect(uncertain(context)).toBe(0);
    expect(received.length).toBe(2);
  });

  test('talks back without end: it is ignored', async () => {
    const { port, lines, sockets, until } = await sinking();
    const { exporter } = exporting({ endpoint: `127.0.0.1:${port}` });
    await exporter.export(batchOf('a'), never);
    await until(1);
    for (const socket of sockets) socket.write(Buffer.alloc(1 << 20));
    await exporter.export(batchOf('b'), never);
    await until(2);
    expect(lines()).toEqual(['a', 'b']);
    await eventually(() => [...sockets].every((socket) => socket.writableLength === 0));
  });
});

describe('tcp with TLS', () => {
  const root = authority();
  async function tlsSink(options: object) {
    const lines: string[] = [];
    const server = createTlsServer(
      { ...root.issue(['DNS:localhost', 'IP:127.0.0.1']), ...options },
      (socket) => {
        socket.on('error', () => undefined);
        let rest = '';
        socket.on('data', (chunk) => {
          const parts = (rest + chunk).split('\n');
          rest = parts.pop() ?? '';
          lines.push(...parts);
        });
      },
    );
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(async () => server.close());
    return { port: (server.address() as AddressInfo).port, lines };
  }

  test('checks the sink and shows itself', async () => {
    const folder = await certificateFolder();
    const ca_file = await folder.write('ca.crt', root.cert);
    const own = await folder.put('client', root.issue(['URI:spiffe://mesh/meshlog']));
    const options = { ca: root.cert, requestCert: true, rejectUnauthorized: true };
    const { port, lines } = await tlsSink(options);
    const { exporter } = exporting({ endpoint: `localhost:${port}`, tls: { ca_file, ...own } });
    await exporter.export(large('t', 2), never);
    await exporter.export(batchOf('last'), never);
    await eventually(() => lines.length === 2049);
    expect(lines.at(-1)).toBe('last');
    const stranger = exporting({ endpoint: `localhost:${port}`, tls: { ...own } });
    await expect(stranger.exporter.export(batchOf('no'), never)).rejects.toThrow(
      /unable to (verify|get)|self.signed/,
    );
  });

  test('sees that its own certificate is refused before it writes', async () => {
    const folder = await certificateFolder();
    const ca_file = await folder.write('ca.crt', root.cert);
    const foreign = await folder.put('client', authority('foreign').issue(['DNS:x']));
    const options = { ca: root.cert, requestCert: true, rejectUnauthorized: true };
    const { port, lines } = await tlsSink(options);
    const { exporter, context } = exporting({
      endpoint: `localhost:${port}`,
      tls: { ca_file, ...foreign },
    });
    await expect(exporter.export(batchOf('a'), never)).rejects.toBeInstanceOf(ExportError);
    expect(lines).toEqual([]);
    expect(uncertain(context)).toBe(0);
  });

  test('is off with insecure: true', async () => {
    const { port, until } = await sinking();
    const { exporter } = exporting({ endpoint: `127.0.0.1:${port}`, tls: { insecure: true } });
    await exporter.export(batchOf('a'), never);
    await until(1);
  });
});

test('tcp wants one address', () => {
  expect(tcp.config.safeParse({}).success).toBe(false);
  expect(tcp.config.safeParse({ endpoint: 'a:1', address: 'a:1' }).success).toBe(false);
  expect(tcp.config.safeParse({ address: 'a:1' }).success).toBe(true);
});

test('tcp sends what the kernel has before it stops', async () => {
  const { port, lines, sockets } = await sinking();
  const { exporter, context } = exporting({ endpoint: `127.0.0.1:${port}` });
  await exporter.export(large('x', 4), never);
  await exporter.stop();
  await eventually(() => sockets.size === 0);
  expect(lines()).toHaveLength(4096);
  expect(uncertain(context)).toBe(0);
});
