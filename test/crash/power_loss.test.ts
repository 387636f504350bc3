// The queue on disk after a power cut: states that a disk may be left in are made from a recording of what the queue did,
// and the real queue is started on each.

import { expect, test } from 'vitest';
import { powerLoss } from './power_loss/power_loss.ts';

test('a power cut at any moment costs no acknowledged batch of a disk queue, whatever the disk made of the rest', async () => {
  const report = await powerLoss({ seed: 1, states: 120 });
  expect(report).toMatchObject({ lost: [], corrupted: [], invented: [], stuck: [] });
  // Nothing of this would be worth anything if there were nothing to lose.
  expect(report.acknowledged).toBeGreaterThan(1000);
  expect(report.owed).toBeGreaterThan(10_000);
  expect(report.filesMax).toBeGreaterThan(3);
}, 60_000);
