// meshlog components: what a configuration can name.

import { styleText } from 'node:util';
import type { Command } from 'commander';

export function componentsCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('components')
    .description('list receivers, processors and exporters')
    .option('--json', 'one JSON document for programs')
    .action(async ({ json }: { json?: boolean }) => {
      await listComponents(json === true);
      exit(0);
    });
}

async function listComponents(json: boolean): Promise<void> {
  const [{ componentsOf }, { catalogue }] = await Promise.all([
    import('../config/reference.ts'),
    import('../components.ts'),
  ]);
  const components = componentsOf(catalogue).map(({ kind, described: { name, summary } }) => ({
    kind,
    name,
    summary,
  }));
  process.stdout.write(json ? `${JSON.stringify(components, null, 2)}\n` : listText(components));
}

type Listed = { readonly kind: string; readonly name: string; readonly summary: string };

function listText(components: readonly Listed[]): string {
  const width = Math.max(...components.map(({ name }) => name.length));
  let text = '';
  let kind = '';
  for (const component of components) {
    if (component.kind !== kind) {
      kind = component.kind;
      const heading = styleText('bold', `${kind}s`, { stream: process.stdout });
      text += `${text === '' ? '' : '\n'}${heading}\n`;
    }
    text += `  ${component.name.padEnd(width)}  ${component.summary}\n`;
  }
  return `${text}\nmeshlog docs NAME shows one with all its fields.\n`;
}
