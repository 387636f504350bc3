// meshlog queue: what waits in disk queues, seen and handled without a daemon.

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import type { QueueReport } from '../pipeline/disk_queue/inspect.ts';

const exitConfig = 78;

type Options = {
  readonly config?: string[];
  readonly exporter?: string;
  readonly json?: boolean;
};
type Folder = { readonly id: string; readonly folder: string };

export function queueCommand(program: Command, exit: (code: number) => void): void {
  const queue = program.command('queue').description('look at disk queues and empty them');
  const command = (name: string, description: string): Command =>
    queue
      .command(name)
      .description(description)
      .option('-c, --config <file...>', 'configuration, which says where the queues are')
      .option('--exporter <id>', 'only the queue of this exporter');
  const run = async (
    work: (folders: readonly Folder[], options: Options) => Promise<number>,
    folders: readonly string[],
    options: Options,
  ): Promise<void> => {
    const named = await namedFolders(folders, options);
    exit(typeof named === 'number' ? named : await work(named, options));
  };
  command('status', 'show what waits, and whether it is whole')
    .argument('[folder...]', 'folders of queues, instead of a configuration')
    .option('--json', 'as JSON')
    .action((folders: string[], options: Options) => run(showStatus, folders, options));
  command('export', 'print what waits as JSON lines; nothing is taken out')
    .argument('[folder...]', 'folders of queues, instead of a configuration')
    .action((folders: string[], options: Options) => run(exportRecords, folders, options));
  command('repair', 'write what is whole anew and remove what is damaged')
    .argument('[folder...]', 'folders of queues, instead of a configuration')
    .action((folders: string[], options: Options) => run(repair, folders, options));
  command('drain', 'deliver what waits, without receivers, and end when all is empty').action(
    async (options: Options) => exit(await drain(options, program.version() ?? '')),
  );
}

/** The queues asked for; a number: the exit code after saying what is wrong. */
async function namedFolders(
  folders: readonly string[],
  options: Options,
): Promise<readonly Folder[] | number> {
  if (folders.length > 0) {
    const missing = folders.filter((folder) => !existsSync(folder));
    for (const folder of missing) process.stderr.write(`${folder}: there is no such folder\n`);
    return missing.length > 0 ? 1 : folders.map((folder) => ({ id: folder, folder }));
  }
  const config = await configOf(options);
  if (typeof config === 'number') return config;
  const { placesIn } = await import('../offline.ts');
  const wanted = placesIn(config).flatMap(({ id, places: { queueFolder: folder } }) =>
    folder !== undefined && existsSync(folder) && wants(options, id) ? [{ id, folder }] : [],
  );
  if (wanted.length === 0) process.stderr.write('there is no disk queue\n');
  return wanted;
}

const wants = ({ exporter }: Options, id: string): boolean =>
  exporter === undefined || exporter === id;

async function configOf({ config: files }: Options): Promise<Config | number> {
  if (files === undefined) {
    process.stderr.write('name the queue folders, or a configuration with --config\n');
    return 1;
  }
  const [{ readConfig }, { catalogue }] = await Promise.all([
    import('../config/load.ts'),
    import('../components.ts'),
  ]);
  const { config, report } = readConfig(files, catalogue, process.env, process.stderr);
  if (config === undefined) process.stderr.write(report);
  return config ?? exitConfig;
}

async function showStatus(folders: readonly Folder[], { json }: Options): Promise<number> {
  const { inspectQueue } = await import('../pipeline/disk_queue/inspect.ts');
  const reports: (QueueReport & { id: string })[] = [];
  for (const { id, folder } of folders) reports.push({ id, ...(await inspectQueue(folder)) });
  if (json) process.stdout.write(`${JSON.stringify(reports, null, 2)}\n`);
  else for (const report of reports) process.stdout.write(statusText(report));
  return reports.some(({ damagedBytes }) => damagedBytes > 0) ? 2 : 0;
}

function statusText(report: QueueReport & { id: string }): string {
  const { records, batches, segments, bytes, damagedBytes, inUse, folder } = report;
  const lines = [
    `${report.id}  ${records} records in ${batches} batches, ${(bytes / 1024 ** 2).toFixed(1)} MiB`,
    `  folder   ${folder}  ${segments} files${inUse ? ', in use by a daemon' : ''}`,
  ];
  if (damagedBytes > 0) {
    lines.push(`  damaged  ${damagedBytes} bytes: meshlog queue repair removes them`);
  }
  return `${lines.join('\n')}\n`;
}

async function exportRecords(folders: readonly Folder[]): Promise<number> {
  const [{ queuedBatches }, { keptLines }] = await Promise.all([
    import('../pipeline/disk_queue/inspect.ts'),
    import('../pipeline/kept_record.ts'),
  ]);
  for (const { id, folder } of folders) {
    for await (const batch of queuedBatches(folder)) {
      const more = process.stdout.write(keptLines(batch, { exporter: id }));
      batch.release();
      if (!more) await once(process.stdout, 'drain');
    }
  }
  return 0;
}

async function repair(folders: readonly Folder[]): Promise<number> {
  const { repairQueue } = await import('../pipeline/disk_queue/inspect.ts');
  let code = 0;
  for (const { id, folder } of folders) {
    try {
      const { kept, damagedBytes } = await repairQueue(folder);
      process.stdout.write(`${id}  ${kept} records kept, ${damagedBytes} bytes removed\n`);
    } catch (error) {
      process.stderr.write(`${id}: ${error instanceof Error ? error.message : String(error)}\n`);
      code = 1;
    }
  }
  return code;
}

/** Runs exporters with disk queues until these are empty or a signal comes. */
async function drain(options: Options, version: string): Promise<number> {
  const config = await configOf(options);
  if (typeof config === 'number') return config;
  const [{ offlineExporters }, { catalogue }] = await Promise.all([
    import('../offline.ts'),
    import('../components.ts'),
  ]);
  const write = (line: string): void => void process.stderr.write(line);
  const { exporters, metrics } = await offlineExporters({ config, catalogue, version, write });
  const wanted = exporters.filter(({ folder, instance: { id } }) => folder && wants(options, id));
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
  let left = 0;
  for (const { instance, exporter, queue } of wanted) {
    const labels = { exporter: instance.id, data_type: 'logs' };
    try {
      await exporter.start?.();
      await queue.start();
    } catch (error) {
      write(`${instance.id}: ${error instanceof Error ? error.message : String(error)}\n`);
      left++;
      continue;
    }
    queue.publish();
    const size = (): number => metrics.read('otelcol_exporter_queue_size', labels) ?? 0;
    while (size() > 0 && !stop.signal.aborted) await delay(50);
    const { persisted } = await queue.stop(
      stop.signal.aborted ? stop.signal : AbortSignal.timeout(config.service.grace_period),
    );
    await exporter.stop();
    const sent = metrics.read('otelcol_exporter_sent_log_records_total', { exporter: instance.id });
    process.stdout.write(`${instance.id}  ${sent ?? 0} records delivered, ${persisted} left\n`);
    left += persisted;
  }
  return left === 0 ? 0 : 1;
}
