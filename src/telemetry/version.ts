// The version of this program, where peers and metrics see it.

import { readFileSync } from 'node:fs';

/** As package.json says: it lies two folders up, from the sources as from what is built of them. */
export const { version } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string };
