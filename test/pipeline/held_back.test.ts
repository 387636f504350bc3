import { expect, test } from 'vitest';
import { HeldBack } from '../../src/pipeline/held_back.ts';
import { testContext } from '../support/collect.ts';
import { eventually } from '../support/sockets.ts';

const name = 'meshlog_receiver_held_back_seconds_total';

test('held_back counts while peers wait, not only afterwards, and several at once only once', async () => {
  let nowMs = 1000;
  const context = testContext({ now: () => nowMs });
  const held = new HeldBack(context);
  const seconds = (): number => context.metrics.read(name, { receiver: 'test' }) ?? 0;
  held.begin();
  nowMs += 2000;
  await eventually(() => seconds() > 0, 2000);
  expect([seconds(), held.waiting]).toEqual([2, 1]);
  held.begin();
  nowMs += 1000;
  held.end();
  nowMs += 1000;
  held.end();
  expect([seconds(), held.waiting]).toEqual([4, 0]);
  nowMs += 5000;
  held.begin();
  nowMs -= 100_000;
  held.end();
  expect(seconds()).toBe(4);
});
