// meshlog explain: what flags, details and failure reasons of a proxy mean, and where to look.

import type { Command } from 'commander';

export function explainCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('explain')
    .description('explain response flags (UF,URX), response code details or a failure reason')
    .argument('[what...]', 'as the proxy printed it; nothing: every response flag')
    .action(async (what: string[]) => {
      const { text, problem } = await explanationOf(what);
      process.stdout.write(text);
      if (problem !== undefined) process.stderr.write(`${problem}\n`);
      exit(problem === undefined ? 0 : 1);
    });
}

export type Explanation = {
  readonly text: string;
  /** What could not be explained. */
  readonly problem: string | undefined;
};

/** Explains what was given on the command line. */
export async function explanationOf(what: readonly string[]): Promise<Explanation> {
  const { flagOfShort, flagOfLong, flagTable } = await import('../access_log/flags.ts');
  const given = what.join(' ').trim();
  if (given === '') return { text: await flagsText(flagTable), problem: undefined };
  const names = given.split(/[\s,]+/).filter((name) => name !== '');
  const flags = names.map((name) => flagOfShort(name.toUpperCase()) ?? flagOfLong(name));
  const known = flags.filter((flag) => flag !== undefined);
  if (known.length === names.length) return { text: await flagsText(known), problem: undefined };
  const cause = await causeText(given);
  if (cause !== undefined) return { text: cause, problem: undefined };
  const unknown = names.filter((_, index) => flags[index] === undefined);
  return {
    text: known.length === 0 ? '' : await flagsText(known),
    problem: `cannot explain ${unknown.join(', ')}: no response flag, detail or failure reason that Envoy is known to print`,
  };
}

type ListedFlag = { readonly short: string; readonly long: string; readonly meaning: string };

async function flagsText(flags: readonly ListedFlag[]): Promise<string> {
  const { adviceOf } = await import('../access_log/flag_advice.ts');
  const shortWidth = Math.max(...flags.map(({ short }) => short.length)) + 2;
  const longWidth = Math.max(...flags.map(({ long }) => long.length)) + 2;
  const lines = flags.map(
    ({ short, long, meaning }) =>
      `${short.padEnd(shortWidth)}${long.padEnd(longWidth)}${meaning}\n`,
  );
  const places = new Set(flags.flatMap(({ short }) => adviceOf(short)?.lookAt ?? []));
  // For the whole table the places of all flags would say nothing.
  const isList = places.size === 0 || flags.length > 8;
  return lines.join('') + (isList ? '' : `Look at: ${[...places].join(', ')}.\n`);
}

async function causeText(given: string): Promise<string | undefined> {
  const { causeOfDetails, causeOfReason } = await import('../access_log/failure_reasons.ts');
  const cause = causeOfDetails(given) ?? causeOfReason(given);
  if (cause === undefined) return undefined;
  const inWords = (text: string) => text.replaceAll('{upstream}', 'the upstream');
  return `${given}\n${inWords(cause.cause)}: ${inWords(cause.hint)}\n`;
}
