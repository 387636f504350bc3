import { expect, test } from 'vitest';
import { Budget } from '../../src/pipeline/budget.ts';

const settled = (): Promise<void> => new Promise(setImmediate);

test('budget serves those who wait in their order, and not those who are gone', () => {
  const budget = new Budget(100);
  const share = budget.share();
  const served: string[] = [];
  share.tryTake(100);
  const gone = share.wait(30, () => served.push('gone'));
  share.wait(60, () => served.push('first'));
  share.wait(40, () => served.push('second'));
  share.wait(10, () => served.push('third'));
  share.forget(gone);
  share.give(75);
  expect(served).toEqual(['first', 'third']);
  share.give(25);
  expect(served).toEqual(['first', 'third']);
  share.give(60);
  expect(served).toEqual(['first', 'third', 'second']);
  expect(budget.usedBytes).toBe(50);
});

test('budget lets nobody wait for ever who asks for much while others ask for little', () => {
  const budget = new Budget(100);
  const share = budget.share();
  const served: number[] = [];
  let mostBytes = 0;
  for (let i = 0; i < 10; i++) share.tryTake(10);
  share.wait(30, () => served.push(30));
  for (const bytes of [50, 40]) share.wait(bytes, () => served.push(bytes), { borrows: true });
  const step = () => {
    share.give(10);
    share.tryTake(10);
    mostBytes = Math.max(mostBytes, budget.usedBytes);
  };
  for (let i = 0; i < 9; i++) step();
  expect(served).toEqual([]);
  for (let i = 0; i < 2; i++) step();
  // The next one not before as much was given back.
  expect(served).toEqual([50]);
  for (let i = 0; i < 5; i++) step();
  expect(served).toEqual([50, 40]);
  expect(mostBytes).toBeLessThanOrEqual(150);
  // Who does not borrow waits for room.
  share.give(share.usedBytes);
  expect(served).toEqual([50, 40, 30]);
  share.give(30);
  expect(budget.usedBytes).toBe(0);
  expect(share.lentBytes).toBe(0);
});

test('budget lends to one at a time what there is not, until as much was given back', async () => {
  const budget = new Budget(100);
  const share = budget.share();
  const lent: number[] = [];
  const ask = (bytes: number) => void share.overdraw(bytes).then(() => lent.push(bytes));
  share.tryTake(90);
  for (const bytes of [5, 50, 20, 30]) ask(bytes);
  await settled();
  expect(lent).toEqual([5, 50]);
  expect(budget.usedBytes).toBe(145);
  share.give(49);
  await settled();
  expect(lent).toEqual([5, 50]);
  share.give(1);
  await settled();
  expect(lent).toEqual([5, 50, 20]);
  // For the last one there is room.
  share.give(45);
  await settled();
  expect(lent).toEqual([5, 50, 20, 30]);
  expect(budget.usedBytes).toBe(100);
  share.close();
  expect(budget.usedBytes).toBe(0);
});

test('budget keeps nobody waiting for a receiver that is gone', async () => {
  const budget = new Budget(100);
  const share = budget.share();
  share.tryTake(100);
  void share.overdraw(10);
  const waiting = [share.take(10), share.overdraw(10)];
  share.close();
  await Promise.all(waiting);
  expect(share.tryTake(10)).toBe(true);
  expect(budget.usedBytes).toBe(0);
});
