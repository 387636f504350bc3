// A processor that changes nothing: for trying out a configuration's shape, as in the Collector.

import { z } from 'zod';
import { processor } from '../pipeline/component.ts';

export const nop = processor({
  name: 'nop',
  summary: 'Passes records on as they are.',
  config: z.strictObject({}),
  example: 'nop: {}',
  create: () => ({ process: (batch) => batch }),
});
