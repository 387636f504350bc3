// meshlog check: would this configuration run?

import type { Command } from 'commander';
import type { Config } from '../config/config.ts';

/** Exit code of a configuration that cannot be used (sysexits.h EX_CONFIG). */
const exitConfig = 78;

export function checkCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('check')
    .description('check a configuration and show every problem in it')
    .requiredOption('-c, --config <file...>', 'configuration; several are merged, later ones win')
    .action(async ({ config }: { config: string[] }) => {
      exit(await check(config));
    });
}

async function check(files: string[]): Promise<number> {
  const [{ readConfig }, { catalogue }] = await Promise.all([
    import('../config/load.ts'),
    import('../components.ts'),
  ]);
  const { config, report } = readConfig(files, catalogue, process.env, process.stderr);
  process.stderr.write(report);
  if (config === undefined) return exitConfig;
  process.stdout.write(summaryOf(config, files));
  const { alsNotes } = await import('./als_notes.ts');
  for (const note of alsNotes(config)) process.stdout.write(`  note: ${note}\n`);
  return 0;
}

/** What would run, in the order in which data goes. */
export function summaryOf(config: Config, files: readonly string[]): string {
  const lines = config.pipelines.map(({ id, receivers, processors, exporters }) => {
    const way = [receivers.join(', '), ...processors, exporters.join(', ')];
    return `  ${id.padEnd(Math.max(...config.pipelines.map((other) => other.id.length)))}  ${way.join(' > ')}`;
  });
  const unused = unusedOf(config);
  const rest = unused.length === 0 ? '' : `  in no pipeline: ${unused.join(', ')}\n`;
  return `${files.join(', ')}: no problems\n\n${lines.join('\n')}\n${rest}`;
}

function unusedOf(config: Config): string[] {
  return (['receivers', 'processors', 'exporters'] as const).flatMap((section) => {
    const used = new Set(config.pipelines.flatMap((pipeline) => pipeline[section]));
    const unused = config[section].filter(({ id }) => !used.has(id));
    return unused.map(({ id }) => `${section}.${id}`);
  });
}
