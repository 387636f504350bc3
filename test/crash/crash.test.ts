// Records are counted while the daemon is killed: at every named point, twice, and at random.

import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { allFaults, exportFaults, fileFaults } from './faults.ts';
import type { Report } from './oracle.ts';
import { type Kind, Scenario } from './scenario.ts';
import type { Mood } from './sinks.ts';

const root = resolve(import.meta.dirname, '../..');

test('crash: every fault point in the source has its place in the tests', () => {
  const found = execFileSync('grep', ['-rhoE', "faultPoint\\('[a-z_]+'", 'src'], {
    cwd: root,
    encoding: 'utf8',
  });
  const names = new Set([...found.matchAll(/'([a-z_]+)'/g)].map(([, name]) => name));
  expect([...names].sort()).toEqual([...allFaults].sort());
});

/** What must hold after any faults; that there was something to lose; that it was delivered once more. */
function expectNothingLost(report: Report & { replays: number }, acknowledged: number): void {
  expect(report).toMatchObject({ missing: 0, missingSample: [], invented: 0, corrupted: 0 });
  expect(report.acknowledged).toBeGreaterThan(acknowledged);
  expect(report.duplicates).toBeGreaterThan(0);
}

const lives: readonly (Kind & { name: string; faults: readonly string[] })[] = [
  { name: 'a disk queue', queue: 'disk', sink: 'otlp', faults: allFaults },
  {
    name: 'a memory queue',
    queue: 'memory',
    sink: 'lines',
    faults: [...exportFaults, ...fileFaults],
  },
];

for (const { name, faults, ...kind } of lives) {
  test(`crash: nothing acknowledged is lost with ${name}, killed at each fault point, twice (B1, G1)`, async () => {
    const scenario = await Scenario.create(kind);
    try {
      for (const times of [1, 2]) {
        for (const fault of faults) await scenario.lifeUntil(`${fault}:${times}`);
      }
      const report = await scenario.finish();
      expectNothingLost(report, 1000);
      if (kind.queue === 'disk') expect(report.replays).toBeGreaterThan(3);
    } finally {
      await scenario.close();
    }
  }, 90_000);
}

test('crash: nothing acknowledged is lost before sinks that refuse, hang, reset, answer late and flap', async () => {
  const scenario = await Scenario.create({ queue: 'disk', sink: 'otlp' });
  const moods: readonly Mood[] = ['refuse', 'hang', 'late', 'busy'];
  let turn = 0;
  const flapping = setInterval(() => {
    turn++;
    scenario.sink.mood = turn % 2 === 0 ? 'ok' : (moods[(turn >> 1) % moods.length] ?? 'ok');
    if (turn % 5 === 0) scenario.proxy.reset();
    if (turn % 7 === 0) scenario.proxy.halfClose();
    scenario.proxy.faults.delayMs = turn % 3 === 0 ? 30 : 0;
    scenario.proxy.faults.bytesPerSecond = turn % 4 === 0 ? 200_000 : 0;
    scenario.proxy.faults.blackHole = turn % 9 === 0;
  }, 150);
  try {
    for (const ms of [300, 900, 500]) await scenario.lifeOf(ms);
    clearInterval(flapping);
    const report = await scenario.finish();
    expectNothingLost(report, 500);
    expect(report.replays).toBeGreaterThan(0);
  } finally {
    clearInterval(flapping);
    await scenario.close();
  }
}, 45_000);

for (const queue of ['disk', 'memory'] as const) {
  test(`reload under load: nothing acknowledged is lost with a ${queue} queue, although every component changes, also while the sink is away`, async () => {
    const scenario = await Scenario.create({ queue, sink: 'otlp' });
    const daemon = scenario.spawn();
    try {
      await daemon.started();
      for (let turn = 1; turn <= 6; turn++) {
        await sleep(200);
        scenario.sink.mood = (['ok', 'refuse', 'hang'] as const)[turn % 3] ?? 'ok';
        await scenario.reload(turn);
      }
      daemon.signal('SIGTERM');
      await daemon.ended;
      const report = await scenario.finish();
      expect(report).toMatchObject({ missing: 0, missingSample: [], invented: 0, corrupted: 0 });
      expect(report.acknowledged).toBeGreaterThan(500);
    } finally {
      await daemon.kill();
      await scenario.close();
    }
  }, 90_000);

  test(`shutdown under load: nothing acknowledged is lost with a ${queue} queue, whatever the sink does`, async () => {
    const scenario = await Scenario.create({ queue, sink: 'otlp' });
    try {
      for (const mood of ['ok', 'refuse', 'hang'] as const) {
        scenario.sink.mood = mood;
        await scenario.lifeToItsEnd(500);
      }
      const report = await scenario.finish();
      expect(report).toMatchObject({ missing: 0, missingSample: [], invented: 0, corrupted: 0 });
      expect(report.acknowledged).toBeGreaterThan(500);
    } finally {
      await scenario.close();
    }
  }, 90_000);
}
