// meshlog run: the daemon, until a signal or the end of its sources.

import { resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import type { ReadConfig } from '../config/load.ts';
import type { Daemon } from '../daemon.ts';
import type { ControlServer as Server } from '../wire/control_socket.ts';

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

/**
 * How much V8 compiles into one function, in bytes of its code: by its own measure, 920, loops over records call what
 * could be part of them.
 */
const inlinedBytesMax = 2500;

async function run(files: string[], version: string): Promise<number> {
  setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${inlinedBytesMax}`);
  // A hang-up while everything starts must not end the process; once it runs it means reload. SIGTERM counts from here
  // on: as the first process of a container nobody else would act on it.
  process.on('SIGHUP', () => undefined);
  const stopping = stopSignals();
  const [{ readConfig }, { catalogue }, { Daemon, StartError }] = await Promise.all([
    import('../config/load.ts'),
    import('../components.ts'),
    import('../daemon.ts'),
  ]);
  const write = (line: string): void => void process.stderr.write(line);
  const read = (): ReadConfig => readConfig(files, catalogue, process.env, process.stderr);
  const { config, report, files: watched } = read();
  write(report);
  if (config === undefined) return exitConfig;
  try {
    const daemon = await Daemon.start({ config, catalogue, version, write });
    const tell = (): void => write(picture(daemon.describe(), { version, file: files.join(' ') }));
    return await untilStopped(daemon, { config, read, watched, tell, stopping });
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    const reasons = error.reasons.map((reason) => `  ${reason}\n`).join('');
    write(`${files.join(' ')}: nothing was started\n${reasons}`);
    return 1;
  }
}

/** How often a control socket that could not be made is tried again. */
const controlAgainMs = 2000;

type Setting = {
  readonly config: Config;
  readonly read: () => ReadConfig;
  readonly watched: readonly string[];
  /** Called once everything is there, signals and control socket included. */
  readonly tell: () => void;
  readonly stopping: StopSignals;
};

type StopSignals = {
  /** Resolves with the first SIGTERM or SIGINT. */
  readonly first: Promise<void>;
  /** Aborts with the second. */
  readonly second: AbortSignal;
};

function stopSignals(): StopSignals {
  const hurry = new AbortController();
  let signals = 0;
  const first = new Promise<void>((stop) => {
    const onSignal = (): void => {
      signals++;
      if (signals > 1) hurry.abort();
      stop();
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
  return { first, second: hurry.signal };
}

/** Waits for SIGTERM, SIGINT or the end of all sources, then drains. A second signal ends at once. */
async function untilStopped(daemon: Daemon, setting: Setting): Promise<number> {
  const { Reloader } = await import('../reloader.ts');
  const reloader = new Reloader({
    read: setting.read,
    apply: (config) => daemon.reload(config),
    log: daemon.log,
    metrics: daemon.metrics,
  });
  process.on('SIGHUP', () => {
    void daemon.reopen().then(() => reloader.reload('SIGHUP'));
  });
  outlive(daemon);
  const { watch, interval } = setting.config.service.reload;
  if (watch) await reloader.watch(setting.watched, interval);
  const control = await openControl(daemon, reloader, setting.config);
  setting.tell();
  await Promise.race([setting.stopping.first, daemon.ended()]);
  reloader.stop();
  const left = await daemon.stop(setting.stopping.second);
  await control?.close();
  return left === 0 ? 0 : 1;
}

/** After the start nothing exits: a defect in one place is said and counted, and the others go on. */
function outlive({ log, metrics }: Daemon): void {
  const defects = metrics.counter(
    'meshlog_defects_total',
    'Errors that nothing was prepared for: please report them.',
  );
  const said = (error: unknown): void => {
    defects.add(1);
    log.error(`unexpected, please report: ${error instanceof Error ? error.stack : String(error)}`);
  };
  process.on('uncaughtException', said);
  process.on('unhandledRejection', said);
}

/** The socket that `meshlog status` and `meshlog reload` ask; a daemon that cannot have one goes on, and tries again. */
async function openControl(
  daemon: Daemon,
  reloader: InstanceType<typeof import('../reloader.ts').Reloader>,
  config: Config,
): Promise<{ close(): Promise<void> } | undefined> {
  const path = controlPath(config);
  if (path === undefined) return undefined;
  const { ControlServer } = await import('../wire/control_socket.ts');
  const answer = async (request: unknown): Promise<unknown> => {
    const { command } = request as { command?: unknown };
    if (command === 'status') return { ...daemon.status(), reload: reloader.last ?? null };
    if (command === 'reload') return reloader.reload('meshlog reload');
    throw new Error(`unknown command ${JSON.stringify(command)}`);
  };
  let server: Server | undefined;
  let timer: NodeJS.Timeout | undefined;
  let opening: Promise<void> = Promise.resolve();
  const open = async (): Promise<void> => {
    try {
      server = await ControlServer.open(path, answer);
      if (timer !== undefined) daemon.log.info(`the control socket is there now: ${path}`);
    } catch (error) {
      if (timer === undefined) {
        daemon.log.warn(
          `no control socket, meshlog status and reload will not reach this process: ${String(error)}; trying again`,
        );
      }
      timer = setTimeout(() => {
        opening = open();
      }, controlAgainMs).unref();
    }
  };
  await open();
  return {
    close: async () => {
      await opening;
      clearTimeout(timer);
      await server?.close();
    },
  };
}

/** Where the control socket of a configuration is; undefined: it has none. */
export function controlPath({ service, baseDirectory }: Config): string | undefined {
  if (service.control_socket !== undefined) return resolve(baseDirectory, service.control_socket);
  if (service.state_directory === undefined) return undefined;
  return resolve(baseDirectory, service.state_directory, 'control.sock');
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
