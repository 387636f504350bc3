// meshlog replay: delivers what the dead letter holds once more, after its cause is mended.

import { existsSync } from 'node:fs';
import { appendFile, open, rename, rm } from 'node:fs/promises';
import type { Command } from 'commander';
import type { ExporterNode } from '../graph.ts';
import type { Kept } from '../pipeline/kept_record.ts';

const exitConfig = 78;
const batchRecords = 1000;

type Options = { readonly config: string[]; readonly exporter?: string };
type Outcome = { delivered: number; unreadable: number; rest: number };

export function replayCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('replay')
    .description('deliver the records of the dead letter again')
    .requiredOption('-c, --config <file...>', 'configuration of the daemon')
    .option('--exporter <id>', 'only what this exporter could not deliver')
    .action(async (options: Options) => exit(await replay(options, program.version() ?? '')));
}

async function replay(options: Options, version: string): Promise<number> {
  const [{ readConfig }, { catalogue }, { offlineExporters, placesIn }] = await Promise.all([
    import('../config/load.ts'),
    import('../components.ts'),
    import('../offline.ts'),
  ]);
  const { config, report } = readConfig(options.config, catalogue, process.env, process.stderr);
  process.stderr.write(report);
  if (config === undefined) return exitConfig;
  const write = (line: string): void => void process.stderr.write(line);
  const { exporters, metrics } = await offlineExporters({ config, catalogue, version, write });
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
  let rest = 0;
  let found = false;
  for (const { id, places } of placesIn(config)) {
    const node = exporters.find(({ instance }) => instance.id === id);
    const file = places.deadLetterFile;
    if (node === undefined || file === undefined) continue;
    if (options.exporter !== undefined && options.exporter !== id) continue;
    // One that an interrupted replay has left goes first.
    const aside = `${file}.replaying`;
    const failed = (): number =>
      metrics.read('otelcol_exporter_send_failed_log_records_total', { exporter: id }) ?? 0;
    const before = failed();
    const outcome: Outcome = { delivered: 0, unreadable: 0, rest: 0 };
    await node.exporter.start?.();
    for (const path of [aside, file]) {
      if (!existsSync(path) || stop.signal.aborted) continue;
      found = true;
      if (path === file) await rename(file, aside);
      await replayFile(aside, { node, outcome, signal: stop.signal, bad: `${file}.unreadable` });
      if (outcome.rest > 0) break;
    }
    await node.exporter.stop();
    if (outcome.delivered + outcome.unreadable + outcome.rest === 0) continue;
    const refused = failed() - before;
    process.stdout.write(
      `${id}  ${outcome.delivered - refused} records delivered, ${refused} refused again, ${outcome.rest} not tried${outcome.unreadable > 0 ? `, ${outcome.unreadable} lines that are no records are in ${file}.unreadable` : ''}\n`,
    );
    rest += outcome.rest + refused;
  }
  if (!found) process.stdout.write('there is nothing to replay\n');
  return rest === 0 ? 0 : 1;
}

type Replaying = {
  readonly node: ExporterNode;
  readonly outcome: Outcome;
  readonly signal: AbortSignal;
  /** Where lines go that are no records. */
  readonly bad: string;
};

/** Sends the records of a file and removes it. What could not be tried stays in it. */
async function replayFile(path: string, replaying: Replaying): Promise<void> {
  const { readKept } = await import('../pipeline/kept_record.ts');
  const { outcome, bad } = replaying;
  let done = 0;
  let group: Kept[] = [];
  await using file = await open(path);
  let bytes = 0;
  for await (const line of file.readLines({ autoClose: false })) {
    const kept = readKept(line);
    if (kept !== undefined) group.push(kept);
    else if (line !== '') {
      await appendFile(bad, `${line}\n`, { mode: 0o600 });
      outcome.unreadable++;
    }
    bytes += Buffer.byteLength(line) + 1;
    if (group.length < batchRecords) continue;
    if (!(await sent(group, replaying))) break;
    done = bytes;
    group = [];
  }
  if (group.length > 0 && group.length < batchRecords && (await sent(group, replaying))) {
    group = [];
    done = bytes;
  }
  if (!replaying.signal.aborted || group.length === 0) await rm(path);
  else outcome.rest += await keepRest(path, done);
}

async function sent(group: readonly Kept[], replaying: Replaying): Promise<boolean> {
  const { node, signal, outcome } = replaying;
  const { batchesOfKept } = await import('../pipeline/kept_record.ts');
  try {
    for (const batch of batchesOfKept(group)) {
      await node.sender.send(batch, signal);
      outcome.delivered += batch.count;
      batch.release();
    }
    return true;
  } catch {
    // Only a signal ends a sender's patience.
    return false;
  }
}

/** Leaves what begins at `from` in the file. Returns its lines. */
async function keepRest(path: string, from: number): Promise<number> {
  const draft = `${path}.rest`;
  let lines = 0;
  {
    await using source = await open(path);
    await using target = await open(draft, 'w', 0o600);
    const stream = source.createReadStream({ start: from, autoClose: false });
    for await (const chunk of stream) {
      for (const byte of chunk as Buffer) if (byte === 10) lines++;
      await target.appendFile(chunk as Buffer);
    }
    await target.datasync();
  }
  await rename(draft, path);
  return lines;
}
