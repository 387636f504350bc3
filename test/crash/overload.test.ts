import { describe, expect, test } from 'vitest';
import { grownMib, overload } from './overload.ts';

describe('overload: while the sink reads nothing, peers are held back, memory stays flat, and nothing is lost', () => {
  for (const source of ['envoy_als', 'otlp'] as const) {
    test(source, async () => {
      const report = await overload(source, { loadMs: 1000, pauseMs: 2000, budgetMib: 16 });
      expect(report).toMatchObject({ missing: 0, duplicates: 0, corrupted: 0 });
      expect(report.accepted).toBeGreaterThan(10_000);
      expect(report.peakMib).toBeLessThan(grownMib(report));
      // The budget has filled; from then on nobody gets rid of anything.
      expect(report.peakMib - report.beforeMib).toBeLessThan(40);
      expect(report.takenMib).toBeGreaterThan(1);
      expect(report.takenLateMib).toBeLessThan(2);
      // Senders of OTLP are told to come back a second later: half of the time nobody waits.
      expect(report.heldSeconds).toBeGreaterThan(report.pausedSeconds * 0.25);
    }, 60_000);
  }
});
