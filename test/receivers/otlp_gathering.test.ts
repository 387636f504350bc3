import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Gathering } from '../../src/receivers/otlp/gathering.ts';

/** Deliveries that end when they are told to. */
function gathering(bytesMax = 100) {
  const delivered: (readonly string[])[] = [];
  const ends: (() => void)[] = [];
  const made = new Gathering<string>((requests) => {
    delivered.push(requests);
    return new Promise((end) => ends.push(end));
  }, bytesMax);
  /** Until there are so many deliveries. */
  const until = async (count: number): Promise<number> => {
    const startedMs = performance.now();
    while (delivered.length < count) {
      if (performance.now() - startedMs > 5000) throw new Error(`${delivered.length} deliveries`);
      await sleep(0);
    }
    return performance.now() - startedMs;
  };
  const endAll = (): void => {
    for (const end of ends.splice(0)) end();
  };
  const endOne = (): void => ends.shift()?.();
  return { made, delivered, endOne, endAll, until };
}

test('requests of one reading go together, and a lone one goes at once', async () => {
  const { made, delivered, endAll, until } = gathering();
  made.add('a', 10);
  made.add('b', 10);
  await until(1);
  endAll();
  await sleep(20);
  made.add('c', 10);
  await until(2);
  expect(delivered).toEqual([['a', 'b'], ['c']]);
});

test('what comes during a delivery goes together, half-full at once', async () => {
  const { made, delivered, until } = gathering();
  made.add('a', 10);
  await until(1);
  for (const request of ['b', 'c', 'd', 'e']) made.add(request, 10);
  await new Promise(setImmediate);
  expect(delivered).toEqual([['a']]);
  made.add('f', 10);
  await until(2);
  made.add('g', 10);
  // A delivery that does not end holds nobody up for long.
  await until(3);
  expect(delivered).toEqual([['a'], ['b', 'c', 'd', 'e', 'f'], ['g']]);
});

test('deliveries that end one after the other do not make anybody wait anew', async () => {
  const { made, delivered, endOne, until } = gathering();
  for (let i = 0; i < 30; i++) made.add('big', 100);
  await until(30);
  made.add('small', 10);
  const startedMs = performance.now();
  for (let i = 0; i < 29 && delivered.length === 30; i++) {
    await sleep(6);
    endOne();
  }
  await until(31);
  // With each that ended it would have been 170 ms.
  expect(performance.now() - startedMs).toBeLessThan(100);
});

test('those who are answered are waited for, and their number is learned', async () => {
  const { made, delivered, endAll, until } = gathering();
  const both = ['a', 'b'];
  for (const request of both) made.add(request, 10);
  await until(1);
  // A machine that is busy may take longer than anybody is waited for.
  for (let round = 0; round < 50 && (round === 0 || delivered.at(-1)?.length !== 2); round++) {
    endAll();
    await new Promise(setImmediate);
    const before = delivered.length;
    made.add('a', 10);
    await new Promise(setImmediate);
    made.add('b', 10);
    await until(before + 1);
    if (delivered.at(-1)?.length === 1) await until(before + 2);
  }
  expect(delivered.at(-1)).toEqual(both);
  endAll();
  await new Promise(setImmediate);
  // The other does not come back: this one waits a moment, and the next time it does not.
  const before = delivered.length;
  made.add('a', 10);
  await until(before + 1);
  endAll();
  await new Promise(setImmediate);
  made.add('a', 10);
  await new Promise(setImmediate);
  expect(delivered.slice(before)).toEqual([['a'], ['a']]);
});

test('what is too much for one batch becomes two', async () => {
  const { made, delivered } = gathering();
  for (const request of ['a', 'b', 'c']) made.add(request, 45);
  expect(delivered).toEqual([['a', 'b']]);
});
