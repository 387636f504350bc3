import { spawn } from 'node:child_process';
import { createReadStream, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { Deliver } from '../../src/pipeline/component.ts';
import { StdinReceiver, stdin } from '../../src/receivers/stdin.ts';
import { collector, testContext } from '../support/collect.ts';

async function start(stream: Readable, deliver: Deliver, config = {}, budgetBytes = 64 << 20) {
  const context = testContext({ id: 'stdin', budgetBytes });
  const settings = stdin.config.parse({ linger: '5ms', ...config });
  const receiver = new StdinReceiver(settings, context, () => stream);
  await receiver.start(deliver);
  return { receiver, context };
}

describe('stdin', () => {
  test('delivers lines as they come, and the last one at the end', async () => {
    const { deliver, lines, records, until } = collector();
    const stream = new PassThrough();
    const { receiver, context } = await start(stream, deliver);
    stream.write('a\nb\r\nha');
    await until(2);
    expect(lines).toEqual(['a', 'b']);
    stream.end('lf');
    await receiver.ended;
    await receiver.stop();
    expect(lines).toEqual(['a', 'b', 'half']);
    expect(records[0]?.attributes).toEqual({});
    expect(
      context.metrics.read('meshlog_receiver_partial_lines_total', { receiver: 'stdin' }),
    ).toBe(1);
    expect(context.budget.usedBytes).toBe(0);
  });

  test('ends with a file, having delivered all of it', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'meshlog-stdin-')), 'lines');
    const wanted = Array.from({ length: 50_000 }, (_, i) => `line ${i}`);
    writeFileSync(file, `${wanted.join('\n')}\n`);
    const { deliver, lines } = collector();
    const { receiver } = await start(createReadStream(file), deliver, {}, 1 << 20);
    await receiver.ended;
    await receiver.stop();
    expect(lines).toEqual(wanted);
  });

  test('does not end while the pipeline holds back, and loses nothing', async () => {
    const { deliver, lines, pause, resume } = collector();
    const wanted = Array.from({ length: 100_000 }, (_, i) => `line ${i}`.padEnd(100, '.'));
    const bytes = Buffer.from(`${wanted.join('\n')}\n`);
    const reads = Array.from({ length: bytes.length / 50_000 }, (_, i) =>
      bytes.subarray(i * 50_000, (i + 1) * 50_000),
    );
    const stream = Readable.from(reads, { objectMode: false });
    pause();
    const { receiver, context } = await start(stream, deliver, {}, 2 << 20);
    let ended = false;
    void receiver.ended.then(() => {
      ended = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(ended).toBe(false);
    expect(context.budget.usedBytes).toBeLessThanOrEqual(2 << 20);
    resume();
    await receiver.ended;
    await receiver.stop();
    expect(lines).toEqual(wanted);
  });

  test('stops in the middle with what it has read', async () => {
    const { deliver, lines } = collector();
    const stream = new PassThrough();
    const { receiver } = await start(stream, deliver);
    stream.write('a\nb\nc');
    await receiver.stop();
    await receiver.ended;
    expect(lines).toEqual(['a', 'b', 'c']);
    expect(stream.destroyed).toBe(true);
  });

  test('says that it cannot read on, and ends', async () => {
    const { deliver, lines } = collector();
    const stream = new PassThrough();
    const { receiver, context } = await start(stream, deliver);
    stream.write('a\n');
    await new Promise((resolve) => setTimeout(resolve, 20));
    stream.destroy(new Error('read EIO'));
    await receiver.ended;
    await receiver.stop();
    expect(lines).toEqual(['a']);
    expect(context.logged).toEqual(['warn: cannot read on: read EIO']);
  });

  for (const [tooLong, wanted] of [
    ['split', ['x'.repeat(64), 'x'.repeat(36), 'ok']],
    ['truncate', ['x'.repeat(64), 'ok']],
    ['drop', ['ok']],
  ] as const) {
    test(`${tooLong}s lines over the limit`, async () => {
      const { deliver, lines } = collector();
      const stream = new PassThrough();
      const config = { line_bytes_max: 64, line_too_long: tooLong };
      const { receiver, context } = await start(stream, deliver, config);
      stream.end(`${'x'.repeat(100)}\nok\n`);
      await receiver.ended;
      await receiver.stop();
      expect(lines).toEqual(wanted);
      expect(context.dropped).toEqual(tooLong === 'drop' ? { line_too_long: 1 } : {});
    });
  }

  test('is the standard input of its process', async () => {
    const program = `
      import { stdin } from ${JSON.stringify(new URL('../../src/receivers/stdin.ts', import.meta.url).href)};
      import { testContext } from ${JSON.stringify(new URL('../support/collect.ts', import.meta.url).href)};
      const receiver = stdin.create(stdin.config.parse({}), testContext());
      let rows = 0;
      await receiver.start(async (batch) => { rows += batch.count; });
      await receiver.ended;
      await receiver.stop();
      console.log(rows);`;
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stdin.end('a\nb\nc');
    const code = await new Promise((resolve) => child.on('exit', resolve));
    expect([code, output]).toEqual([0, '3\n']);
  });
});
