import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { Room, Rooms } from '../../src/receivers/otlp/room.ts';
import { testContext } from '../support/collect.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const requestBytes = 8 * 1024;

test('requests that find no room in time are refused, each after the same time, and leave nothing behind', async () => {
  const context = testContext({ budgetBytes: requestBytes });
  const rooms = new Rooms(5, context);
  const first = new Room(rooms);
  expect(first.reserve(0)).toBe(undefined);
  const wave = async (): Promise<void> => {
    const made = Array.from({ length: 900 }, () => new Room(rooms));
    const failures = await Promise.all(made.map((room) => room.reserve(10)));
    expect(new Set(failures.map((failure) => failure?.reason))).toEqual(new Set(['no_room']));
    for (const room of made) room.close();
  };
  await wave();
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 40; i++) await wave();
  collectGarbage();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(2 * 1024 * 1024);
  expect(context.budget.usedBytes).toBe(requestBytes);
  // It is said once.
  expect(context.logged).toHaveLength(1);
  first.close();
  expect(context.budget.usedBytes).toBe(0);
});

test('a request that waits gets the room of one that is done, and none once it is gone', async () => {
  const context = testContext({ budgetBytes: 3 * requestBytes });
  const rooms = new Rooms(10_000, context);
  const [first, second, third] = [new Room(rooms), new Room(rooms), new Room(rooms)];
  expect(first.reserve(requestBytes)).toBe(undefined);
  const [gone, waits] = [second.reserve(requestBytes), third.reserve(requestBytes)];
  second.close();
  first.close();
  expect(await waits).toBe(undefined);
  expect(context.budget.usedBytes).toBe(2.5 * requestBytes);
  // It has become longer, and there is room for that.
  expect(third.reserve(requestBytes + 1000)).toBe(undefined);
  third.close();
  third.close();
  expect(context.budget.usedBytes).toBe(0);
  expect(await Promise.race([gone, Promise.resolve('nothing')])).toBe('nothing');
});

test('more requests than may wait are refused at once', async () => {
  const context = testContext({ budgetBytes: requestBytes });
  const rooms = new Rooms(10_000, context);
  expect(new Room(rooms).reserve(0)).toBe(undefined);
  const all = Array.from({ length: 1100 }, () => new Room(rooms).reserve(0));
  const refused = await Promise.all(all.slice(1024));
  expect(new Set(refused.map((failure) => failure?.reason))).toEqual(new Set(['no_room']));
  expect(await Promise.race([all[1023], Promise.resolve('waits')])).toBe('waits');
});
