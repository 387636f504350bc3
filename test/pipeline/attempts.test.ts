// What ends an attempt: its own time, and whoever waits for it.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Attempts } from '../../src/pipeline/attempts.ts';

const timeoutMs = 300;

test('an attempt has its whole time, however much of it one before has used', async () => {
  const attempts = new Attempts(timeoutMs);
  const waiting = new AbortController().signal;
  const first = attempts.begin(waiting);
  await sleep(timeoutMs * 0.6);
  attempts.end(first);
  const startedMs = performance.now();
  const { signal } = attempts.begin(waiting);
  await sleep(timeoutMs * 0.6);
  expect(signal.aborted).toBe(false);
  await new Promise((ended) => signal.addEventListener('abort', ended));
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(timeoutMs - 2);
  expect(signal.reason).toMatchObject({ message: 'no answer within 300 ms' });
});

test('no attempt begins with a signal that has aborted', async () => {
  const attempts = new Attempts(20);
  const waiting = new AbortController().signal;
  const late = attempts.begin(waiting);
  await sleep(60);
  expect(late.signal.aborted).toBe(true);
  attempts.end(late);
  expect(attempts.begin(waiting).signal.aborted).toBe(false);
});

test('an attempt ends with whoever waits for it, not with who waited for one before', () => {
  const attempts = new Attempts(0);
  const [before, after] = [new AbortController(), new AbortController()];
  attempts.end(attempts.begin(before.signal));
  const { signal } = attempts.begin(after.signal);
  before.abort(new Error('before'));
  expect(signal.aborted).toBe(false);
  after.abort(new Error('after'));
  expect(signal.reason).toMatchObject({ message: 'after' });
  const tooLate = attempts.begin(after.signal);
  expect(tooLate.signal.reason).toMatchObject({ message: 'after' });
});

test('nobody who stops waiting between two attempts ends the next', () => {
  const attempts = new Attempts(0);
  const before = new AbortController();
  attempts.end(attempts.begin(before.signal));
  before.abort(new Error('before'));
  expect(attempts.begin(new AbortController().signal).signal.aborted).toBe(false);
  expect(attempts.begin(before.signal).signal.reason).toMatchObject({ message: 'before' });
});

test('an attempt may take nearly for ever', async () => {
  const { signal } = new Attempts(2 ** 31 - 1).begin(new AbortController().signal);
  await sleep(20);
  expect(signal.aborted).toBe(false);
});

test('attempts that have ended keep nothing running', async () => {
  const attempts = new Attempts(20);
  const ended = attempts.begin(new AbortController().signal);
  attempts.end(ended);
  await sleep(60);
  expect(ended.signal.aborted).toBe(false);
});
