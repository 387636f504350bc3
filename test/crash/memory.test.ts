import { expect, test } from 'vitest';
import { memoryUnderDeadSinks, type Source, sources } from './dead_sinks.ts';

const loads: readonly (readonly [string, readonly Source[]])[] = [
  ['files and TCP', ['file', 'tcp']],
  ['every receiver', sources],
];

for (const [what, offered] of loads) {
  test(`memory with every sink dead under full load of ${what}: within the budget and 140 MiB (P8)`, async () => {
    const { peakMib, boundMib, offeredMib, usedMib } = await memoryUnderDeadSinks(6000, offered);
    expect(offeredMib).toBeGreaterThan(64);
    expect(usedMib).toBeGreaterThan(16);
    expect(peakMib).toBeLessThan(boundMib);
  }, 40_000);
}
