// What streams hold that wait for room: it is outside of the budget, and there may be very many of them.

import { afterEach, expect, test } from 'vitest';
import type { Deliver } from '../../src/pipeline/component.ts';
import { testContext } from '../support/collect.ts';
import { greedyPeer } from '../support/greedy_peer.ts';
import { listeningGrpc, messageOf, pathOf, RawClient } from '../support/grpc_peers.ts';
import { framed } from '../support/raw_http2.ts';
import { eventually } from '../support/sockets.ts';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const mib = 1024 * 1024;

test('envoy_als holds little of thousands of streams that wait, answers others, and loses nothing', async () => {
  let goOn: () => void = () => undefined;
  let sink: Promise<void> | undefined;
  let records = 0;
  const context = testContext({ budgetBytes: mib });
  const deliver: Deliver = async (batch) => {
    await sink;
    records += batch.count;
  };
  const on = await listeningGrpc('envoy_als', deliver, {}, context);
  open.push(() => on.receiver.stop());
  const health = new RawClient(on.port);
  open.push(() => health.close());
  const streams = 2000;
  const messages = 6;
  const message = framed(messageOf('envoy_als', `/${'x'.repeat(5000)}`));
  const body = Buffer.concat(Array.from({ length: messages }, () => message));
  const peer = await greedyPeer(on.port, { path: pathOf('envoy_als'), streams, body });
  open.push(() => peer.close());
  // Streams that have been read may send more ahead.
  peer.send(message.length);
  await eventually(() => records === streams);
  sink = new Promise((resolve) => {
    goOn = resolve;
  });
  const { arrayBuffers } = process.memoryUsage();
  const sentBefore = peer.sentBytes;
  peer.send(body.length);
  await peer.stuck();
  expect(peer.sentBytes - sentBefore).toBeLessThan(20 * mib);
  expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(32 * mib);
  expect(context.budget.usedBytes).toBeLessThan(1.1 * mib);
  // Others are heard, on connections of their own and on this one.
  const check = await health.call('/grpc.health.v1.Health/Check', framed(Buffer.alloc(0)));
  expect(check.status).toBe(0);
  await peer.pong();
  const other = health.good('envoy_als', '/other');
  goOn();
  expect((await other).status).toBe(0);
  await eventually(() => records === streams * messages + 1, 20_000);
  expect(peer.sentBytes).toBe(streams * body.length);
  await eventually(() => context.budget.usedBytes === 0);
});
