// meshlog docs: a component on one screen, from its schema.

import { styleText } from 'node:util';
import type { Command } from 'commander';
import type { Described } from '../config/config.ts';
import type { Entry, Row } from '../config/reference.ts';
import type { Schema } from '../config/schema.ts';

type Options = { markdown?: boolean; jsonSchema?: boolean; example?: boolean; fields?: boolean };

export function docsCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('docs')
    .description('show a component: what it is for, an example, every field')
    .argument('[name]', 'a component such as sample or exporters.otlp; service for the rest')
    .option('--markdown', 'the reference of everything as Markdown')
    .option('--fields', 'fields, command operators and named formats as Markdown')
    .option('--example', 'a configuration with every field as a comment')
    .option('--json-schema', 'the whole configuration as JSON Schema, for editors')
    .action(async (name: string | undefined, options: Options) => {
      exit(await docs(name, options));
    });
}

async function docs(name: string | undefined, options: Options): Promise<number> {
  if (options.fields === true) {
    const { fieldReference } = await import('./field_reference.ts');
    process.stdout.write(fieldReference());
    return 0;
  }
  const [reference, { catalogue }, { serviceSchema }, { didYouMean }] = await Promise.all([
    import('../config/reference.ts'),
    import('../components.ts'),
    import('../config/service.ts'),
    import('../config/words.ts'),
  ]);
  const write = (text: string): true => process.stdout.write(text) || true;
  if (options.jsonSchema === true) {
    const { jsonSchema } = await import('../config/json_schema.ts');
    return write(`${JSON.stringify(jsonSchema(catalogue), null, 2)}\n`) && 0;
  }
  if (options.example === true) {
    const { exampleFile } = await import('../config/example.ts');
    return write(exampleFile(catalogue)) && 0;
  }
  if (options.markdown === true) return write(reference.markdownReference(catalogue)) && 0;
  const components = reference.componentsOf(catalogue);
  const names = [...new Set(components.map(({ described }) => described.name))];
  if (name === undefined) {
    return write(`meshlog docs NAME, where NAME is one of ${names.join(', ')}, service\n`) && 0;
  }
  const page = pageWriter(reference.rowsOf);
  if (name === 'service') return write(page.service(serviceSchema)) && 0;
  const found = components.filter((entry) => isNamed(entry, name));
  for (const [index, entry] of found.entries()) {
    write(`${index === 0 ? '' : '\n'}${page.component(entry)}`);
  }
  if (found.length > 0) return 0;
  const hint = didYouMean(name, [...names, 'service']);
  process.stderr.write(`there is no component "${name}"${hint}\n`);
  return 1;
}

/** `otlp` is all of that name, `exporters.otlp` and `exporter/otlp` one. */
function isNamed({ kind, described }: Entry, name: string): boolean {
  const [, section, type] = /^(receiver|processor|exporter)s?[./](.+)$/.exec(name) ?? [];
  return described.name === (type ?? name) && (section === undefined || section === kind);
}

function pageWriter(rowsOf: (schema: Schema) => Row[]) {
  const bold = (text: string): string => styleText('bold', text, { stream: process.stdout });
  const fields = (schema: Schema): string => {
    const rows = rowsOf(schema);
    return rows.length === 0 ? '  no fields\n' : table(rows, process.stdout.columns ?? 110);
  };
  return {
    component({ kind, described }: Entry): string {
      return `${bold(described.name)} (${kind})  ${described.summary}\n\n${exampleText(described)}${fields(
        described.config,
      )}${notesText(described)}`;
    },
    service: (schema: Schema): string => `${bold('service')}\n\n${fields(schema)}`,
  };
}

const exampleText = ({ example }: Described): string =>
  `${example.trim().replace(/^/gm, '    ')}\n\n`;

const notesText = ({ notes }: Described): string =>
  notes === undefined ? '' : `\n${notes.trim().replace(/^/gm, '  ')}\n`;

/** Name, type with default, meaning; the last is wrapped to the width of the screen. */
function table(rows: readonly Row[], columns: number): string {
  const names = rows.map(({ name, depth }) => '  '.repeat(depth + 1) + name);
  const types = rows.map(({ type, fallback, required }) => {
    if (required) return `${type}, required`;
    return fallback === undefined ? type : `${type} = ${fallback}`;
  });
  const nameWidth = Math.max(...names.map(({ length }) => length));
  const typeWidth = Math.min(34, Math.max(...types.map(({ length }) => length)));
  const indent = nameWidth + typeWidth + 4;
  let text = '';
  for (const [index, { meaning }] of rows.entries()) {
    const type = types[index] ?? '';
    const head = `${(names[index] ?? '').padEnd(nameWidth)}  ${type.padEnd(typeWidth)}  `;
    const lines = wrapped(meaning, Math.max(30, columns - indent));
    const [first = '', ...rest] = type.length > typeWidth ? ['', ...lines] : lines;
    text += `${(head + first).trimEnd()}\n`;
    for (const line of rest) text += `${' '.repeat(indent)}${line}\n`;
  }
  return text;
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
