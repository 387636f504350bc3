// An exporter that acknowledges and forgets: for measuring what comes before it, as in the Collector.

import { z } from 'zod';
import { exporter } from '../pipeline/component.ts';

export const nop = exporter({
  name: 'nop',
  summary: 'Acknowledges records and forgets them.',
  config: z.strictObject({}),
  example: 'nop: {}',
  create: () => ({ export: async () => undefined, stop: async () => undefined }),
});
