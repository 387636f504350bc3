// meshlog docs --fields: the vocabulary, the command operators and the named formats as one Markdown page.

import { type Field, fields, openFields } from '../access_log/fields.ts';
import { formatNames, namedTexts } from '../access_log/formats.ts';
import { type Operator, operators } from '../access_log/operators.ts';

const intro = `# Fields, operators and formats

Fields are named as Envoy names its attributes, so that a filter expression written for Istio works here; what is derived
stands under \`mesh.\`. A value that is not there is absent: it is neither \`-\` nor an empty text. The same names are used by
\`filter\`, \`sample\`, \`attributes\` and \`redact\`, and as attribute names on the way out.
`;

/** The page. Its tables are the ones that parsers, renderers and filters work with. */
export function fieldReference(): string {
  return `${[intro, fieldTables(), openTable(), operatorTable(), formatList()].join('\n').trimEnd()}\n`;
}

function fieldTables(): string {
  const groups = new Map<string, Field[]>();
  for (const field of fields.values()) {
    const group = field.name.slice(0, field.name.indexOf('.'));
    groups.set(group, [...(groups.get(group) ?? []), field]);
  }
  const parts = [...groups].map(([group, members]) => {
    const rows = members.map(({ name, type, meaning, keys = [], als = '', semconv = '' }) => [
      code(name),
      type,
      meaning,
      keys.map(code).join(' '),
      code(als),
      code(semconv),
    ]);
    const head = ['field', 'type', 'meaning', 'JSON keys', 'ALS', 'semantic conventions'];
    return `### ${group}\n\n${table(head, rows)}`;
  });
  return `## Fields

In the column ALS, \`c.\` is \`common_properties\`, \`q.\` the request, \`r.\` the response and \`t.\` the TLS properties of an entry of
Envoy's access log service. Types: \`duration\` is milliseconds, \`bytes\` and \`int\` are integers, \`flags\` is a list of short
names, \`time\` is RFC 3339 with the digits it came with.

${parts.join('\n')}`;
}

function openTable(): string {
  return `## Open fields

The rest of the name is what follows the dot: a header in lower case, a metadata path, a filter state key.

${openFields.map((prefix) => `- \`${prefix}*\``).join('\n')}
`;
}

const operands = { '-': '', x: '`(...)` optional', 'x!': '`(...)`' };

function operatorTable(): string {
  const rows = [...operators.values()].map((operator: Operator) => [
    code(`%${operator.name}%`),
    operands[operator.params] + (operator.length ? ', `:Z`' : ''),
    operator.field === '' ? 'by its arguments' : code(operator.field),
    operator.kind === 'nothing'
      ? 'no record can carry it: absent'
      : operator.http
        ? 'HTTP only'
        : '',
  ]);
  return `## Command operators

What stands between \`%\` signs in a format, for reading and for writing lines. \`:Z\` is a maximum length in bytes.

${table(['operator', 'arguments', 'field', ''], rows)}`;
}

function formatList(): string {
  const parts = formatNames.map((name) => {
    const texts = namedTexts[name] ?? [];
    const blocks = texts.map(([what, text]) => `${what}:\n\n\`\`\`text\n${text.trim()}\n\`\`\`\n`);
    return [`### ${name}\n`, ...(blocks.length > 0 ? blocks : [`${meanings[name] ?? ''}\n`])].join(
      '\n',
    );
  });
  return `## Named formats\n\n${parts.join('\n')}`;
}

/** The formats that are no text of operators. */
const meanings: Readonly<Record<string, string>> = {
  auto: 'Any of the others, told apart line by line; what fitted last is tried first.',
  json: "One JSON object a line: known keys become fields, others keep their name. Also Istio's of any release.",
  istio_json:
    "Istio's JSON of any release, 1.3 to now: values that are all strings, or typed ones.",
  als_json:
    "One entry of Envoy's access log service a line, as protobuf prints it in JSON, or Gloo Mesh's API around it.",
  cri: "The runtime's framing (containerd, CRI-O), then `auto`. The file receiver's `framing: cri` also joins split lines.",
  ztunnel: "The key=value lines of Istio's ztunnel (ambient mode).",
};

const code = (text: string): string => (text === '' ? '' : `\`${text}\``);

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}
