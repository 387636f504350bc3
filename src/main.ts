#!/usr/bin/env -S MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=131072 node --max-semi-space-size=4 --heap-growing-percent=60
// argv -> command. The only file that exits the process.

import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { checkCommand } from './cli/check.ts';
import { componentsCommand } from './cli/components.ts';
import { controlCommands } from './cli/control.ts';
import { docsCommand } from './cli/docs.ts';
import { explainCommand } from './cli/explain.ts';
import { formatCommand } from './cli/format.ts';
import { parseCommand } from './cli/parse.ts';
import { queueCommand } from './cli/queue.ts';
import { renderCommand } from './cli/render.ts';
import { replayCommand } from './cli/replay.ts';
import { runCommand } from './cli/run.ts';

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };

// A reader that has seen enough (`meshlog parse | head`) ends us quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
});

const program = new Command('meshlog')
  .description('The log pipeline for service meshes.')
  .version(version)
  .showHelpAfterError('meshlog --help shows all commands')
  .showSuggestionAfterError();

const exit = (code: number): void => {
  process.exitCode = code;
  // What is still being written to a pipe goes out first; open handles must not keep a finished command alive.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
};

const commands = [
  runCommand,
  checkCommand,
  componentsCommand,
  docsCommand,
  controlCommands,
  queueCommand,
  replayCommand,
  parseCommand,
  explainCommand,
  formatCommand,
  renderCommand,
];
for (const command of commands) command(program, exit);

await program.parseAsync();
