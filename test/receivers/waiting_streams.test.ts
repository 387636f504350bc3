// What streams hold that wait for room: it is outside of the budget, and there may be very many of them.

import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, expect, test } from 'vitest';
import type { Deliver } from '../../src/pipeline/component.ts';
import { testContext } from '../support/collect.ts';
import { greedyPeer } from '../support/greedy_peer.ts';
import {
  type Listening,
  listeningGrpc,
  messageOf,
  pathOf,
  RawClient,
} from '../support/grpc_peers.ts';
import { framed } from '../support/raw_http2.ts';
import { eventually } from '../support/sockets.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const mib = 1024 * 1024;

/** A receiver whose pipeline takes nothing between `stop` and `goOn`. */
async function listening(): Promise<Listening & { stop(): void; goOn(): void; records(): number }> {
  let records = 0;
  let sink = Promise.withResolvers<void>();
  sink.resolve();
  const deliver: Deliver = async (batch) => {
    await sink.promise;
    records += batch.count;
  };
  const on = await listeningGrpc('envoy_als', deliver, {}, testContext({ budgetBytes: mib }));
  open.push(() => on.receiver.stop());
  return {
    ...on,
    stop: () => {
      sink = Promise.withResolvers();
    },
    goOn: () => sink.resolve(),
    records: () => records,
  };
}

function client(port: number): RawClient {
  const made = new RawClient(port);
  open.push(() => made.close());
  return made;
}

test('envoy_als holds little of thousands of streams that wait, answers others, and loses nothing', async () => {
  const on = await listening();
  const other = client(on.port);
  const streams = 2000;
  const messages = 6;
  const message = framed(messageOf('envoy_als', `/${'x'.repeat(5000)}`));
  const body = Buffer.concat(Array.from({ length: messages }, () => message));
  const peer = await greedyPeer(on.port, { path: pathOf('envoy_als'), streams, body });
  open.push(() => peer.close());
  // Streams that have been read may send more ahead.
  peer.send(message.length);
  await eventually(() => on.records() === streams);
  on.stop();
  const { arrayBuffers } = process.memoryUsage();
  const sentBefore = peer.sentBytes;
  peer.send(body.length);
  await peer.stuck();
  expect(peer.sentBytes - sentBefore).toBeLessThan(20 * mib);
  expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(32 * mib);
  expect(on.context.budget.usedBytes).toBeLessThan(1.1 * mib);
  // Others are heard, on connections of their own and on this one.
  const check = await other.call('/grpc.health.v1.Health/Check', framed(Buffer.alloc(0)));
  expect(check.status).toBe(0);
  await peer.pong();
  const good = other.good('envoy_als', '/other');
  on.goOn();
  expect((await good).status).toBe(0);
  await eventually(() => on.records() === streams * messages + 1, 20_000);
  expect(peer.sentBytes).toBe(streams * body.length);
  await eventually(() => on.context.budget.usedBytes === 0);
});

test('envoy_als holds few messages that have become longer and wait for room, and loses none', async () => {
  const on = await listening();
  on.stop();
  const packed = framed(gzipSync(messageOf('envoy_als', 'x'.repeat(2 * mib))), 1);
  const path = pathOf('envoy_als');
  const peers = client(on.port);
  const { arrayBuffers } = process.memoryUsage();
  const send = (who: RawClient) => who.call(path, packed, { 'grpc-encoding': 'gzip' });
  const answers = Array.from({ length: 30 }, () => send(peers));
  // Some go away while they wait.
  const leaving = client(on.port);
  for (let i = 0; i < 30; i++) void send(leaving);
  const { budget } = on.context;
  await eventually(() => budget.usedBytes > 10 * mib);
  await sleep(200);
  expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(40 * mib);
  expect(budget.usedBytes).toBeLessThan(12 * mib);
  leaving.close();
  const other = await client(on.port).call('/grpc.health.v1.Health/Check', framed(Buffer.alloc(0)));
  expect(other.status).toBe(0);
  on.goOn();
  for (const answer of answers) expect((await answer).status).toBe(0);
  await eventually(() => on.records() >= answers.length && budget.usedBytes === 0);
  expect(on.refusedRequests('cut_short')).toBeGreaterThan(20);
});

test('envoy_als holds nobody back once all who waited are gone', async () => {
  const on = await listening();
  on.stop();
  const packed = framed(gzipSync(messageOf('envoy_als', 'x'.repeat(2 * mib))), 1);
  const leaving = client(on.port);
  for (let i = 0; i < 6; i++) {
    void leaving.call(pathOf('envoy_als'), packed, { 'grpc-encoding': 'gzip' });
  }
  const { context } = on;
  const labels = { receiver: context.id };
  const held = () => context.metrics.read('meshlog_receiver_held_back_seconds_total', labels) ?? 0;
  await eventually(() => held() > 0.4);
  leaving.close();
  await eventually(() => context.metrics.read('meshlog_receiver_streams', labels) === 0);
  await sleep(100);
  const before = held();
  await sleep(700);
  expect(held()).toBe(before);
  on.goOn();
  await eventually(() => context.budget.usedBytes === 0);
});
