// A receiver that takes nothing in: for trying out a configuration's shape, as in the Collector.

import { z } from 'zod';
import { receiver } from '../pipeline/component.ts';

export const nop = receiver({
  name: 'nop',
  summary: 'Takes nothing in.',
  config: z.strictObject({}),
  example: 'nop: {}',
  create: () => ({ start: async () => undefined, stop: async () => undefined }),
});
