// A format on the command line: a name, a format string, or an object of Envoy, Istio or Kuma in YAML or JSON.

import type { FormatReading } from '../access_log/format/config.ts';

/** Reads what was given to --format. Text that is an object with a format in it is one; any other text is the format. */
export async function readFormatArgument(text: string): Promise<FormatReading> {
  const [{ parseFormatConfig }, { parse }] = await Promise.all([
    import('../access_log/format/config.ts'),
    import('yaml'),
  ]);
  const object = objectIn(text, parse);
  if (object !== undefined) {
    const reading = parseFormatConfig(object);
    if (reading.format !== undefined || !text.includes('%')) return reading;
    // A hand-written JSON line is a format string; its mistakes are told as those of one.
    if (/^\s*\{\s*"/.test(text)) return parseFormatConfig(text);
    return reading;
  }
  return parseFormatConfig(text);
}

function objectIn(text: string, parse: (text: string) => unknown): object | undefined {
  if (!/^\s*(\{|\[\s*\{|[A-Za-z_]+:|- )/.test(text)) return undefined;
  try {
    const value = parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Problems of a format on one line each, with a caret under the place in a format string. */
export function problemText(text: string, reading: FormatReading): string {
  return reading.problems
    .map(({ path, message }) => {
      const where = path.length === 0 ? '' : `${path.join('.')}: `;
      const at = /\(at character (\d+)\)$/.exec(message);
      const caret =
        at === null || path.length > 0 || text.includes('\n')
          ? ''
          : `    ${text}\n    ${' '.repeat(Number(at[1]) - 1)}^\n`;
      return `${where}${message}\n${caret}`;
    })
    .join('');
}
