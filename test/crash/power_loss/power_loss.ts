// Records a queue at work, cuts the power at many moments, and starts the queue on what the disk may hold then.
//   node test/crash/power_loss/power_loss.ts [STATES] [SEED]   the long form

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { deserialize } from 'node:v8';
import { Batch } from '../../../src/pipeline/batch.ts';
import { payload } from '../payload.ts';
import { Cut, dice, type Fate, type Files, fates, putFiles, Recording } from './disk.ts';
import type { FileEvent } from './events.ts';
import { linesOf, queueIn } from './queue.ts';

export type PowerLossReport = {
  readonly states: number;
  /** Records that the whole recording acknowledged. */
  readonly acknowledged: number;
  /** Over all states: records that were acknowledged and not delivered when the power failed. */
  readonly owed: number;
  /** The most files that a state had. */
  readonly filesMax: number;
  /** States in which an acknowledged record was not read back, in words. */
  readonly lost: string[];
  readonly corrupted: string[];
  /** Records that were never put. */
  readonly invented: string[];
  /** States on which the queue did not start, or took or delivered nothing new. */
  readonly stuck: string[];
};

const run = promisify(execFile);
/** States that are looked at together: most of the time of each is waiting. */
const atOnce = 8;
/** The record that each restarted queue is given. */
const fresh = 9_999_999;

/** Disk states are kept in memory: there are many, and nothing depends on the disk that they are on. */
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export async function powerLoss(options: {
  seed: number;
  states: number;
  /** Each begins on a state that the one before has left. */
  generations?: number;
}): Promise<PowerLossReport> {
  const { seed, states, generations = 2 } = options;
  const folder = mkdtempSync(join(scratch, 'meshlog-power-'));
  const report = { states: 0, acknowledged: 0, owed: 0, filesMax: 0 };
  const found = { lost: [], corrupted: [], invented: [], stuck: [] };
  const random = dice(seed);
  let base: State = { name: `seed ${seed}`, files: new Map(), marks: new Map() };
  try {
    for (let generation = 0; generation < generations; generation++) {
      const recording = await recorded(join(folder, `life-${generation}`), {
        seed: seed + generation,
        base: base.files,
        first: generation * 1_000_000,
      });
      const end = stateAt(recording, { at: recording.events.length, fate: 'kept', random, base });
      report.acknowledged = end.marks.get('acknowledged')?.size ?? 0;
      const restarts: Promise<number>[] = [];
      let last = base;
      for (let i = 0; i < states / generations; i++, report.states++) {
        const at = Math.floor(random() * (recording.events.length + 1));
        last = stateAt(recording, { at, fate: fates[i % fates.length] as Fate, random, base });
        report.filesMax = Math.max(report.filesMax, last.files.size);
        const restart = restarted(join(folder, `state-${i}`), last, found);
        if (restarts.push(restart) < atOnce) continue;
        for (const owed of await Promise.all(restarts.splice(0))) report.owed += owed;
      }
      for (const owed of await Promise.all(restarts)) report.owed += owed;
      base = last;
    }
    return { ...report, ...found };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What may be left of a recording that began on `base` when the power fails before event `at`. */
function stateAt(
  recording: Recording,
  { at, fate, random, base }: { at: number; fate: Fate; random: () => number; base: State },
): State {
  const cut = new Cut(recording, at);
  const marks = cut.marks();
  for (const [what, ids] of base.marks) {
    marks.set(what, ids.union(marks.get(what) ?? new Set()));
  }
  return { name: `${base.name}, event ${at}, ${fate}`, files: cut.files(fate, random), marks };
}

const texts = new Map<number, string>();

/** The same records are looked at in every state. */
function textOf(number: number): string {
  const text = texts.get(number) ?? payload({ stream: 'power', number });
  texts.set(number, text);
  return text;
}

/** Runs the workload on these files, and returns what it did to them. */
async function recorded(
  folder: string,
  { seed, base, first }: { seed: number; base: Files; first: number },
): Promise<Recording> {
  putFiles(folder, base);
  const log = `${folder}.log`;
  const here = import.meta.dirname;
  await run(process.execPath, ['--import', join(here, 'recorder.ts'), join(here, 'workload.ts')], {
    env: {
      ...process.env,
      NODE_NO_WARNINGS: '1',
      POWER_LOSS_FOLDER: folder,
      POWER_LOSS_LOG: log,
      POWER_LOSS_SEED: String(seed),
      POWER_LOSS_FIRST: String(first),
    },
    timeout: 60_000,
  });
  const recording = new Recording(deserialize(readFileSync(log)) as FileEvent[]);
  expectComplete(folder, recording.whole());
  return recording;
}

/** What the events come to must be what is there: otherwise something was done past the recorder. */
function expectComplete(folder: string, files: Files): void {
  const names = readdirSync(folder).filter((name) => name !== 'lock');
  if (names.sort().join() !== [...files.keys()].sort().join()) {
    throw new Error(`recorded ${[...files.keys()]}, found ${names}`);
  }
  for (const name of names) {
    if (!readFileSync(join(folder, name)).equals(files.get(name) ?? Buffer.alloc(0))) {
      throw new Error(`${name} is not what was recorded`);
    }
  }
}

type State = {
  readonly name: string;
  readonly files: Files;
  readonly marks: ReadonlyMap<string, Set<number>>;
};

type Found = Record<'lost' | 'corrupted' | 'invented' | 'stuck', string[]>;

/** Starts the queue on a state and says what is wrong with what it reads. Returns how many records were owed. */
async function restarted(
  folder: string,
  { name, files, marks }: State,
  found: Found,
): Promise<number> {
  const marked = (what: string): Set<number> => marks.get(what) ?? new Set();
  putFiles(folder, files);
  const seen = new Set<number>();
  const queue = queueIn(folder, async (batch) => {
    for (const line of linesOf(batch)) {
      const number = Number(/^power-(\d+) /.exec(line)?.[1]);
      if (line === textOf(number)) seen.add(number);
      else found.corrupted.push(`${name}: ${line.slice(0, 40)}`);
    }
  });
  try {
    await queue.start();
    await queue.put(Batch.ofLines([textOf(fresh)]));
    const { left, persisted } = await queue.stop(AbortSignal.timeout(10_000));
    if (left + persisted > 0) found.stuck.push(`${name}: ${left} left, ${persisted} on disk`);
  } catch (error) {
    found.stuck.push(`${name}: ${error}`);
  }
  if (!seen.delete(fresh)) found.stuck.push(`${name}: the fresh record did not come through`);
  const owed = [...marked('acknowledged')].filter((id) => !marked('delivered').has(id));
  const lost = owed.filter((id) => !seen.has(id));
  if (lost.length > 0) found.lost.push(`${name}: ${lost.length} of ${owed.length}, ${lost[0]}`);
  const invented = [...seen].filter((id) => !marked('issued').has(id));
  if (invented.length > 0) found.invented.push(`${name}: ${invented.slice(0, 3)}`);
  rmSync(folder, { recursive: true, force: true });
  return owed.length;
}

if (process.argv[1] === import.meta.filename) {
  const [states, seed] = [Number(process.argv[2] ?? 2000), Number(process.argv[3] ?? 1)];
  const report = await powerLoss({ seed, states, generations: Math.ceil(states / 200) });
  console.log(report);
  const bad = [report.lost, report.corrupted, report.invented, report.stuck].some((l) => l.length);
  process.exit(bad ? 1 : 0);
}
