import { expect, test } from 'vitest';
import { Degradations } from '../../src/telemetry/degraded.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

function setUp() {
  const metrics = new Metrics();
  const all = new Degradations(metrics);
  const said: string[] = [];
  const clock = { nowMs: 0 };
  const log = {
    warn: (message: string) => void said.push(`warn: ${message}`),
    info: (message: string) => void said.push(`info: ${message}`),
  };
  const scope = (component: string) => all.scope(component, log, () => clock.nowMs);
  const read = (name: string): number | undefined =>
    metrics.read(name, { component: 'receiver/file' });
  return { all, said, clock, scope, read };
}

test('what is degraded is said at once, when its reason changes, and every five minutes while it lasts', () => {
  const { said, clock, scope, read } = setUp();
  const file = scope('receiver file');
  for (; clock.nowMs < 11 * 60_000; clock.nowMs += 1000) file.begin('no places', 'EROFS');
  expect(said).toEqual(Array(3).fill('warn: degraded: no places: EROFS; trying again'));
  file.begin('no places', 'ENOSPC');
  expect(said.at(-1)).toBe('warn: degraded: no places: ENOSPC; trying again');
  expect(read('meshlog_degraded')).toBe(1);
  expect(read('meshlog_degraded_failures_total')).toBe(661);
  file.end('no places');
  file.end('no places');
  expect(said.slice(4)).toEqual(['info: no longer degraded: no places']);
  expect(read('meshlog_degraded')).toBe(0);
});

test('each thing of each component is told apart, and goes with its component', () => {
  const { all, scope, read } = setUp();
  const file = scope('receiver file');
  const other = scope('receiver file/b');
  file.begin('one', 'x');
  file.begin('two', 'y');
  other.begin('one', 'z');
  expect(all.list()).toEqual([
    'receiver file: one: x',
    'receiver file: two: y',
    'receiver file/b: one: z',
  ]);
  expect(read('meshlog_degraded')).toBe(2);
  file.leave();
  expect(all.list()).toEqual(['receiver file/b: one: z']);
  expect(read('meshlog_degraded')).toBe(0);
});
