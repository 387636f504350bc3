import { describe, expect, test } from 'vitest';
import { Batch } from '../../src/pipeline/batch.ts';
import { Handover } from '../../src/pipeline/handover.ts';
import { collector, refusing, testContext } from '../support/collect.ts';

const names = ['0', '1', '2', '3', '4', '5'];

describe('handover', () => {
  test('delivers in order, and gives the budget back', async () => {
    const context = testContext();
    const { deliver, lines } = collector();
    const handover = new Handover(deliver, context);
    for (const name of names) {
      await context.budget.take(100);
      handover.push(Batch.ofLines([name]), 100);
    }
    await handover.finish();
    expect(lines).toEqual(names);
    expect(context.budget.usedBytes).toBe(0);
  });

  test('tries refused batches again, in their order, and lets later ones wait behind', async () => {
    const context = testContext();
    const { deliver, lines, until } = collector();
    const refuse = refusing({ times: 4, retryAfterMs: 5, next: deliver });
    const handover = new Handover(refuse, context);
    for (const name of names.slice(0, 3)) handover.push(Batch.ofLines([name]), 0);
    await new Promise((resolve) => setImmediate(resolve));
    for (const name of names.slice(3)) handover.push(Batch.ofLines([name]), 0);
    await until(6);
    await handover.finish();
    expect(lines).toEqual(names);
    expect(context.dropped).toEqual({});
    expect(context.logged[0]).toMatch(/^warn: waits, nothing is lost/);
    expect(context.logged.map((line) => line.split(':')[0])).toEqual(['warn', 'info']);
  });

  test('drops and counts what is refused for good', async () => {
    const context = testContext();
    const handover = new Handover(refusing({ retryable: false }), context);
    handover.push(Batch.ofLines(['a', 'b']), 0);
    handover.push(Batch.ofLines(['c']), 0);
    await handover.finish();
    expect(context.dropped).toEqual({ refused: 3 });
    expect(context.logged).toHaveLength(1);
  });

  test('ends even when the pipeline refuses for ever', async () => {
    const context = testContext();
    const refuse = refusing({ retryAfterMs: 1 });
    const handover = new Handover(refuse, context);
    handover.push(Batch.ofLines(['a']), 0);
    await handover.finish();
    expect(refuse.refused).toBeGreaterThan(1);
    expect(context.dropped).toEqual({ refused: 1 });
  });

  test('says at the end how many records were dropped, and who did not take them', async () => {
    const context = testContext();
    const handover = new Handover(refusing({ retryAfterMs: 1 }), context);
    for (const name of names) handover.push(Batch.ofLines([name, name]), 0);
    await handover.finish();
    expect(context.dropped).toEqual({ refused: 12 });
    expect(context.logged.filter((line) => line.startsWith('error'))).toEqual([
      'error: dropped 12 records that nobody took at the end: the test refuses',
    ]);
    expect(context.logged.filter((line) => line.startsWith('warn'))).toEqual([
      'warn: tries a few times more: the pipeline refuses: the test refuses',
    ]);
  });
});
