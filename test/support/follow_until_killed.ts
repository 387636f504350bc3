// Follows the *.log files of a folder and prints each line that it has taken over. Arguments: folder, state directory.

import { writeSync } from 'node:fs';
import { file } from '../../src/receivers/file/file.ts';
import { testContext } from './collect.ts';

const [, , folder = '', state = ''] = process.argv;
const receiver = file.create(
  file.config.parse({
    include: ['*.log'],
    start_at: 'beginning',
    poll_interval: '5ms',
    rotate_wait: '50ms',
  }),
  testContext({ id: 'file/test', baseDirectory: folder, stateDirectory: state }),
);
await receiver.start(async (batch) => {
  // Written at once: what has not been said when the process is killed was not taken over.
  const lines = [...Array(batch.rows).keys()].map((row) => `${batch.line(row)}\n`);
  writeSync(1, lines.join(''));
});
