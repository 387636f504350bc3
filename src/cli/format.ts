// meshlog format: what a format prints and what can be read back from it.

import type { Command } from 'commander';
import type { Description, Line } from '../access_log/describe.ts';
import type { Format } from '../access_log/format/format.ts';
import { problemText, readFormatArgument } from './format_argument.ts';

/** sysexits.h: what was given is no format. */
const dataError = 65;

export function formatCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('format')
    .description(
      'explain a format: fields, types, what is lost; the same for Istio, Kuma and Envoy',
    )
    .argument('<format>', 'a format string, a name such as istio_text, or a format object')
    .action(async (text: string) => {
      const { output, problem } = await explainFormat(text);
      process.stdout.write(output);
      process.stderr.write(problem);
      exit(problem === '' ? 0 : dataError);
    });
}

/** What is printed for a format, and what is wrong with it. */
export async function explainFormat(text: string): Promise<{ output: string; problem: string }> {
  const reading = await readFormatArgument(text);
  if (reading.format === undefined) {
    return { output: '', problem: `not a format: ${problemText(text, reading)}` };
  }
  const [{ namedFormat }, { describeFormat }, { formatYaml }] = await Promise.all([
    import('../access_log/format_fields.ts'),
    import('../access_log/describe.ts'),
    import('../access_log/format_yaml.ts'),
  ]);
  const read = reading.format;
  const format = read.kind === 'named' ? namedFormat(read.name) : read;
  if (format === undefined) {
    return {
      output: '',
      problem: `${text} is read line by line and is no format that can be shown\n`,
    };
  }
  const parts = describeFormat(format).map(descriptionText);
  const { istio, kuma, envoy } = formatYaml(format);
  const yaml = [`# Istio\n${istio}`, `# Kuma${onlyKuma(format)}\n${kuma}`, `# Envoy\n${envoy}`];
  return { output: `${parts.join('\n')}\n${yaml.join('')}`, problem: '' };
}

/** Kuma's own operators mean nothing to the others. */
function onlyKuma(format: Format): string {
  return JSON.stringify(format).includes('KUMA_')
    ? ': the only one that knows KUMA_ operators'
    : '';
}

function descriptionText(description: Description): string {
  const { title, lines, findings, missing } = description;
  const labels = Math.max(
    ...lines.map(({ label, field }) => (field === undefined ? 0 : label.length)),
  );
  const fields = Math.max(...lines.map(({ field }) => field?.length ?? 0));
  const body = lines.map((line) => lineText(line, labels, fields)).join('');
  const doubts = findings.filter(({ severity }) => severity === 'warning');
  const error = findings.find(({ severity }) => severity === 'error');
  const losses = findings.filter(({ severity }) => severity === 'note');
  const verdict =
    error !== undefined
      ? `cannot be read back: ${error.message}`
      : doubts.length > 0
        ? 'reads back, with doubts'
        : losses.length > 0
          ? 'reads back'
          : 'reads back exactly';
  const warnings = error === undefined ? doubts.map(({ message }) => `warning: ${message}\n`) : [];
  const notes = losses.map(({ message }) => `${message}\n`);
  const heading = title === undefined ? '' : `${title}\n`;
  const said = [...warnings, ...notes, ...alsTexts(description)].join('');
  return `${heading}${body}${verdict}${missingText(missing)}\n${said}`;
}

function alsTexts({ neverInAls, configuredInAls }: Description): string[] {
  const texts: string[] = [];
  if (neverInAls.length > 0) {
    texts.push(`not in ALS entries, so printed as missing for them: ${neverInAls.join(', ')}\n`);
  }
  if (configuredInAls.length > 0) {
    texts.push(
      `in ALS entries only if the proxy is told to log it: ${configuredInAls.join(', ')}\n`,
    );
  }
  return texts;
}

function lineText({ label, field, what }: Line, labels: number, fields: number): string {
  if (field === undefined) return `${label}\n`;
  return `${label.padEnd(labels)}  ${field.padEnd(fields)}  ${what}\n`;
}

/** The fields that people miss first. */
const wellKnown: readonly (readonly [field: string, words: string])[] = [
  ['request.method', 'method'],
  ['request.path', 'path'],
  ['response.code', 'response code'],
  ['response.flags', 'response flags'],
  ['upstream.address', 'upstream address'],
];

function missingText(missing: readonly string[]): string {
  if (missing.length === 0) return '';
  const known = wellKnown.filter(([field]) => missing.includes(field)).slice(0, 3);
  const rest = missing.length - known.length;
  const names = known.map(([, words]) => words).join(', ');
  if (known.length === 0) return `; loses: ${rest} fields that this format does not print.`;
  const more = rest === 0 ? ', which' : ` and ${rest} more fields that`;
  return `; loses: ${names}${more} this format does not print.`;
}
