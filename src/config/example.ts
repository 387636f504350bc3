// config.example.yaml: what `npm start` runs, with every component and every field as a comment. Generated from the
// schemas, so that it cannot say what is not so (`meshlog docs --example`).

import type { Catalogue, Kind } from './config.ts';
import { kinds, sectionOf } from './config.ts';
import { componentsOf, type Entry, type Row, rowsOf } from './reference.ts';
import { serviceSchema } from './service.ts';

const width = 100;

const head = `# meshlog: what \`npm start\` runs.
#
# Everything that can be set stands here: what is in use as it is, the rest as comments with its default.
# Times are written 500ms, 5s, 1h30m; sizes 64KiB, 1MiB, 1GB; \${env:NAME:-default} is replaced.
# Check a changed file with: meshlog check --config FILE. A running meshlog takes it over by itself.
`;

/** The components that the example uses, as they stand under their section; in this order. */
const used: Record<Kind, readonly { readonly type: string; readonly text: string }[]> = {
  receiver: [
    { type: 'demo', text: 'demo:\n  requests_per_second: 40' },
    { type: 'file', text: 'file/istio:\n  include: [./*.log]' },
    { type: 'tcp', text: 'tcp:\n  endpoint: 127.0.0.1:5170' },
  ],
  processor: [
    { type: 'parse', text: 'parse:\n  format: auto' },
    {
      type: 'filter',
      text: 'filter/probes:\n  expression: \'!has(request.useragent) || !request.useragent.startsWith("kube-probe/")\'',
    },
    { type: 'sample', text: 'sample:\n  percent: 5 # of what went well; errors are kept' },
    { type: 'enrich', text: 'enrich:\n  mesh: demo' },
  ],
  exporter: [{ type: 'file', text: 'file:\n  path: /dev/stdout\n  format: table' }],
};

const pipelines = `  pipelines:
    logs/mesh:
      receivers: [demo, file/istio, tcp]
      processors: [parse, filter/probes, sample, enrich]
      exporters: [file]
`;

/** The whole file. */
export function exampleFile(catalogue: Catalogue): string {
  const sections = kinds.map((kind) => {
    const entries = componentsOf(catalogue).filter((entry) => entry.kind === kind);
    const order = used[kind].map(({ type }) => type);
    const rank = ({ described }: Entry): number =>
      order.includes(described.name) ? order.indexOf(described.name) : order.length;
    const parts = entries.sort((a, b) => rank(a) - rank(b)).map(component);
    return `${sectionOf(kind)}:\n${parts.join('\n')}`;
  });
  const service = rowsOf(serviceSchema).filter(notPipelines);
  return `${head}\n${sections.join('\n')}\nservice:\n${pipelines}\n${comments(service, '  # ')}`;
}

/** The rows of `pipelines` are what stands above them. */
function notPipelines({ name, depth }: Row, index: number, rows: readonly Row[]): boolean {
  const top = rows.slice(0, index + 1).findLast((row) => row.depth === 0);
  return (depth === 0 ? name : top?.name) !== 'pipelines';
}

function component({ kind, described }: Entry): string {
  const active = used[kind].filter(({ type }) => type === described.name);
  const title = wrapped(`${described.name}: ${described.summary}`, '  # ', width);
  const rows = rowsOf(described.config);
  if (active.length > 0) {
    const text = active.map((one) => `${one.text.replace(/^/gm, '  ')}\n`).join('');
    return `${title}${text}${comments(rows, '    # ')}`;
  }
  const example = described.example.trim().replace(/^/gm, '  # ');
  return `${title}${example}\n${comments(rows, '  #   # ')}`;
}

/** Every field as a comment: its meaning, then the field with its default. */
function comments(rows: readonly Row[], indent: string): string {
  let text = '';
  for (const { name, depth, type, fallback, required, meaning } of rows) {
    const deeper = `${indent}${'  '.repeat(depth)}`;
    const what = required ? `${type}, required` : type;
    text += wrapped(`${meaning} (${what})`, `${deeper}  `, width);
    text += `${deeper}${name}:${fallback === undefined ? '' : ` ${fallback}`}\n`;
  }
  return text;
}

function wrapped(text: string, indent: string, columns: number): string {
  let out = '';
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && indent.length + line.length + 1 + word.length > columns) {
      out += `${indent}${line}\n`;
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return `${out}${indent}${line}\n`;
}
