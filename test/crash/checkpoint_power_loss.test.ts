// The file receiver's checkpoints after a power cut: SQLite forces its write-ahead log to disk only now and then, so that
// any part of its end may be missing, torn or zeros.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  type Checkpoint,
  createCheckpoints,
  openCheckpoints,
} from '../../src/receivers/file/checkpoints.ts';
import { dice } from './power_loss/disk.ts';

const files = 5;
const saves = 40;
const states = 120;
const sectorBytes = 512;

/** What is acknowledged of each file at the n-th save. */
const saved = (n: number): Checkpoint[] =>
  Array.from({ length: files }, (_, key) => ({
    key,
    id: `id ${key}`,
    path: `/var/log/${key}.log`,
    dev: 1n,
    ino: BigInt(key),
    generation: 0,
    offset: n * 1000 + key,
    tail: Buffer.from(`the bytes before ${n}`),
    fingerprintBytes: 16,
    fingerprint: 'abc',
    skipping: false,
    compressed: false,
    finished: false,
    emptied: false,
    seenMs: n,
  }));

test('checkpoints after a power cut are those of one moment before it, of all files, whatever became of the log', () => {
  const folder = mkdtempSync(join(tmpdir(), 'meshlog-checkpoints-'));
  const random = dice(7);
  const moments = new Set<number>();
  try {
    const path = join(folder, 'file.checkpoints.db');
    const store = createCheckpoints(path, saved(0));
    for (let n = 1; n <= saves; n++) store.save(saved(n), []);
    const [database, log] = [readFileSync(path), readFileSync(`${path}-wal`)];
    for (let i = 0; i < states; i++) {
      const left = cut(log, random);
      const state = join(folder, `state-${i}`);
      mkdirSync(state);
      const copy = join(state, 'file.checkpoints.db');
      writeFileSync(copy, database);
      writeFileSync(`${copy}-wal`, left);
      const opened = openCheckpoints(copy, 0);
      opened.store.close();
      expect(opened.state).toBe('kept');
      const moment = Math.floor((opened.checkpoints[0]?.offset ?? 0) / 1000);
      expect(opened.checkpoints.map(({ key, offset }) => ({ key, offset }))).toEqual(
        saved(moment).map(({ key, offset }) => ({ key, offset })),
      );
      moments.add(moment);
    }
    store.close();
    // Old and new ones were among them.
    expect(Math.min(...moments)).toBeLessThan(saves / 4);
    expect(Math.max(...moments)).toBeGreaterThan(saves / 2);
    expect(moments.size).toBeGreaterThan(8);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Whole up to some place; behind it each sector is there, zeros, or beyond the end. */
function cut(log: Buffer, random: () => number): Buffer {
  const from = Math.floor((random() * log.length) / sectorBytes) * sectorBytes;
  const left = Buffer.from(log);
  for (let at = from; at < log.length; at += sectorBytes) {
    if (random() < 0.5) left.fill(0, at, Math.min(log.length, at + sectorBytes));
  }
  return random() < 0.5
    ? left
    : left.subarray(0, from + Math.floor(random() * (log.length - from)));
}
