// What is recorded: batches of records into the queue on disk, an exporter that is away now and then, and a restart.

import { setTimeout as sleep } from 'node:timers/promises';
import { Batch } from '../../../src/pipeline/batch.ts';
import { ExportError } from '../../../src/pipeline/errors.ts';
import { idOf, payload } from '../payload.ts';
import { dice } from './disk.ts';
import { theRecording } from './events.ts';
import { linesOf, queueIn } from './queue.ts';

const folder = process.env['POWER_LOSS_FOLDER'] ?? '';
const random = dice(Number(process.env['POWER_LOSS_SEED'] ?? 1));
const first = Number(process.env['POWER_LOSS_FIRST'] ?? 0);
const { mark } = theRecording();
const lives = 3;
const puts = 120;
let isAway = false;
let next = first;

async function send(batch: Batch): Promise<void> {
  const ids = linesOf(batch).map((line) => idOf(line)?.number ?? -1);
  await sleep(random() * 3);
  if (isAway) throw new ExportError('away', { retryable: true });
  for (const id of ids) mark('delivered', id);
}

/** A batch of some records; its memory is left to the collector: the exporter may still look at it. */
async function put(queue: ReturnType<typeof queueIn>): Promise<void> {
  const ids = Array.from({ length: 1 + Math.floor(random() * 8) }, () => next++);
  for (const id of ids) mark('issued', id);
  const batch = Batch.ofLines(ids.map((number) => payload({ stream: 'power', number })));
  try {
    await queue.put(batch);
    for (const id of ids) mark('acknowledged', id);
  } catch {
    // Refused at the end of a life: nobody was promised anything.
  }
}

for (let life = 0; life < lives; life++) {
  const queue = queueIn(folder, send);
  await queue.start();
  const open = new Set<Promise<void>>();
  for (let i = 0; i < puts; i++) {
    isAway = i % 60 < 25 || (life < lives - 1 && i > 90);
    const one: Promise<void> = put(queue).finally(() => open.delete(one));
    open.add(one);
    if (open.size > 6) await Promise.race([...open, sleep(100)]);
    // A full queue takes more only when the peer is back.
    if (open.size > 6) isAway = false;
    while (open.size > 6) await Promise.race(open);
    if (random() < 0.3) await sleep(random() * 4);
  }
  await queue.stop(AbortSignal.timeout(life === lives - 1 ? 5000 : 30));
  await Promise.all(open);
}
