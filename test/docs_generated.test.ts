// The files that are generated from the source are what the source says now. `npm run docs` writes them anew.

import { expect, test } from 'vitest';
import { meshlog } from './cli/command.ts';

for (const [file, ...args] of [
  ['config.example.yaml', '--example'],
  ['docs/reference.md', '--markdown'],
  ['docs/fields.md', '--fields'],
  ['docs/schema.json', '--json-schema'],
] as const) {
  test(`${file} is current (else: npm run docs)`, async () => {
    const { code, stdout, stderr } = meshlog(['docs', ...args]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    await expect(stdout).toMatchFileSnapshot(`../${file}`);
  });
}
