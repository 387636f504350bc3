import { expect, test } from 'vitest';
import { memoryUnderDeadSinks } from './dead_sinks.ts';

test('memory stays within the budget and 140 MiB with every sink dead under full load (P8)', async () => {
  const { peakMib, boundMib, offeredMib } = await memoryUnderDeadSinks(8000);
  expect(offeredMib).toBeGreaterThan(64);
  expect(peakMib).toBeLessThan(boundMib);
}, 40_000);
