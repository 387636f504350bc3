// meshlog run: the daemon, until a signal or the end of its sources.

import type { Command } from 'commander';

/** Exit code of a configuration that cannot be used (sysexits.h EX_CONFIG). */
const exitConfig = 78;

export function runCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('run')
    .description('run the pipelines of a configuration')
    .requiredOption('-c, --config <file...>', 'configuration; several are merged, later ones win')
    .action(async ({ config }: { config: string[] }) => {
      exit(await run(config, program.version() ?? ''));
    });
}

async function run(files: string[], version: string): Promise<number> {
  const [{ readConfig }, { catalogue }, { Daemon, StartError }] = await Promise.all([
    import('../config/load.ts'),
    import('../components.ts'),
    import('../daemon.ts'),
  ]);
  const write = (line: string): void => void process.stderr.write(line);
  const { config, report } = readConfig(files, catalogue, process.env, process.stderr);
  if (report !== '') write(report);
  if (config === undefined) return exitConfig;
  try {
    const daemon = await Daemon.start({ config, catalogue, version, write });
    write(picture(daemon.describe(), { version, file: files.join(' ') }));
    return await untilStopped(daemon);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    write(
      `${files.join(' ')}: nothing was started\n${error.reasons.map((reason) => `  ${reason}\n`).join('')}`,
    );
    return 1;
  }
}

type Running = {
  ended(): Promise<void>;
  reopen(): Promise<void>;
  stop(hurry?: AbortSignal): Promise<number>;
};

/** Waits for SIGTERM, SIGINT or the end of all sources, then drains. A second signal ends at once. */
async function untilStopped(daemon: Running): Promise<number> {
  const hurry = new AbortController();
  let signals = 0;
  let stop: (value: unknown) => void = () => undefined;
  const signalled = new Promise((resolve) => {
    stop = resolve;
  });
  const onSignal = (): void => {
    signals++;
    if (signals > 1) hurry.abort();
    stop(undefined);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('SIGHUP', () => void daemon.reopen());
  await Promise.race([signalled, daemon.ended()]);
  const left = await daemon.stop(hurry.signal);
  return left === 0 ? 0 : 1;
}

type Lines = readonly (readonly [id: string, text: string])[];
type Picture = { receivers: Lines; pipelines: Lines; exporters: Lines; admin: string | undefined };

/** What runs, in the order in which data goes. */
function picture(running: Picture, about: { version: string; file: string }): string {
  const row = (head: string, [id, text]: readonly [string, string]): string =>
    `  ${head.padEnd(12)}${id.padEnd(13)}${id.length >= 13 ? ' ' : ''}${text}`.trimEnd();
  const block = (head: string, lines: Lines): string[] =>
    lines.map((line, index) => row(index === 0 ? head : '', line));
  const lines = [
    `meshlog ${about.version}  ${about.file}  pid ${process.pid}`,
    ...block('receivers', running.receivers),
    ...block('pipelines', running.pipelines),
    ...block('exporters', running.exporters),
    ...(running.admin === undefined ? [] : [`  ${'admin'.padEnd(12)}${running.admin}`]),
  ];
  return `${lines.join('\n')}\n\n`;
}
