// meshlog status and meshlog reload: questions to a running daemon over its control socket.

import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import type { ReloadOutcome } from '../reloader.ts';
import type { Status } from '../status.ts';

type Options = { readonly config?: string[]; readonly socket?: string; readonly json?: boolean };
type FullStatus = Status & { readonly reload: ReloadOutcome | null };

const timeoutMs = 60_000;

export function controlCommands(program: Command, exit: (code: number) => void): void {
  const command = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .option(
        '-c, --config <file...>',
        "the daemon's configuration, which says where its socket is",
      )
      .option('--socket <path>', 'the control socket itself');
  command('status', 'show what a running daemon does')
    .option('--json', 'as JSON')
    .action(async (options: Options) => {
      const answer = await asked(options, 'status');
      if (answer === undefined) return exit(1);
      const status = answer as FullStatus;
      process.stdout.write(
        options.json ? `${JSON.stringify(status, null, 2)}\n` : statusText(status),
      );
      exit(0);
    });
  command('reload', 'make a running daemon read its configuration again').action(
    async (options: Options) => {
      const outcome = (await asked(options, 'reload')) as ReloadOutcome | undefined;
      if (outcome?.ok) process.stdout.write('reloaded\n');
      else if (outcome) process.stderr.write(`the old configuration goes on:\n${outcome.reason}\n`);
      exit(outcome?.ok ? 0 : outcome === undefined ? 1 : 78);
    },
  );
}

/** The answer; undefined after saying on stderr why there is none, and what the admin port says instead. */
async function asked(options: Options, command: string): Promise<unknown> {
  const config = await configOf(options);
  const { controlPath } = await import('./run.ts');
  const path = options.socket ?? (config && controlPath(config));
  if (path === undefined) {
    process.stderr.write(
      'no control socket: name it with --socket, or give --config with service.state_directory or service.control_socket\n',
    );
    return undefined;
  }
  const { ask } = await import('../wire/control_socket.ts');
  try {
    return await ask(path, { command }, timeoutMs);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`no daemon answers at ${path}: ${why}\n${await readiness(config)}`);
    return undefined;
  }
}

async function configOf({ config: files }: Options): Promise<Config | undefined> {
  if (files === undefined) return undefined;
  const [{ readConfig }, { catalogue }] = await Promise.all([
    import('../config/load.ts'),
    import('../components.ts'),
  ]);
  const { config, report } = readConfig(files, catalogue, process.env, process.stderr);
  if (config === undefined) process.stderr.write(report);
  return config;
}

/** What /readyz says, for a daemon that has no control socket (its state volume may be the reason); empty: nothing. */
async function readiness(config: Config | undefined): Promise<string> {
  const { enabled, endpoint } = config?.service.admin ?? {};
  if (!enabled || endpoint?.kind !== 'tcp') return '';
  const host = endpoint.host === '0.0.0.0' ? '127.0.0.1' : endpoint.host;
  try {
    const url = `http://${host.includes(':') ? `[${host}]` : host}:${endpoint.port}/readyz`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) });
    return `${url} answers:\n${(await answer.text()).replace(/^(?=.)/gm, '  ')}`;
  } catch {
    return '';
  }
}

const mebibytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;

function statusText(status: FullStatus): string {
  const lines = [
    `meshlog ${status.version}  pid ${status.pid}  ${status.phase} for ${status.uptimeSeconds} s`,
    `  budget      ${mebibytes(status.budget.used)} of ${mebibytes(status.budget.limit)}`,
    ...status.degraded.map((line) => `  degraded    ${line}`),
    ...status.receivers.map(
      ({ id, accepted, waiting, status: text }) =>
        `  receiver    ${id.padEnd(16)} ${accepted} records taken, ${waiting} waiting  ${text}`,
    ),
    ...status.exporters.map(
      ({ id, sent, failed, queueBytes, oldestSeconds, retrying, status: text }) =>
        `  exporter    ${id.padEnd(16)} ${sent} records sent, ${failed} failed, queue ${mebibytes(queueBytes)}, oldest ${oldestSeconds.toFixed(1)} s${retrying ? ', peer is away' : ''}  ${text}`,
    ),
  ];
  const { reload } = status;
  if (reload !== null) {
    lines.push(
      `  reload      ${reload.time}  ${reload.ok ? 'taken over' : `failed: ${reload.reason}`}`,
    );
  }
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}
