// node bench/disk_queue.ts: what it costs to keep batches on disk, in own segments (as shipped) and as rows of SQLite in
// a worker, and how soon a backlog is ready after a crash. The decision in src/README.md quotes it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { z } from 'zod';
import { Batch } from '../src/pipeline/batch.ts';
import { Budget } from '../src/pipeline/budget.ts';
import type { Context } from '../src/pipeline/component.ts';
import { DeadLetter } from '../src/pipeline/dead_letter.ts';
import { DiskQueue } from '../src/pipeline/disk_queue/disk_queue.ts';
import { ExportError } from '../src/pipeline/errors.ts';
import { exporterSettings } from '../src/pipeline/queue.ts';
import { Sender } from '../src/pipeline/sender.ts';
import { writeSnapshot } from '../src/pipeline/snapshot.ts';
import { Degradations } from '../src/telemetry/degraded.ts';
import { Metrics } from '../src/telemetry/metrics.ts';
import { demoLines } from './lines.ts';

const batches = Number(process.env['BENCH_BATCHES'] ?? 1200);
const rows = 350;
const inFlight = 8;
const mib = 1024 ** 2;
const lines = demoLines(rows).json;

function queueIn(folder: string, isAway: () => boolean): DiskQueue {
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const metrics = new Metrics();
  const context: Context = {
    id: 'bench',
    log: silent,
    metrics,
    degraded: new Degradations(metrics).scope('bench', silent, Date.now),
    budget: new Budget(64 * mib).share(),
    stateDirectory: undefined,
    baseDirectory: folder,
    now: Date.now,
    random: Math.random,
    drop: () => undefined,
  };
  const { queue, retry_on_failure } = z
    .strictObject(exporterSettings)
    .parse({ queue: { type: 'disk', size: '4GiB' } });
  const exporter = {
    export: async () => {
      if (isAway()) throw new ExportError('away', { retryable: true });
    },
    stop: async () => undefined,
  };
  const deadLetter = new DeadLetter({ path: undefined, exporter: 'bench', bytesMax: 0 });
  const sender = new Sender({
    exporter,
    context,
    retry: retry_on_failure,
    timeoutMs: 0,
    deadLetter,
  });
  return new DiskQueue(folder, queue, sender, context);
}

/** Runs `put` for all batches, some at once; prints what a record took. */
async function measured(name: string, put: (batch: Batch) => Promise<void>): Promise<void> {
  const batch = Batch.ofLines(lines);
  const before = process.cpuUsage();
  const startMs = performance.now();
  let worstMs = 0;
  let left = batches;
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      const begunMs = performance.now();
      await put(batch);
      worstMs = Math.max(worstMs, performance.now() - begunMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(before);
  const records = batches * rows;
  console.log(
    `${name.padEnd(28)} ${((user + system) / records).toFixed(2)} us CPU per record, ${((batch.length * batches) / mib / seconds).toFixed(0)} MiB/s, slowest put ${worstMs.toFixed(0)} ms`,
  );
}

const sqliteWorker = `
const { parentPort, workerData } = require('node:worker_threads');
const { DatabaseSync } = require('node:sqlite');
const database = new DatabaseSync(workerData);
database.exec('pragma journal_mode = wal; pragma synchronous = full; create table batch (id integer primary key, body blob)');
const insert = database.prepare('insert into batch (body) values (?)');
let waiting = [];
parentPort.on('message', (message) => {
  waiting.push(message);
  if (waiting.length > 1) return;
  setImmediate(() => {
    const group = waiting; waiting = [];
    database.exec('begin');
    for (const { body } of group) insert.run(body);
    database.exec('commit');
    parentPort.postMessage(group.map(({ id }) => id));
  });
});`;

async function sqlite(folder: string): Promise<void> {
  const worker = new Worker(sqliteWorker, { eval: true, workerData: join(folder, 'queue.db') });
  const waiting = new Map<number, () => void>();
  let id = 0;
  worker.on('message', (ids: number[]) => {
    for (const one of ids) {
      waiting.get(one)?.();
      waiting.delete(one);
    }
  });
  await measured('SQLite (WAL, full) in worker', (batch) => {
    const { table, bytes } = writeSnapshot(batch);
    const body = new Uint8Array(Buffer.concat([table, bytes]));
    return new Promise((resolve) => {
      waiting.set(++id, resolve);
      worker.postMessage({ id, body }, [body.buffer]);
    });
  });
  await worker.terminate();
}

const folder = mkdtempSync(join(tmpdir(), 'meshlog-bench-queue-'));
try {
  const own = queueIn(join(folder, 'own'), () => true);
  await own.start();
  await measured('own segments', (batch) => own.put(batch));
  await own.stop(AbortSignal.abort());
  await sqlite(folder);

  const large = queueIn(join(folder, 'large'), () => true);
  await large.start();
  const batch = Batch.ofLines(lines);
  const wanted = Math.ceil((1024 * mib) / batch.length);
  for (let at = 0; at < wanted; at += inFlight) {
    await Promise.all(Array.from({ length: inFlight }, () => large.put(batch)));
  }
  await large.stop(AbortSignal.abort());
  const again = queueIn(join(folder, 'large'), () => true);
  const startMs = performance.now();
  await again.start();
  const readyMs = performance.now() - startMs;
  await again.put(batch);
  const putMs = performance.now() - startMs;
  console.log(
    `recovery of 1 GiB: ready in ${readyMs.toFixed(0)} ms, first put on disk after ${putMs.toFixed(0)} ms`,
  );
  await again.stop(AbortSignal.abort());
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
