// Each file under good/ and bad/ is a case. `# expect: fragment` lines of a bad one are its problems, all of them and
// in their order; `# warn: fragment` lines are the warnings of either.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { standIn, told } from './stand_in.ts';

const env = { HOST: 'localhost', PORT: '5170', SECRET: 'hunter2', SIZE: '0123' };

for (const folder of ['good', 'bad']) {
  const directory = join(import.meta.dirname, folder);
  for (const name of readdirSync(directory).filter((entry) => entry.endsWith('.yaml'))) {
    test(`config/${folder}/${name}`, () => {
      const file = join(directory, name);
      const text = readFileSync(file, 'utf8');
      const { config, problems, warnings } = loadConfig([{ file, text }], standIn, env);
      expectFragments(told(problems), marked(text, 'expect'));
      expectFragments(told(warnings), marked(text, 'warn'));
      expect(config === undefined).toBe(folder === 'bad');
    });
  }
}

function marked(text: string, word: string): string[] {
  const marker = `# ${word}: `;
  const lines = text.split('\n').filter((line) => line.startsWith(marker));
  return lines.map((line) => line.slice(marker.length).trim());
}

function expectFragments(messages: readonly string[], fragments: readonly string[]): void {
  const unmatched = messages.map((message, index) =>
    message.includes(fragments[index] ?? '\0') ? fragments[index] : message,
  );
  expect(unmatched).toEqual(fragments);
}
