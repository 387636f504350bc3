// When a failed export is repeated, and when no more.

import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { Batch } from '../../src/pipeline/batch.ts';
import { DeadLetter } from '../../src/pipeline/dead_letter.ts';
import { ExportError } from '../../src/pipeline/errors.ts';
import { exporterSettings } from '../../src/pipeline/queue.ts';
import { Sender } from '../../src/pipeline/sender.ts';
import { testContext } from '../support/collect.ts';

const settingsOf = z.strictObject(exporterSettings);
const never = new AbortController().signal;

type Plan = {
  /** What each attempt fails with; behind the last one they succeed. */
  failures: readonly { retryable?: boolean; retryAfterMs?: number }[];
  retry?: z.input<typeof exporterSettings.retry_on_failure>;
  /** What the dice say, one after the other; then 1. */
  dice?: number[];
  /** Milliseconds by which the clock jumps with each attempt. */
  stepMs?: number;
};

/** Sends one record. Returns the milliseconds between the attempts, as the wall clock saw them. */
async function sent({ failures, retry = {}, dice = [], stepMs = 0 }: Plan) {
  let jumpedMs = 0;
  const rolled = [...dice];
  const context = testContext({
    id: 'sink',
    now: () => performance.now() + jumpedMs,
    random: () => rolled.shift() ?? 0.999,
  });
  const circuit: (number | undefined)[] = [];
  const startsMs: number[] = [];
  const sender = new Sender({
    exporter: {
      export: async () => {
        const failure = failures[startsMs.length];
        startsMs.push(performance.now());
        jumpedMs += stepMs;
        circuit.push(context.metrics.read('meshlog_exporter_circuit_open', { exporter: 'sink' }));
        if (failure !== undefined) {
          throw new ExportError('no', { retryable: true, ...failure });
        }
      },
      stop: async () => undefined,
    },
    context,
    retry: settingsOf.parse({ retry_on_failure: retry }).retry_on_failure,
    timeoutMs: 0,
    deadLetter: new DeadLetter({ path: undefined, exporter: 'sink', bytesMax: 1 }),
  });
  sender.publish();
  await sender.send(Batch.ofLines(['a']), never);
  circuit.push(context.metrics.read('meshlog_exporter_circuit_open', { exporter: 'sink' }));
  const waitsMs = startsMs.slice(1).map((at, i) => at - (startsMs[i] ?? 0));
  return { waitsMs, context, circuit };
}

/** Timers are never early by more than their rounding; on a busy machine they are late. */
function expectWaits(waitsMs: readonly number[], wantedMs: readonly number[]): void {
  expect(waitsMs).toHaveLength(wantedMs.length);
  for (const [i, wanted] of wantedMs.entries()) {
    expect(waitsMs[i]).toBeGreaterThan(wanted - 2);
    expect(waitsMs[i]).toBeLessThan(wanted + 90);
  }
}

const away = {};

describe('sender waits', () => {
  test('a random part of a ceiling that doubles up to max_interval: full jitter', async () => {
    const { waitsMs } = await sent({
      failures: [away, away, away, away],
      retry: { initial_interval: '100ms', max_interval: '300ms' },
      dice: [0.999, 0.999, 0.999, 0.999],
    });
    expectWaits(waitsMs, [100, 200, 300, 300]);
    const jittered = await sent({
      failures: [away, away, away, away],
      retry: { initial_interval: '100ms', max_interval: '300ms' },
      dice: [0.5, 0, 0.1, 0.5],
    });
    expectWaits(jittered.waitsMs, [50, 0, 30, 150]);
  });

  test('as long as the peer wishes, where that is longer', async () => {
    const { waitsMs } = await sent({
      failures: [{ retryAfterMs: 150 }, { retryAfterMs: 1 }],
      retry: { initial_interval: '20ms', max_interval: '120ms' },
      dice: [0, 0.999],
    });
    expectWaits(waitsMs, [150, 40]);
  });

  test('with an open circuit, which closes with the first success', async () => {
    const { circuit } = await sent({
      failures: [away, away],
      retry: { initial_interval: '1ms', max_interval: '1ms' },
    });
    expect(circuit).toEqual([0, 1, 1, 0]);
  });
});

describe('sender gives up', () => {
  const quick = { initial_interval: '1ms', max_interval: '1ms' } as const;

  test('never by default: a year is not too long', async () => {
    const { context, waitsMs } = await sent({
      failures: Array.from({ length: 30 }, () => away),
      retry: quick,
      stepMs: 365 * 86_400_000,
    });
    expect(waitsMs).toHaveLength(30);
    expect(context.dropped).toEqual({});
  });

  test('after max_elapsed_time, and counts it', async () => {
    const { context, waitsMs } = await sent({
      failures: Array.from({ length: 30 }, () => away),
      retry: { ...quick, max_elapsed_time: '1m' },
      stepMs: 25_000,
    });
    expect(waitsMs).toHaveLength(2);
    expect(context.dropped).toEqual({ retried_too_long: 1 });
  });

  test('at once when retries are off', async () => {
    const { context, waitsMs } = await sent({
      failures: [away],
      retry: { ...quick, enabled: false },
    });
    expect(waitsMs).toHaveLength(0);
    expect(context.dropped).toEqual({ retry_disabled: 1 });
  });
});
